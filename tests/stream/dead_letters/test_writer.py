"""Dead letters are cut to what their topic takes, and the log says little of them."""

import logging

import pytest
from kafka.admin import ConfigResource
from kafka.consumer.fetcher import ConsumerRecord

from stream.dead_letters.letter import read_record
from stream.dead_letters.letter_log import NAMED, LetterLog
from stream.dead_letters.writer import DeadLetter
from stream.events.event import BadEventError
from tests.support.updater_world import World, work

MANY = 30  # at ten seconds for each of them, a test would take too long


def allow(world: World, topic: str, most_bytes: int) -> None:
    with world.kafka.admin() as admin:
        admin.alter_configs([ConfigResource("TOPIC", topic, {"max.message.bytes": str(most_bytes)})])


def test_what_the_topic_refuses_is_cut_until_it_fits(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Each letter comes once, the small ones whole, and no content is in the log."""
    allow(world, world.settings.dead_letter_topic, 20_000)
    values = [b"secret" * 50_000, b"small secret", b"secret" * 20_000, b"secret" * 1_000]
    places = world.send([(b"anna", value) for value in values])
    updater = world.updater()
    with caplog.at_level(logging.DEBUG, logger="stream"):
        work(updater, lambda: updater.counts["dead_letter"] == len(values))
    letters = {one.source: one for one in map(read_record, world.kafka.records(world.settings.dead_letter_topic))}
    assert len(world.kafka.records(world.settings.dead_letter_topic)) == len(values)
    for value, (partition, offset) in zip(values, places, strict=True):
        letter = letters[f"{world.topic}[{partition}]@{offset}"]
        assert letter.key == b"anna"
        assert letter.value == value[: len(letter.value or b"")]
        if len(value) < 5_000 or letter.value == value:
            assert (letter.value, letter.truncated) == (value, None)
        else:
            assert letter.truncated == len(value) + 4
            assert 4_000 < len(letter.value or b"") < 20_000  # more than half of what fits would
    assert "secret" not in caplog.text
    assert updater.trouble is None


def test_only_headers_fit(world: World) -> None:
    """The largest record is cut to what it is and where it stands."""
    allow(world, world.settings.dead_letter_topic, 420)
    [(partition, offset)] = world.send([(b"anna" * 100, b"x" * 90_000)])
    updater = world.updater()
    work(updater, lambda: updater.counts["dead_letter"] == 1)
    [letter] = map(read_record, world.dead_letters(1))
    assert letter.source == f"{world.topic}[{partition}]@{offset}"
    assert letter.truncated == 90_400
    assert letter.reason == "json"
    assert len(letter.error) == 100


def test_a_topic_that_is_gone_is_said_and_written_to_once_it_is_made_again(world: World) -> None:
    """However many letters wait, none of them waits for the topic by itself."""
    topic, updater = world.settings.dead_letter_topic, world.updater()
    world.send([(b"anna", b"{")])
    work(updater, lambda: updater.counts["dead_letter"] == 1)  # the client knows the topic
    with world.kafka.admin() as admin:
        admin.delete_topics([topic])
    world.send([(b"anna", b"{")] * MANY)
    work(updater, lambda: updater.trouble is not None)
    said = f"topic {topic} is gone from {world.kafka.bootstrap_servers}; make it again, or restart an updater, which"
    for _ in range(2):  # one whose client knows it, and one of a new client
        assert said in str(updater.trouble)
        updater.step()
    world.cluster.ensure_topics([topic], partitions=1)
    work(updater, lambda: updater.counts["dead_letter"] == 1 + MANY)
    assert len(world.kafka.records(topic)) == MANY
    assert updater.trouble is None


def test_sizes_and_the_topic_are_settings(world: World) -> None:
    topic = world.settings.updates_topic or f"{world.topic}-strange"
    world.send([(b"anna", b"x" * 3_000), (b"anna", b"y" * 1_000)])
    updater = world.updater(dead_letters=topic, dead_letter_bytes=100, event_bytes=2_000)
    work(updater, lambda: updater.counts["dead_letter"] == 2)
    letters = sorted(map(read_record, world.kafka.records(topic)), key=lambda one: one.source)
    assert [one.reason for one in letters] == ["size", "json"]
    assert [(len(one.value or b""), one.truncated) for one in letters] == [(100, 3_004), (100, 1_004)]


def test_the_log_of_letters_is_short(caplog: pytest.LogCaptureFixture) -> None:
    """Ten are named, the others counted once a minute; after a quiet minute they are named again."""
    now = [0.0]
    log = LetterLog(clock=lambda: now[0])
    with caplog.at_level(logging.WARNING):
        log.note([_letter(offset, "json") for offset in range(NAMED)])
        log.note([_letter(offset, "json") for offset in range(1_000)])
        log.note([_letter(0, "field")])
        assert [one.getMessage() for one in caplog.records] == [
            f"dead letter: clicks[2]@{offset}: json; `mindstream stream dlq list`" for offset in range(NAMED)
        ]
        now[0] = 61.0
        log.tell()
        log.tell()
        now[0] = 122.0
        log.tell()
        log.note([_letter(7, "key")])
    assert [one.getMessage() for one in caplog.records[NAMED:]] == [
        "1001 more dead letters: 1,000 json, 1 field; `mindstream stream dlq list`",
        "dead letter: clicks[2]@7: key; `mindstream stream dlq list`",
    ]
    assert "content" not in caplog.text


def _letter(offset: int, reason: str) -> DeadLetter:
    record = ConsumerRecord("clicks", 2, 0, offset, 1, 0, b"anna", b"content", [], None, 4, 7, -1)
    return DeadLetter(record, BadEventError(reason, "the value is content"))
