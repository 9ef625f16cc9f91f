"""Archivers on a real Kafka: what is on the topic is in the archive once, whoever reads it."""

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import Producer

from mindstream.settings import Settings
from model_export.readers import read_log
from stream.archive.archive import Archive
from stream.archive.archiver import Archiver, Pace
from stream.archive.first_start import check_first_archive
from stream.archive.metrics import ArchiveMetrics
from stream.events.decoders import StrictDecoder, decoder_of
from stream.events.event import Event, Forget, encode
from stream.events.producer import EventProducer
from stream.kafka.cluster import Cluster
from stream.kafka.embedded_broker import EmbeddedBroker
from stream.monitoring.health import Health
from testbed.real_kafka import RealKafka
from testbed.stream_process import StreamProcess, wait_until
from tests.support.archived import DAY_MS, NOON_MS, rows_in

NEVER = Pace(every_s=3_600, events=1_000_000)
USERS = ("ann", "ben", "cat", "dan", "eve")


class Shop:
    """A topic on the real Kafka, and the archivers of its archive."""

    def __init__(self, kafka: RealKafka, topic: str, folder: Path) -> None:
        self.kafka, self.topic, self.home = kafka, topic, folder / "home"
        self.folder = self.home / "events"
        self.settings = Settings(bootstrap_servers=kafka.bootstrap_servers, topic=topic, group=topic, home=self.home)
        self.closing = ExitStack()

    def archiver(self, pace: Pace = NEVER) -> Archiver:
        """A new archiver; closed with the shop."""
        archive = Archive(self.folder, self.topic)
        cluster, decoder = Cluster(self.kafka.bootstrap_servers), decoder_of(self.settings)
        made = Archiver(cluster, archive, decoder, self.settings, pace, ArchiveMetrics(), Health(who="archiver"))
        self.closing.callback(made.close)
        return made

    def publish(self, first: int, last: int, forget: str = "") -> None:
        """Publish events of these numbers, four a day; then forget a user."""
        with EventProducer(Cluster(self.kafka.bootstrap_servers), self.topic) as producer:
            for number in range(first, last):
                user_id = USERS[number % len(USERS)]
                producer.send(Event(user_id, f"mug-{number}", NOON_MS + number * DAY_MS // 4))
            if forget:
                producer.forget(forget)
            producer.flush()

    def make_again(self) -> None:
        """Delete the topic, and create it with the same shape."""
        with self.kafka.admin() as admin:
            admin.delete_topics([self.topic])
            wait_until(lambda: self.topic not in admin.list_topics(), "the topic is deleted")
            admin.create_topics({self.topic: {"num_partitions": 4, "replication_factor": 1}}, wait_for_metadata=True)

    def command(self, *arguments: str) -> StreamProcess:
        """`python -m stream archive` on this topic."""
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "MINDSTREAM_TOPIC": self.topic,
            "MINDSTREAM_GROUP": self.topic,
        }
        self.home.mkdir(exist_ok=True)
        process = StreamProcess(self.home, "archive", *arguments, variables=variables)
        self.closing.enter_context(process)
        return process

    def on_topic(self) -> Counter[tuple[str, int, int]]:
        """user_id, partition and offset of every event on the topic."""
        records = [record for record in self.kafka.records(self.topic) if record.value is not None]
        return Counter((record.key.decode(), record.partition, record.offset) for record in records)

    def archived(self) -> Counter[tuple[str, int, int]]:
        """The same of every row of the archive."""
        return Counter({(row[0], *row[2:]): count for row, count in rows_in(self.folder).items()})


@pytest.fixture
def shop(real_kafka: RealKafka, topic: str, tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(real_kafka, topic, tmp_path)
    with shop.closing:
        yield shop


def work(archiver: Archiver, until: Callable[[], object], what: str) -> None:
    def done() -> object:
        archiver.step(50)
        return until()

    wait_until(done, what)


def held(archiver: Archiver) -> int:
    return sum(len(part.rows) for part in archiver.parts.values())


def test_one_who_was_thought_dead_writes_nothing_twice(shop: Shop) -> None:
    shop.publish(0, 40)
    first = shop.archiver()
    work(first, lambda: held(first) == 40, "the first archiver has read the topic")
    shop.kafka.remove_members(shop.settings.archive_group)
    second = shop.archiver()
    work(second, lambda: held(second) == 40, "the second archiver has read the topic")
    second.cut()
    assert shop.archived() == shop.on_topic()
    first.cut()
    assert shop.archived() == shop.on_topic()
    assert first.metrics.archive_counts["left_to_others"] == 40
    second.close()
    shop.publish(40, 60)
    work(first, lambda: held(first) == 20, "the first archiver goes on where the archive ends")
    first.cut()
    assert shop.archived() == shop.on_topic()


def test_the_archive_says_where_to_go_on_and_not_the_group(shop: Shop) -> None:
    """The group has committed all; an archive that was lost begins anew, and one that is there goes on."""
    shop.publish(0, 20)
    first = shop.archiver()
    work(first, lambda: held(first) == 20, "all is read")
    first.cut()
    first.reader.finish_commits()
    first.close()
    shop.folder.rename(shop.home / "elsewhere")
    again = shop.archiver()
    work(again, lambda: held(again) == 20, "all is read from the beginning")
    again.cut()
    again.close()
    assert shop.archived() == shop.on_topic()
    last = shop.archiver()
    shop.publish(20, 25)
    work(last, lambda: held(last) >= 5, "only what is new is read")
    assert held(last) == 5


def test_where_nothing_can_be_written_reading_pauses_and_goes_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    shop.publish(0, 10)
    archiver = shop.archiver(Pace(every_s=0, events=10))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        work(archiver, lambda: archiver.trouble, "the disk is full")
        archiver.tell_health()
        assert "No space left" in str(archiver.health.unready())
        shop.publish(10, 20)
        archiver.step()
        assert held(archiver) <= 10
    work(archiver, lambda: not archiver.trouble and not archiver.holds(), "it is written")
    work(archiver, lambda: sum(shop.archived().values()) == 20, "what came meanwhile is written too")
    archiver.tell_health()
    assert archiver.health.unready() is None
    assert shop.archived() == shop.on_topic()


class RegistryAway(StrictDecoder):
    """A decoder whose registry is away, until it is there."""

    away = True

    def decode(
        self, value: bytes | None, key: bytes | None, published_ms: int, record_id: str | None = None
    ) -> Sequence[Event | Forget]:
        if self.away and value and b"mug-7" in value:
            raise OSError("the registry is away")
        return super().decode(value, key, published_ms, record_id)


def test_where_a_schema_cannot_be_had_reading_pauses_and_goes_on(shop: Shop) -> None:
    archiver = shop.archiver()
    archiver.decoder = decoder = RegistryAway()
    shop.publish(0, 20)
    work(archiver, lambda: archiver.trouble, "the registry is asked")
    work(archiver, lambda: not archiver.holds(), "what was read before is archived")
    archiver.tell_health()
    assert "the registry is away" in str(archiver.health.unready())
    shop.publish(20, 30)
    for _ in range(3):
        archiver.step(50)
    assert sum(shop.archived().values()) < 20
    decoder.away = False
    work(archiver, lambda: held(archiver) + sum(shop.archived().values()) == 30, "reading goes on")
    archiver.cut()
    assert shop.archived() == shop.on_topic()


def test_events_of_another_shape_are_archived_by_the_mapping(shop: Shop, tmp_path: Path) -> None:
    """Each event of a record is a row; those without an id are known by their record."""
    (tmp_path / "shop.toml").write_text('user = "who.id"\nitem = "lines[].sku"\ntime = "at"\n', encoding="utf-8")
    shop.settings = shop.settings.model_copy(update={"mapping": tmp_path / "shop.toml"})
    producer = Producer({"bootstrap.servers": shop.kafka.bootstrap_servers})
    order: dict[str, object] = {"who": {"id": 7}, "lines": [{"sku": "mug"}, {"sku": 12}], "at": "2026-11-29T12:00:00Z"}
    records: list[dict[str, object]] = [order, order | {"at": "2026-11-30T12:00:00Z"}, {"who": {}}]
    for record in records:
        producer.produce(shop.topic, json.dumps(record), partition=1)
    producer.flush()
    archiver = shop.archiver()
    work(archiver, lambda: held(archiver) == 4, "both orders are read")
    archiver.cut()
    assert [path.parent.name for path in sorted(shop.folder.glob("day=*/*"))] == ["day=2026-11-29", "day=2026-11-30"]
    assert sorted(shop.archived()) == [("7", 1, 0), ("7", 1, 1)]
    assert sum(count for what, count in archiver.metrics.said.items() if what.startswith("unreadable (")) == 1
    noon_ms, events = 1_795_953_600_000, read_log(shop.folder).events
    assert sorted(zip(events.item_id, events.event_time_ms, strict=True)) == [
        ("12", noon_ms),
        ("12", noon_ms + DAY_MS),
        ("mug", noon_ms),
        ("mug", noon_ms + DAY_MS),
    ]


def test_once_ends_behind_what_a_transaction_took_back(shop: Shop) -> None:
    """One partition has events, one nothing but marks of a transaction, and two are empty."""
    producer = Producer(
        {"bootstrap.servers": shop.kafka.bootstrap_servers, "transactional.id": shop.topic, "partitioner": "murmur2"}
    )
    producer.init_transactions()
    for partition, ends in (
        (0, producer.commit_transaction),
        (0, producer.abort_transaction),
        (1, producer.abort_transaction),
    ):
        producer.begin_transaction()
        for number in range(5):
            key, value = encode(Event("ann", f"mug-{number}", NOON_MS))
            producer.produce(shop.topic, value, key, partition=partition)
        ends()
    shop.archiver().run_once(threading.Event())
    assert sorted(shop.archived()) == [("ann", 0, offset) for offset in range(5)]


def test_once_on_the_embedded_broker(tmp_path: Path) -> None:
    settings = Settings(topic="clicks", group="shop", home=tmp_path)
    with EmbeddedBroker(settings.state) as broker:
        broker.cluster.ensure_topics(["clicks"], 4)
        with EventProducer(broker.cluster, "clicks") as producer:
            for number in range(20):
                producer.send(Event(USERS[number % 5], f"mug-{number}", NOON_MS))
            producer.flush()
        archive, metrics = Archive(settings.archive, "clicks"), ArchiveMetrics()
        decoder, health = decoder_of(settings), Health()
        Archiver(broker.cluster, archive, decoder, settings, NEVER, metrics, health).run_once(threading.Event())
    assert sum(rows_in(settings.archive).values()) == 20
    assert metrics.said == {"archived": 20, "files_written": len(archive.files())}


def test_a_topic_that_is_made_again_is_read_from_its_start(shop: Shop) -> None:
    """What was read of the topic before it was deleted is archived too: nobody could read it again."""
    shop.publish(0, 20)
    archiver = shop.archiver()
    work(archiver, lambda: held(archiver) == 20, "the topic is read")
    shop.make_again()
    shop.publish(20, 25)
    work(archiver, lambda: not archiver.holds() or held(archiver) >= 25, "the topic is noticed to be another one")
    work(archiver, lambda: held(archiver) + sum(rows_in(shop.folder).values()) == 25, "it is read from its start")
    archiver.cut()
    found = rows_in(shop.folder)
    assert set(found.values()) == {1}
    assert sorted(Counter(life for _, life, *_ in found).values()) == [5, 20]
    with pytest.raises(ValueError, match=r"holds another topic .* `--start-at beginning`"):
        check_first_archive(archiver.archive, "a third life", None)
    check_first_archive(archiver.archive, "a third life", 0)
    check_first_archive(archiver.archive, "a third life", None)  # it is said, though nothing was on it yet
    check_first_archive(archiver.archive, archiver.reader.life.id, None)


def test_the_command_from_kill_to_log(shop: Shop) -> None:
    shop.publish(0, 30)
    one = shop.command("--every", "0.5").says(" archived; ", 60)
    one.end(signal.SIGKILL)
    shop.kafka.remove_members(shop.settings.archive_group)
    shop.publish(30, 60, forget="ann")
    shop.publish(60, 70)
    with EventProducer(Cluster(shop.kafka.bootstrap_servers), shop.topic) as producer:
        producer.producer.send(shop.topic, key=b"ann", value=b"no event")
    two = shop.command("--every", "60")
    two.says("now reading", 60)
    assert two.end(signal.SIGTERM) == 0, two.said
    three = shop.command("--once")
    assert three.ends() == 0, three.said
    assert "'unreadable (json)': 1" in two.said + three.said
    expected = {row for row in shop.on_topic() if row[0] != "ann"}
    after = [row for row in shop.archived() if row[0] == "ann"]
    assert set(shop.archived().values()) == {1}
    assert set(shop.archived()) - set(after) == expected
    assert len(after) == 2  # of the ten events of 60 to 69
    log = read_log(shop.folder)
    assert len(log.events) == 58
    assert log.dropped == {}
    assert three.ends() == 0
