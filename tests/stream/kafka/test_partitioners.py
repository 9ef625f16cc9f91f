"""The partition of a key is the one that other clients choose: librdkafka's own, on a real Kafka."""

import pytest
from confluent_kafka import Message, Producer

from mindstream.settings import PARTITIONERS, Settings
from stream.events.event import Event
from stream.events.producer import EventProducer
from stream.kafka.cluster import Cluster
from testbed.real_kafka import RealKafka

# Of one byte and of many, with all remainders of four, above 127, and such that a signed hash is negative.
USERS = [f"user {number}" for number in range(200)] + ["a", "ab", "abc", "ä€𝄞", "x" * 127, " "]


def partitions_by_librdkafka(servers: str, topic: str, options: dict[str, str]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}

    def note(_: object, message: Message) -> None:
        key, partition = message.key(), message.partition()
        assert isinstance(key, bytes)
        assert partition is not None
        found[key] = partition

    producer = Producer({"bootstrap.servers": servers, **options})
    for user in USERS:
        producer.produce(topic, key=user.encode(), value=b"{}", on_delivery=note)
    assert producer.flush(60) == 0
    return found


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("crc32", ""),  # what it does unless told otherwise
        ("crc32", "consistent"),
        ("murmur2", "murmur2_random"),
        ("fnv1a", "fnv1a_random"),
    ],
)
def test_partitions_are_those_of_librdkafka(real_kafka: RealKafka, topic: str, name: str, theirs: str) -> None:
    settings = Settings(bootstrap_servers=real_kafka.bootstrap_servers, partitioner=name)
    cluster = Cluster.configured(settings)
    assert cluster is not None
    with EventProducer(cluster, topic) as producer:
        futures = {user: producer.send(Event(user, "mug", 1_720_000_000_000)) for user in USERS}
        producer.flush()
    ours = {user.encode(): future.value.partition for user, future in futures.items()}
    options = {"partitioner": theirs} if theirs else {}
    assert ours == partitions_by_librdkafka(real_kafka.bootstrap_servers, topic, options)
    assert set(ours.values()) == {0, 1, 2, 3}


def test_a_name_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="consistent_random") as error:
        Settings(partitioner="consistent_random")
    assert all(f"{name} (" in str(error.value) for name in PARTITIONERS)
