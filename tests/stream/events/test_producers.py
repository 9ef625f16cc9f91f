"""The page on producers is true: its programs are run against a real Kafka, its records are read by its mappings."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mindstream.behaviour_rule import BehaviourRule
from mindstream.mapping import load_mapping
from mindstream.settings import PARTITIONERS
from stream.events.decoders import RecordDecoder, StrictDecoder
from stream.events.event import BadEventError, Event
from stream.events.mapped.decoder import MappedDecoder
from stream.events.posted import records_in
from stream.kafka.partitioners import partitioner_of
from tests.support.logs import put
from tests.support.updater_world import World, work

PAGE = Path(__file__).parents[3] / "docs" / "producers.md"
NOON = 1_769_860_800_000  # 2026-01-31T12:00:00Z, the first of the page's events
ADDRESS, TOPIC = "localhost:9092", "behaviour-events"  # on the page


def sections() -> dict[str, str]:
    """The page's sections by their titles."""
    parts = re.split(r"^##+ (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks(title: str, language: str) -> list[str]:
    """The blocks of code of a section in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", sections()[title], flags=re.MULTILINE | re.DOTALL)


def records(title: str) -> Iterator[tuple[bytes | None, bytes]]:
    """The keys and values that a section shows, as `kafka-console-consumer.sh` prints them."""
    for line in (line for block in blocks(title, "text") for line in block.splitlines()):
        key, _, value = line.partition(" | ")
        yield None if key == "null" else key.encode(), value.encode()


def decoder(title: str, folder: Path) -> RecordDecoder:
    """The decoder of a section's mapping, of our own form if there is none."""
    toml = blocks(title, "toml")
    assert len(toml) <= 1
    return MappedDecoder(load_mapping(put(folder / "shop.toml", toml[0]))) if toml else StrictDecoder()


def view(user: str, item: str, kind: str = "view", seconds: int = 0, event_id: str | None = None) -> Event:
    return Event(user, item, NOON + 1000 * seconds, kind, event_id)


OWN = view("42", "mug")
BOTH_ROWS = [view("42", "mug", event_id="1"), view("7", "cup", "cart", 1, "2")]
IDS = "0e2e1cf4-7a3b-4c1d-9f60-2b8f3f1f7c55", "1e2e1cf4-7a3b-4c1d-9f60-2b8f3f1f7c55"
SHOWN = {
    "kafka-python": [view("42", "mug", event_id="e-1")],
    "confluent-kafka": [view("42", "mug", event_id="e-1")],
    "Java": [OWN],
    "Kafka Connect": BOTH_ROWS,
    "With schemas": BOTH_ROWS[:1],
    "From a file": [OWN, OWN],
    "Debezium outbox": [
        view("42", "mug", event_id=IDS[0]),
        view("7", "cup", "purchase", 1, IDS[1]),
        view("7", "pot", "purchase", 1, f"{IDS[1]}#1"),
    ],
    "The payload alone": [view("42", "mug", "click")] * 2,
    "Segment": [view("42", "mug", "Product Viewed", event_id="ajs-next-42")],  # and a call that is none
    "HTTP": [OWN],
}


@pytest.mark.parametrize("title", SHOWN)
def test_the_records_shown_are_read_by_the_mapping_shown(title: str, tmp_path: Path) -> None:
    by = decoder(title, tmp_path)
    found = [event for key, value in records(title) for event in by.decode(value, key, NOON + 60_000)]
    assert found == SHOWN[title]


def test_every_record_and_program_that_the_page_shows_is_tried() -> None:
    assert {title for title in sections() if list(records(title))} == set(SHOWN)
    assert {title for title in sections() if blocks(title, "python")} == set(PROGRAMS)


PROGRAMS = ("kafka-python", "confluent-kafka")


def test_the_programs_send_what_is_shown_to_the_partition_that_is_said(world: World) -> None:
    """To each partition that there is; and an updater applies it, once, since both send the same event."""
    users = [str(number) for number in range(42, 52)]
    for title in PROGRAMS:
        [program] = blocks(title, "python")
        program = program.replace(ADDRESS, world.kafka.bootstrap_servers).replace(TOPIC, world.topic)
        for user in users:
            exec(program.replace('"42"', f'"{user}"'), {})
    sent = world.kafka.records(world.topic)
    assert {(record.key, record.value) for record in sent if record.key == b"42"} == set(records(PROGRAMS[0]))
    with world.cluster.producer() as producer:
        partitions = sorted(producer.partitions_for(world.topic))
    expected = Counter(
        (user, partition_by(partitioner_said(title), user.encode(), partitions)) for user in users for title in PROGRAMS
    )
    assert Counter((record.key.decode(), record.partition) for record in sent) == expected
    assert {record.partition for record in sent} == set(partitions)
    updater = world.updater()
    work(updater, lambda: updater.counts["applied"] + updater.counts["duplicate"] == len(sent))
    assert {world.state(user).history.item_ids for user in users} == {("mug",)}


def test_an_event_that_is_posted_is_the_record_that_is_shown() -> None:
    [body] = re.findall(r"--json '(.+)'", sections()["HTTP"])
    assert [(record.key, record.value) for record in records_in(body.encode(), NOON)] == list(records("HTTP"))


def partitioner_said(title: str) -> str:
    """The MINDSTREAM_PARTITIONER of a section."""
    [name] = set(re.findall(r"MINDSTREAM_PARTITIONER=(\w+)", sections()[title]))
    return str(name)


def partition_by(name: str, key: bytes, partitions: list[int]) -> int:
    """The partition that a partitioner of ours chooses."""

    class Known:
        def topics(self) -> set[str]:
            return {TOPIC}

        def partitions_for_topic(self, _: str) -> set[int]:
            return set(partitions)

        available_partitions_for_topic = partitions_for_topic

    return int(partitioner_of(name).partition(TOPIC, None, key, None, None, Known()))


def test_what_goes_wrong_is_said_as_the_page_says(tmp_path: Path) -> None:
    wrong = " ".join(sections()["Is it right?"].split())
    [(_, own)], [(_, schemas)] = records("kafka-python"), records("With schemas")
    for by, value, said in (
        (StrictDecoder(), own, "it must be the user_id"),
        (decoder("Java", tmp_path), schemas, "there are payload.id, payload.uid, payload.product, "),
        (decoder("Java", tmp_path), b"42;mug", "not JSON in UTF-8"),
    ):
        with pytest.raises(BadEventError, match=said):
            by.decode(value, None, NOON)
        assert said in wrong


def test_the_settings_shown_are_ones_that_there_are() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"MINDSTREAM_PARTITIONER=(\w+)", text)) == {"murmur2", "crc32"}
    assert {name for name in PARTITIONERS if f"`{name}`" in text} == set(PARTITIONERS)
    [rule] = re.findall(r"MINDSTREAM_BEHAVIOURS='(.+)'", text)
    weights = BehaviourRule.parse(rule)
    assert [weights.weight(kind) for kind in ("Product Viewed", "Order Completed", "Page")] == [1, 4, 0]
