"""A topic on a real Kafka, a store, and updaters that a test moves step by step."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.serving import FixedServing
from stream.events.event import Event
from stream.events.producer import EventProducer
from stream.kafka.cluster import Cluster
from stream.store.codec import to_bytes
from stream.store.contract import Store
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState
from stream.updater.updater import Updater
from testbed.real_kafka import RealKafka
from testbed.stream_process import wait_until

PARTITIONS = 4  # of the fixture `topic`
START_MS = 1_720_000_000_000


class World:
    """A topic on a real Kafka, a store, and updaters that the test moves step by step."""

    def __init__(self, kafka: RealKafka, topic: str, bundle: Bundle, home: Path) -> None:
        self.kafka, self.topic, self.home = kafka, topic, home
        self.cluster = Cluster(kafka.bootstrap_servers)
        self.items = bundle.item_ids
        self.serving = FixedServing(bundle, Extractor)
        self.extractor = self.serving.current
        self.settings = Settings(
            bootstrap_servers=kafka.bootstrap_servers, topic=topic, group=f"{topic}-updaters", home=home
        )
        self.closing = ExitStack()
        self.store: LmdbStore = self.closing.enter_context(LmdbStore(self.settings.state))

    def updater(self, store: Store | None = None, start_ms: int = 0, **changed: object) -> Updater:
        """A new updater; closed with the world where the test does not do that before."""
        settings = self.settings.model_copy(update=changed)
        updater = Updater(self.cluster, store or self.store, self.serving, settings, start_ms=start_ms)
        self.closing.callback(updater.close)
        return updater

    def publish(self, events: Iterable[Event]) -> list[tuple[int, int]]:
        """Where each event stands now: partition, offset."""
        with EventProducer(self.cluster, self.topic) as producer:
            futures = [producer.send(event) for event in events]
            producer.flush()
            return [(future.value.partition, future.value.offset) for future in futures]

    def send(self, records: Iterable[tuple[bytes | None, bytes | None]], partition: int = 2) -> list[tuple[int, int]]:
        """Publish bare records (key, value), all to one partition."""
        with KafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers, max_request_size=2_000_000) as producer:
            futures = [producer.send(self.topic, key=key, value=value, partition=partition) for key, value in records]
            return [(future.get(80).partition, future.get(80).offset) for future in futures]

    def forget(self, user_id: str) -> None:
        with KafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers) as producer:
            producer.send(self.topic, key=user_id.encode(), value=None).get(80)

    def clicks(self, user_id: str, *items: int, first: int = 0) -> list[Event]:
        """One click on each of these items of the bundle, a second apart."""
        return [
            Event(user_id, self.items[item], START_MS + 1000 * number) for number, item in enumerate(items, start=first)
        ]

    def state(self, user_id: str) -> UserState:
        [state] = self.store.get_many([user_id])
        assert state is not None, f"{user_id} is not stored"
        return state

    def history(self, user_id: str) -> list[int]:
        """The items of a user, as `clicks` counts them."""
        return [self.items.index(item_id) for item_id in self.state(user_id).history.item_ids]

    def stored_bytes(self, store: LmdbStore | None = None) -> dict[str, bytes]:
        store = store or self.store
        users = list(store.users())
        return {user: to_bytes(state) for user, state in zip(users, store.get_many(users), strict=True) if state}

    def partitions(self) -> list[TopicPartition]:
        return [TopicPartition(self.topic, number) for number in range(PARTITIONS)]

    def committed(self) -> int:
        """Events that the group has committed, of all partitions."""
        with closing(self.cluster.consumer(self.settings.group)) as consumer:
            return sum(consumer.committed(one) or 0 for one in self.partitions())

    def dead_letters(self, count: int) -> list[ConsumerRecord]:
        with KafkaConsumer(
            self.settings.dead_letter_topic,
            bootstrap_servers=self.kafka.bootstrap_servers,
            auto_offset_reset="earliest",
            consumer_timeout_ms=80_000,
        ) as consumer:
            return [record for _, record in zip(range(count), consumer, strict=False)]

    def make_again(self) -> None:
        """Delete the topic and create it with the same shape."""
        before = self.life()
        self.delete()
        wait_until(lambda: self.life() != before, "the topic is deleted")
        self.create()

    def life(self) -> str:
        with self.kafka.admin() as admin:
            return str(admin.describe_topics([self.topic])[0]["topic_id"])

    def delete(self) -> None:
        with self.kafka.admin() as admin:
            admin.delete_topics([self.topic])

    def create(self) -> None:
        with self.kafka.admin() as admin:
            shape = {"num_partitions": PARTITIONS, "replication_factor": 1}
            admin.create_topics({self.topic: shape})
            admin.wait_for_topics([self.topic])


def work(updater: Updater, until: Callable[[], bool], what: str = "the updater is done") -> None:
    """Step by step, until something holds; what is done then is committed."""

    def done() -> bool:
        updater.step()
        return until()

    wait_until(done, what)
    updater.reader.finish_commits()
