"""What the client cannot parse, on a real Kafka: it becomes dead letters, and everything else is applied."""

from collections.abc import Callable, Collection
from contextlib import suppress

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.consumer.fetcher import CompletedFetch, ConsumerRecord
from kafka.errors import CorruptRecordError, KafkaError, UnknownError

from stream.dead_letters.letter import Letter, read_record
from stream.dead_letters.topic_reader import DeadLetterTopic
from stream.events.event import encode
from stream.kafka.fetch.tolerant_fetch import HeldError, TolerantConsumer
from stream.kafka.fetch.unreadable_record import UnreadableRecord, last_offset_of
from testbed.bad_records import DAMAGES, NotText, damage_batch
from testbed.stream_process import wait_until
from tests.support.updater_world import World, work

BATCHES, IN_A_BATCH = 4, 3
SALVAGED = {"too few records", "too many records"}  # the checksum is right, and each record is where it should be
CUTS = {"length too large"}  # a broker gives nothing then, as at the end of a log


@pytest.fixture
def _own_broker(world: World) -> None:
    if not world.kafka.can_restart:
        pytest.skip("the broker's disk is not here")


def publish_batches(world: World, user_id: str, partition: int) -> None:
    """Twelve clicks of a user, in four batches."""
    clicks = world.clicks(user_id, *range(BATCHES * IN_A_BATCH))
    with KafkaProducer(bootstrap_servers=world.kafka.bootstrap_servers, linger_ms=500) as producer:
        for number, click in enumerate(clicks):
            key, value = encode(click)
            producer.send(world.topic, key=key, value=value, partition=partition)
            if number % IN_A_BATCH == IN_A_BATCH - 1:
                producer.flush()


def letters_of(world: World, count: int) -> list[Letter]:
    return [read_record(record) for record in world.dead_letters(count)]


@pytest.mark.usefixtures("_own_broker")
def test_a_damaged_batch_becomes_one_dead_letter(world: World) -> None:
    """The others of its partition, before and behind it, are applied; so are those of other partitions."""
    users = dict(zip(sorted(DAMAGES.keys() - SALVAGED - CUTS), range(100), strict=False))
    for how, number in users.items():
        publish_batches(world, how, number % 4)
    for how, number in reversed(users.items()):  # the later ones first: behind damage no batch is found
        damage_batch(world.kafka.data, world.topic, number % 4, BATCHES * (number // 4) + 1, how)
    lost = IN_A_BATCH * len(users)
    updater = world.updater()
    work(updater, lambda: updater.counts["applied"] + updater.counts["dead_letter"] == 12 * len(users))
    assert updater.counts["dead_letter"] == lost
    rest = [item for item in range(12) if item // IN_A_BATCH != 1]
    assert {how: world.history(how) for how in users} == dict.fromkeys(users, rest)
    found = {one.source: one for one in letters_of(world, len(users))}
    for number in users.values():
        letter = found[f"{world.topic}[{number % 4}]@{12 * (number // 4) + 3}"]
        assert (letter.reason, letter.key, letter.value) == ("record", None, b"")
        assert letter.error.startswith("the batch is ")
    assert world.committed() == 12 * len(users)
    assert updater.reader.trouble is None


@pytest.mark.usefixtures("_own_broker")
@pytest.mark.parametrize("how", sorted(SALVAGED))
def test_records_that_are_where_they_should_be_are_read(world: World, how: str) -> None:
    publish_batches(world, "anna", 0)
    damage_batch(world.kafka.data, world.topic, 0, 1, how)
    updater = world.updater()
    work(updater, lambda: world.committed() == 12)
    assert world.history("anna") == list(range(12))
    assert updater.counts["dead_letter"] == 0


@pytest.mark.usefixtures("_own_broker")
@pytest.mark.parametrize("begins", [0, 3, 4, 6])
def test_where_the_broker_gives_nothing_it_is_read_around(world: World, begins: int) -> None:
    """The watchdog says so after a minute, and again while nothing comes; here at once."""
    publish_batches(world, "anna", 0)
    damage_batch(world.kafka.data, world.topic, 0, 1, "length too large")
    partition = TopicPartition(world.topic, 0)
    consumer = world.cluster.consumer(None)
    world.closing.callback(consumer.close)
    consumer.assign([partition])
    consumer.seek(partition, begins)
    found = [one for _ in range(2) for one in consumer.poll(500).get(partition, [])]
    while consumer.position(partition) < 12:
        consumer.read_around(partition, "it sends nothing")
        found += [one for _ in range(2) for one in consumer.poll(500).get(partition, [])]
    unreadable = [(one.offset, one.last_offset) for one in found if isinstance(one, UnreadableRecord)]
    assert unreadable == ([(max(begins, 3), 5)] if begins < 6 else [])
    assert [one.offset for one in found if not isinstance(one, UnreadableRecord)] == [
        offset for offset in range(12) if offset >= begins and offset not in (3, 4, 5)
    ]


@pytest.mark.usefixtures("_own_broker")
@pytest.mark.parametrize("how", ["checksum", "unknown codec"])
def test_reading_may_begin_within_a_damaged_batch(world: World, how: str) -> None:
    publish_batches(world, "anna", 0)
    damage_batch(world.kafka.data, world.topic, 0, 1, how)
    partition, consumer = TopicPartition(world.topic, 0), world.cluster.consumer(None)
    world.closing.callback(consumer.close)
    consumer.assign([partition])
    consumer.seek(partition, 4)
    found = list[ConsumerRecord]()

    def all_found() -> bool:
        found.extend(consumer.poll(200).get(partition, []))
        return int(consumer.position(partition)) == 12

    wait_until(all_found, "all are read")
    assert [(one.offset, last_offset_of(one)) for one in found] == [(4, 5), *((at, at) for at in range(6, 12))]


@pytest.mark.usefixtures("_own_broker")
@pytest.mark.parametrize("how", ["checksum", "claims", "last offset"])
def test_damage_at_the_end_of_a_log_takes_nothing_that_comes_later(world: World, how: str) -> None:
    """What the batch says of its offsets counts where it agrees with itself, and as far as there are any."""
    publish_batches(world, "anna", 0)
    damage_batch(world.kafka.data, world.topic, 0, BATCHES - 1, how)
    updater = world.updater()
    work(updater, lambda: updater.counts["applied"] + updater.counts["dead_letter"] == 12)
    publish_batches(world, "ben", 0)
    work(updater, lambda: world.committed() == 24)
    assert (world.history("anna"), world.history("ben")) == (list(range(9)), list(range(12)))
    letters = [read_record(record).source for record in world.kafka.records(world.settings.dead_letter_topic)]
    offsets = [9, 10, 11] if how == "last offset" else [9]
    # In no order: the topic of dead letters has several partitions.
    assert sorted(letters) == sorted(f"{world.topic}[0]@{offset}" for offset in offsets)


@pytest.mark.usefixtures("_own_broker")
def test_behind_a_damaged_mark_of_a_transaction_nothing_else_is_taken_back(world: World) -> None:
    """Two events that are taken back and the mark that says so, then two of the same producer that stay."""
    clicks = [encode(one) for one in world.clicks("anna", 0, 1, 2, 3)]
    options = {"transactional_id": world.topic, "linger_ms": 500}
    with KafkaProducer(bootstrap_servers=world.kafka.bootstrap_servers, **options) as producer:
        producer.init_transactions()
        for events, end in ((clicks[:2], producer.abort_transaction), (clicks[2:], producer.commit_transaction)):
            producer.begin_transaction()
            for key, value in events:
                producer.send(world.topic, key=key, value=value, partition=0)
            producer.flush()
            end()
    damage_batch(world.kafka.data, world.topic, 0, 1, "checksum")
    updater = world.updater()
    work(updater, lambda: world.committed() == 6)
    assert world.history("anna") == [2, 3]
    [letter] = letters_of(world, 1)
    assert letter.source == f"{world.topic}[0]@2"


def error_of(kind: type[KafkaError]) -> Callable[[CompletedFetch], None]:
    """An answer that is this error."""

    def answer(completed: CompletedFetch) -> None:
        raise kind()

    return answer


def answer_of(content: bytes) -> Callable[[CompletedFetch], None]:
    """An answer of these bytes."""

    def answer(completed: CompletedFetch) -> None:
        completed.partition_data.records = content

    return answer


REFUSALS = {
    "corrupt": error_of(CorruptRecordError),
    "unknown": error_of(UnknownError),
    "nothing": answer_of(b""),
    "zeros": answer_of(bytes(100)),
    "cut off": answer_of(bytes(8) + b"\x40" + bytes(100)),
}


class Refused:
    """A consumer at offset 6 of 12, to which the broker refuses to send what begins at some offsets.

    What it answers there depends on its version and on the damage; that alone is put on.
    """

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch, how: str, offsets: Collection[int]) -> None:
        publish_batches(world, "anna", 0)
        self.partition, self.consumer = TopicPartition(world.topic, 0), world.cluster.consumer(None)
        world.closing.callback(self.consumer.close)
        self.consumer.assign([self.partition])
        self.consumer.seek(self.partition, 6)
        self.parse, self.how, self.offsets = self.consumer._parse, how, offsets
        self.fetched, self.found = list[int](), list[int]()
        monkeypatch.setattr(self.consumer, "_parse", self.answer)

    def answer(self, completed: CompletedFetch) -> object:
        self.fetched.append(completed.fetched_offset)
        if completed.fetched_offset in self.offsets:
            REFUSALS[self.how](completed)
        return self.parse(completed)

    def poll(self) -> int:
        """The position after a poll, whose offsets are added to `found`."""
        self.found += [one.offset for one in self.consumer.poll(200).get(self.partition, [])]
        return int(self.consumer.position(self.partition))


@pytest.mark.parametrize("how", REFUSALS)
def test_where_the_broker_refuses_it_is_read_from_further_before(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    refused = Refused(world, monkeypatch, how, offsets={5, 6})
    if how == "nothing":  # as at the end of a log: that something is wrong says the watchdog
        refused.consumer.read_around(refused.partition, "it sends nothing")
    wait_until(lambda: refused.poll() == 12, "all are read")
    assert refused.found == list(range(6, 12))
    assert refused.fetched[-2:] == [5, 2]  # one offset before, then four


@pytest.mark.parametrize("how", sorted(REFUSALS.keys() - {"nothing"}))
def test_where_the_broker_refuses_all_the_partition_is_held(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    refused = Refused(world, monkeypatch, how, offsets=range(12))

    def is_held() -> bool:
        with suppress(HeldError):
            refused.poll()
        return refused.partition in refused.consumer.held

    wait_until(is_held, "it is held")
    why, _ = refused.consumer.held[refused.partition]
    assert why.startswith(f"{world.topic}[0]@6: the broker cannot read its log here (")
    assert refused.fetched == [6, 5, 2, 0]
    assert refused.consumer.position(refused.partition) == 6
    assert refused.found == []


@pytest.mark.usefixtures("_own_broker")
def test_the_watchdog_has_it_read_around_where_joining_anew_did_not_help(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the watchdog looks while the group has no partitions for it."""
    publish_batches(world, "anna", 0)
    damage_batch(world.kafka.data, world.topic, 0, 1, "length too large")
    updater = world.updater()
    work(updater, lambda: updater.counts["applied"] == 3)  # the batch before
    reader, done = updater.reader, list[str]()
    monkeypatch.setattr("stream.kafka.group.progress_watch.WATCH_S", 0.1)
    reader.watch.watchdog.patience_s, reader.watch.watchdog.patience_polls = 0.5, 1
    join_anew, read_around = reader.watch.join_anew, TolerantConsumer.read_around

    def joining() -> None:
        done.append("joins anew")
        join_anew()
        assert not reader.partitions()
        reader.watch.look_soon()
        reader.watch.check(reader.polls, paused=False)

    def reading(consumer: TolerantConsumer, partition: TopicPartition, why: str) -> None:
        done.append("reads around")
        read_around(consumer, partition, why)

    monkeypatch.setattr(reader.watch, "join_anew", joining)
    monkeypatch.setattr(TolerantConsumer, "read_around", reading)
    work(updater, lambda: updater.counts["applied"] == 9)
    assert done[:2] == ["joins anew", "reads around"]
    assert updater.counts["dead_letter"] == 3
    assert world.history("anna") == [0, 1, 2, *range(6, 12)]
    assert world.committed() == 12


@pytest.mark.parametrize("codec", [None, "lz4"])
def test_a_header_whose_name_is_no_text(world: World, codec: str | None) -> None:
    """Key and value are in the letter, the other records of the batch are applied, and redriving helps."""
    clicks = [encode(one) for one in world.clicks("anna", 0, 1, 2, 3, 4)]
    with KafkaProducer(
        bootstrap_servers=world.kafka.bootstrap_servers, linger_ms=500, compression_type=codec
    ) as producer:
        for number, (key, value) in enumerate(clicks):
            headers = [("trace", b"7"), (NotText("odd"), b"x")] if number % 2 else [("trace", b"7")]
            producer.send(world.topic, key=key, value=value, headers=headers, partition=0)
    updater = world.updater()
    work(updater, lambda: updater.counts["applied"] + updater.counts["dead_letter"] == 5)
    assert world.history("anna") == [0, 2, 4]
    letters = sorted(letters_of(world, 2), key=lambda one: one.source)
    assert [one.source for one in letters] == [f"{world.topic}[0]@1", f"{world.topic}[0]@3"]
    assert [(one.key, one.value) for one in letters] == [clicks[1], clicks[3]]
    assert letters[0].error == r"the name of a header is not UTF-8: b'name-\xff'"
    assert world.committed() == 5


def test_a_dead_letter_that_cannot_be_read_is_listed(world: World) -> None:
    """The topic of dead letters is read in the same way."""
    letter = {"key": b"anna", "value": b"{", "headers": [(NotText("odd"), b"x")], "partition": 0}
    with KafkaProducer(bootstrap_servers=world.kafka.bootstrap_servers) as producer:
        producer.send(world.settings.dead_letter_topic, **letter)
    with DeadLetterTopic(world.cluster, world.settings.dead_letter_topic) as topic:
        [found] = topic
    assert (found.reason, found.key, found.value) == ("record", b"anna", b"{")
    assert found.error.startswith("the letter itself cannot be read: the name of a header")
