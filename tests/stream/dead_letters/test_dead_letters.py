"""Dead letters on a real Kafka: all are listed, as they came; what was mended is applied once, however often sent."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer as OtherProducer
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer

from mindstream.settings import Settings
from stream.dead_letters.letter import Letter, from_line, to_line
from stream.dead_letters.redrive import LONGEST_EVENT_ID, record_to_send, with_event_id
from stream.dead_letters.topic_reader import DeadLetterTopic
from stream.dead_letters.writer import KEPT_BYTES
from stream.events.event import Event, decode, encode
from stream.kafka.embedded_broker import EmbeddedBroker
from testbed.bad_records import BAD_RECORDS, GOOD
from tests.support.stream_shell import KafkaShell, Shell
from tests.support.updater_world import START_MS, World, work

SEE = "`dlq list` says what is wrong with each; `dlq list --json` gives lines to mend, for FILE\n"


def bury(world: World, *records: tuple[bytes | None, bytes | None]) -> list[str]:
    """Have an updater make dead letters of these records (key, value); their positions on the topic."""
    places = world.send(records)
    updater = world.updater()
    work(updater, lambda: updater.counts["dead_letter"] == len(records), "all are dead letters")
    updater.close()
    return [f"{world.topic}[{partition}]@{offset}" for partition, offset in places]


def put(world: World, source: str, key: bytes | None, value: bytes | None, reason: str = "field") -> None:
    """A letter on the dead letter topic, as an updater of other rules may have left it."""
    topic, partition, offset = source.replace("]@", "[").split("[")
    headers = {"source-topic": topic, "source-partition": partition, "source-offset": offset, "reason": reason}
    with KafkaProducer(bootstrap_servers=world.kafka.bootstrap_servers) as producer:
        as_bytes = [(name, text.encode()) for name, text in headers.items()]
        producer.send(f"{world.topic}.dlq", key=key, value=value, headers=as_bytes).get(80)


def read_all(world: World, records: int) -> None:
    """Have an updater read on until it has committed so many records in all."""
    updater = world.updater()
    work(updater, lambda: world.committed() >= records, f"{records} records are read")
    assert world.committed() == records
    updater.close()


def listed(kafka: KafkaShell) -> dict[str, dict[str, Any]]:
    """Source -> its line of `dlq list --json`."""
    status, _ = kafka("dlq", "list", "--json")
    assert status == 0
    lines = [json.loads(line) for line in kafka.stdout.splitlines()]
    return {line["source"]: line for line in lines}


def as_lines(*lines: dict[str, Any]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def event(user: str = "anna", item: str = "mug", **more: Any) -> bytes:
    return json.dumps({"user_id": user, "item_id": item, "event_time_ms": START_MS} | more).encode()


BAD = [one for one in BAD_RECORDS.values() if one != BAD_RECORDS["no value and no key"]]  # kafka-python sends none


def test_all_are_listed_as_they_came(world: World, kafka: KafkaShell) -> None:
    sources = bury(world, *((one.key, one.value) for one in BAD))
    status, said = kafka("dlq", "list")
    assert status == 0
    *lines, counts = said.splitlines()
    found = {line.split("  ")[0]: line for line in lines}
    assert sorted(found) == sorted(sources)
    for source, one in zip(sources, BAD, strict=True):
        assert found[source].startswith(f"{source}  {one.reason}  ")
        assert all(part in found[source] for part in one.names)
    by_reason = Counter(one.reason for one in BAD).most_common()
    assert sorted(counts.split(": ")[1].split(", ")) == sorted(f"{count} {reason}" for reason, count in by_reason)
    assert counts.startswith(f"{len(BAD)} dead letters: ")

    lines_by_source = listed(kafka)
    assert sorted(lines_by_source) == sorted(sources)
    letters = [from_line(json.dumps(lines_by_source[source]).encode()) for source in sources]
    assert [(one.key, one.value) for one in letters] == [(one.key, one.value) for one in BAD]
    assert len({one.place for one in letters}) == len(BAD)
    assert all(one.place.startswith(f"{world.topic}.dlq[") for one in letters)
    assert all(one.truncated is None for one in letters)


def test_some_are_listed(world: World, kafka: KafkaShell) -> None:
    bury(world, (b"a", b"{"), (b"b", b"{"), (b"c", b""), (b"d", b"{"))
    assert kafka("dlq", "list", "--limit", "2")[1].count(f"\n{world.topic}[2]@") == 1
    assert kafka("dlq", "list", "--reason", "json")[1].endswith("3 dead letters: 3 json\n")
    one = kafka("dlq", "list", "--reason", "json", "--limit", "1")[1]
    assert one.endswith("\n1 dead letter: 1 json; --limit 1 is reached, so there may be more\n")
    assert kafka("dlq", "list", "--reason", "time") == (0, "")


def test_listing_joins_no_group(world: World, kafka: KafkaShell) -> None:
    bury(world, (b"anna", b"{"))
    with world.kafka.admin() as admin:
        before = admin.list_groups()
        assert len(listed(kafka)) == 1
        assert len(listed(kafka)) == 1  # nor does it remember how far it was
        assert [group["group_id"] for group in admin.list_groups()] == [group["group_id"] for group in before]


def test_no_letters_and_no_topic(kafka: KafkaShell) -> None:
    assert kafka("dlq", "list") == (0, f"no dead letters on {kafka.topic}.dlq\n")
    assert kafka("dlq", "redrive") == (
        0,
        f"sent 0 events to {kafka.topic}; 0 dead letters still wrong\nno dead letters on {kafka.topic}.dlq\n",
    )
    kafka.set(topic=f"{kafka.topic}-nowhere")
    for options in ([], ["--json"]):
        status, said = kafka("dlq", "list", *options)
        assert (status, said) == (0, f"there is no topic {kafka.topic}-nowhere.dlq; updaters make it when they start\n")
        assert kafka.stdout == ""


def test_without_any_broker(shell: Shell) -> None:
    for command in (("dlq", "list"), ("dlq", "redrive"), ("forget", "anna")):
        assert shell.fails(*command).startswith("error: no Kafka is configured (KAFKA_BOOTSTRAP_SERVERS)")


def test_a_reason_that_there_is_not(shell: Shell) -> None:
    said = shell.fails("dlq", "list", "--reason", "nope")
    assert (
        said == "error: --reason is 'nope'; right is one of empty, size, json, schema, field, time, key, user, record\n"
    )


def test_on_the_embedded_broker(shell: Shell) -> None:
    with EmbeddedBroker(Settings(home=shell.settings.home).state) as broker:
        assert shell("dlq", "list")[1] == "there is no topic behaviour-events.dlq; updaters make it when they start\n"
        producer = broker.cluster.producer()
        headers = [("source-topic", b"behaviour-events"), ("source-partition", b"1")]
        for offset, value in ((b"7", b"\xff"), (b"8", event(event_id="e-1"))):
            at = [*headers, ("source-offset", offset)]
            producer.send("behaviour-events.dlq", key=b"anna", value=value, headers=at).get(80)
        producer.close()
        _, said = shell("dlq", "list")
        assert all(f"behaviour-events[1]@{offset}  unknown  " in said for offset in (7, 8))
        assert shell("dlq", "redrive")[1] == f"sent 1 event to behaviour-events; 1 dead letter still wrong\n{SEE}"


def test_what_was_mended_is_applied_once(world: World, kafka: KafkaShell, tmp_path: Path) -> None:
    """Mended value, mended key, one that is still wrong, and one with a name of its own; all redriven twice."""
    sources = bury(
        world,
        (b"anna", event().replace(b"item_id", b"item")),
        (b"ben", event("cleo")),
        (b"anna", b"no event"),
        (b"anna", event(item="", event_id="order-7", event_time_ms=START_MS + 1)),
    )
    value_, key_, wrong, own = (listed(kafka)[source] for source in sources)
    value_["value"] = value_["value"].replace('"item"', '"item_id"')
    key_["key"] = "cleo"
    own["value"] = own["value"].replace('""', '"bowl"')
    file = tmp_path / "mended.jsonl"
    file.write_bytes(as_lines(value_, key_) + b"\n" + as_lines(wrong, own))
    for times in (1, 2):
        status, said = kafka("dlq", "redrive", str(file))
        assert status == 1
        assert kafka.stdout == f"sent 3 events to {world.topic}; 1 dead letter still wrong\n"
        assert f"{file}, line 4: not JSON in UTF-8" in said
        read_all(world, 4 + 3 * times)
        assert world.state("anna").history.event_ids == (sources[0], "order-7")
        assert world.state("anna").history.item_ids == ("mug", "bowl")
        assert world.state("cleo").history.event_ids == (sources[1],)
        assert sorted(world.store.users()) == ["anna", "cleo"]
    assert len(listed(kafka)) == 4  # all of them stay where they are


def test_what_is_an_event_by_now_is_sent(world: World, kafka: KafkaShell) -> None:
    """Left by an updater of other rules: two are events, one of them twice; a forgotten user is never sent again."""
    put(world, f"{world.topic}[0]@1", b"anna", event())
    put(world, f"{world.topic}[0]@1", b"anna", event())  # an updater that crashed before it had committed
    put(world, f"{world.topic}[0]@2", b"anna", event(item="bowl"))
    put(world, f"{world.topic}[0]@3", b"anna", None)
    put(world, f"{world.topic}[0]@4", b"ben", event())
    put(world, "another-topic[0]@5", b"anna", event(item="jug"))
    for times in (1, 2):
        assert kafka("dlq", "redrive") == (0, f"sent 2 events to {world.topic}; 3 dead letters still wrong\n{SEE}")
        read_all(world, 2 * times)
        assert world.state("anna").history.event_ids == (f"{world.topic}[0]@1", f"{world.topic}[0]@2")
        assert world.state("anna").history.item_ids == ("mug", "bowl")
    assert list(world.store.users()) == ["anna"]


def test_records_that_are_read_again_leave_copies(world: World, kafka: KafkaShell) -> None:
    """They are marked and counted, and each record is sent back once."""
    sources = bury(world, (b"anna", b"{"), (b"cleo", event("ben")))
    kafka.set(group=world.settings.group)
    assert kafka("offsets", "set", "all", "earliest", "--yes")[0] == 0
    updater = world.updater()
    work(updater, lambda: updater.counts["dead_letter"] == 2)
    updater.close()
    status, said = kafka("dlq", "list")
    *lines, counts = said.splitlines()
    assert counts == "4 dead letters: 2 json, 2 key; 2 of them copies: their records were read again"
    assert status == 0
    for source in sources:
        assert [f"  (copy of {world.topic}.dlq[" in line for line in lines if line.startswith(source)] == [False, True]
    kafka("dlq", "list", "--json")
    letters = [json.loads(line) for line in kafka.stdout.splitlines()]
    first, copy = (one for one in letters if one["source"] == sources[1])
    assert (first.get("copy_of"), copy["copy_of"]) == (None, first["letter"])
    mended = as_lines(first | {"key": "ben"}, copy | {"key": "ben"}, first | {"key": "ben", "source_ms": START_MS})
    assert kafka("dlq", "redrive", "-", stdin=mended)[0] == 0
    assert kafka.stdout == f"sent 2 events to {world.topic}; 0 dead letters still wrong\n"  # another life's is another
    assert kafka("dlq", "redrive")[1] == f"sent 0 events to {world.topic}; 2 dead letters still wrong\n{SEE}"


def test_lines_that_cannot_be_sent(world: World, kafka: KafkaShell) -> None:
    [source] = bury(world, (None, event()))
    line = listed(kafka)[source]
    good = line | {"key": "anna"}
    bad = [
        (line, "the record's key is missing"),
        (good | {"source": "another-topic[0]@1"}, f"its source is 'another-topic[0]@1'; it must be {world.topic}[part"),
        (good | {"value": None}, "`mindstream stream forget USER`"),
        (good | {"truncated": 600_000}, "truncated: it holds the beginning of 600,000 bytes only"),
        (good | {"value_base64": "aaaa"}, "both or none of value and value_base64"),
        ({name: good[name] for name in good if name != "key"}, "both or none of key and key_base64"),
        ({name: good[name] for name in good if name != "source"}, "missing required field `source`"),
        (good | {"value": good["value"].replace("mug", "m" * 513)}, "$.item_id"),
        (good | {"source_ms": 1_000_000_000_000}, "more than a day after the event was published"),
    ]
    lines = as_lines(*(one for one, _ in bad)) + b"\xff\n{\n" + as_lines(good, good)
    status, said = kafka("dlq", "redrive", "-", stdin=lines)
    assert status == 1
    assert kafka.stdout == f"sent 1 event to {world.topic}; {len(bad) + 2} dead letters still wrong\n"
    reported = said.splitlines()[1:]
    for number, (_, reason) in enumerate(bad, start=1):
        assert reported[number - 1].startswith(f"stdin, line {number}: ")
        assert reason in reported[number - 1]
    assert [line.split(": ")[0] for line in reported[-3:-1]] == ["stdin, line 10", "stdin, line 11"]
    assert reported[-1] == f"stdin, line 13: {source} stands in a line above; not sent again"
    read_all(world, 2)
    assert world.state("anna").history.event_ids == (source,)


def test_a_file_that_is_not_there_is_said_before_anything_is_connected(shell: Shell, tmp_path: Path) -> None:
    right = "right is a file with lines of `mindstream stream dlq list --json`, or - for stdin\n"
    for file, why in ((tmp_path / "nowhere.jsonl", "No such file or directory"), (tmp_path, "Is a directory")):
        assert shell.fails("dlq", "redrive", str(file)) == f"error: {file} cannot be read: {why}; {right}"


def test_the_truncated_are_refused(world: World, kafka: KafkaShell) -> None:
    """Whole up to what a letter holds; above it the letter says how much there was, of key and value together."""
    whole, cut = GOOD.ljust(KEPT_BYTES), GOOD.ljust(KEPT_BYTES + 1)
    sources = bury(world, (b"anna", whole), (b"anna", cut), (cut, b"x"))
    lines = listed(kafka)
    assert [lines[source].get("truncated") for source in sources] == [None, KEPT_BYTES + 5, KEPT_BYTES + 2]
    assert lines[sources[0]]["value"].encode() == whole
    assert "(the beginning of 500,005 bytes)" in kafka("dlq", "list")[1]
    mended_lines = [lines[source] | {"key": "anna", "value": event().decode()} for source in sources]
    status, said = kafka("dlq", "redrive", "-", stdin=as_lines(*mended_lines))
    assert status == 1
    assert kafka.stdout == f"sent 1 event to {world.topic}; 2 dead letters still wrong\n"
    assert said.count("the letter is truncated") == 2
    read_all(world, 4)
    assert world.state("anna").history.event_ids == (sources[0],)


def test_a_record_without_key_and_value(world: World, kafka: KafkaShell) -> None:
    """Other clients send such; the updater has to get past it."""
    other = OtherProducer({"bootstrap.servers": world.kafka.bootstrap_servers})
    other.produce(world.topic, partition=1)
    assert other.flush(20) == 0
    del other  # it would look for the broker as long as it is there
    updater = world.updater()
    work(updater, lambda: updater.counts["dead_letter"] == 1)
    updater.close()
    assert world.committed() == 1
    [line] = listed(kafka).values()
    assert (line["key"], line["value"], line["reason"]) == (None, "", "key")


def test_odd_characters_are_shown_escaped(world: World, kafka: KafkaShell) -> None:
    put(world, f"{world.topic}[0]@1", b"a", b'"\x1b[2J\x7f\xc2\x85\xe2\x80\xae\xc3\xa4"', reason="\x1b[31mred\u202e")
    assert r"\x1b[31mred\u202e" in kafka("dlq", "list")[1]
    _, said = kafka("dlq", "list", "--json")
    assert "ä" in said
    assert said.rstrip("\n").isprintable()
    assert listed(kafka)[f"{world.topic}[0]@1"]["value"] == '"\x1b[2J\x7f\x85\u202eä"'


def test_what_strangers_put_there_is_listed(world: World, kafka: KafkaShell) -> None:
    """Without our headers, or with others in them."""
    with KafkaProducer(bootstrap_servers=world.kafka.bootstrap_servers) as producer:
        for headers in ([], [("reason", b"\xff"), ("truncated", b"much")]):
            producer.send(f"{world.topic}.dlq", key=b"anna", value=event(), headers=headers, partition=0).get(80)
    status, said = kafka("dlq", "list")
    assert status == 0
    first, second, counts = said.splitlines()
    assert (first, second) == (f"{world.topic}.dlq[0]@0  unknown  ", f"{world.topic}.dlq[0]@1  \\xff  ")
    assert counts == "2 dead letters: 1 unknown, 1 \\xff"
    assert kafka("dlq", "redrive") == (0, f"sent 0 events to {world.topic}; 2 dead letters still wrong\n{SEE}")


def test_letters_of_many_partitions_and_batches(world: World, kafka: KafkaShell) -> None:
    with KafkaProducer(bootstrap_servers=world.kafka.bootstrap_servers) as producer:
        for number in range(3_000):
            producer.send(f"{world.topic}.dlq", key=str(number).encode(), value=b"x" * 1_000)
    with DeadLetterTopic(world.cluster, f"{world.topic}.dlq") as letters:
        assert len(letters) == 3_000
        found = list(letters)
        assert len(list(letters)) == 3_000  # from the beginning again
    assert sorted(int(letter.key or b"") for letter in found) == list(range(3_000))
    assert len({letter.place for letter in found}) == 3_000


LETTERS = st.builds(
    Letter,
    st.text(),
    st.text(),
    st.text(),
    st.text(),
    st.integers(-1, 2**53),
    st.none() | st.binary() | st.text().map(str.encode),
    st.none() | st.binary() | st.text().map(str.encode),
    st.none() | st.integers(0, 10**9),
    st.none() | st.integers(0, 2**53),
)


@given(LETTERS)
def test_every_letter_survives_its_line(letter: Letter) -> None:
    line = to_line(letter)
    assert line.isprintable()
    assert from_line(line.encode()) == letter


@pytest.mark.parametrize("tail", ["", " \n", ',"event_id":null', ',"event_id":""', ',"other":[1e400,{"x":1}]'])
def test_an_event_gets_the_name_of_its_source(tail: str) -> None:
    """Its other bytes stay; an empty event_id is none."""
    value = GOOD + tail.encode() if tail.isspace() else GOOD[:-1] + tail.encode() + b"}"
    letter = Letter("t.dlq[0]@0", "t[3]@14", "key", "", START_MS, b"anna", value)
    key, made = record_to_send(letter, "t")
    assert made.startswith(value.rstrip()[:-1])
    found = decode(made, key)
    assert isinstance(found, Event)
    assert (found.event_id, found.item_id) == ("t[3]@14", "mug")


def test_the_name_of_a_source_is_never_too_long() -> None:
    source = f"{'t' * 249}[3]@14"
    made = decode(with_event_id(GOOD, source), b"anna")
    assert isinstance(made, Event)
    assert made.event_id == source[-LONGEST_EVENT_ID:]


def test_an_event_with_a_name_stays_as_it_is() -> None:
    key, value = encode(Event("anna", "mug", START_MS, event_id="e-1"))
    letter = Letter("t.dlq[0]@0", "t[3]@14", "key", "", START_MS, key, value)
    assert record_to_send(letter, "t") == (key, value)


def test_records_of_another_shape_are_redriven_once_a_mapping_says_what_they_are(
    world: World, kafka: KafkaShell, tmp_path: Path
) -> None:
    """Without a mapping all are dead letters; with one each is applied once, however often redriven, and forgotten."""
    order = {"userId": 42, "at": START_MS, "items": [{"id": world.items[3]}, {"id": world.items[5]}]}
    records = [json.dumps(order), json.dumps(order | {"userId": None, "guest": "g-1"}), json.dumps({"page": "/"})]
    bury(world, *((None, record.encode()) for record in records))
    mapping = tmp_path / "shop.toml"
    mapping.write_text('user = "userId,guest"\nitem = "items[].id"\ntime = "at"\n')
    kafka.set(mapping=mapping)
    world.settings = world.settings.model_copy(update={"mapping": mapping})
    for times in (1, 2):
        _, said = kafka("dlq", "redrive")
        assert said.startswith(f"sent 2 events to {world.topic}; 1 dead letter still wrong\n")
        read_all(world, 3 + 2 * times)
        for user in ("42", "g-1"):
            assert world.history(user) == [3, 5]
    world.send([(b'"7"', json.dumps(order).encode())], partition=1)  # a replay on another partition, of another record
    read_all(world, 8)
    assert world.history("42") == [3, 5, 3, 5]
    status, said = kafka("forget", "42")
    assert status == 0
    assert sum("  42" in line for line in said.splitlines()) == 1  # the one dead letter that names the user
    read_all(world, 8 + 4)
    assert (world.state("42").history.item_ids, world.history("g-1")) == ((), [3, 5])
