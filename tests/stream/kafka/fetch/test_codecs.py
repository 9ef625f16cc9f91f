"""All of Kafka's codecs, from kafka-python, from librdkafka, and where a topic makes the broker compress."""

from collections.abc import Callable, Iterable

import confluent_kafka
import pytest
from kafka import KafkaProducer, codec
from kafka.admin import ConfigResource

from stream.dead_letters.letter import read_record
from stream.events.event import Event, encode
from stream.kafka.fetch import codecs, tolerant_fetch
from tests.support.updater_world import START_MS, World, work

CODECS = ("gzip", "snappy", "lz4", "zstd")
LARGE, IN_A_BATCH = 90_000, 30  # characters of a profile and events: 2.7 MB, which is compressed to some kilobytes
MOST = 8_000_000

Records = Iterable[tuple[bytes, bytes]]


def by_kafka_python(world: World, name: str, records: Records) -> None:
    options = {"linger_ms": 1_000, "batch_size": MOST, "max_request_size": MOST, "compression_type": name}
    with KafkaProducer(bootstrap_servers=world.kafka.bootstrap_servers, **options) as producer:
        for key, value in records:
            producer.send(world.topic, key=key, value=value, partition=0)


def by_librdkafka(world: World, name: str, records: Records) -> None:
    options = {"linger.ms": 1_000, "batch.size": MOST, "message.max.bytes": MOST, "compression.type": name}
    producer = confluent_kafka.Producer({"bootstrap.servers": world.kafka.bootstrap_servers, **options})
    for key, value in records:
        producer.produce(world.topic, key=key, value=value, partition=1)
    producer.flush()


def large_clicks(world: World, user_id: str) -> list[tuple[bytes, bytes]]:
    profile = {"note": "x" * LARGE}
    return [
        encode(Event(user_id, world.items[number], START_MS + number, profile=profile)) for number in range(IN_A_BATCH)
    ]


def test_batches_of_each_codec_are_read(world: World) -> None:
    """Also those that have 2.7 MB where Kafka's limit is 1 MB: that counts compressed bytes."""
    clients: dict[str, Callable[[World, str, Records], None]] = {"python": by_kafka_python, "c": by_librdkafka}
    for name in CODECS:
        for client, send in clients.items():
            send(world, name, large_clicks(world, f"{client}-{name}"))
    total = IN_A_BATCH * len(CODECS) * len(clients)
    updater = world.updater()
    work(updater, lambda: updater.counts["applied"] + updater.counts["dead_letter"] == total)
    for name in CODECS:
        for client in clients:
            assert world.history(f"{client}-{name}") == list(range(IN_A_BATCH))
    assert updater.counts["dead_letter"] == 0


@pytest.mark.parametrize("name", ["lz4", "zstd"])
def test_our_own_topics_may_be_compressed(world: World, name: str) -> None:
    with world.kafka.admin() as admin:
        topics = (world.topic, world.settings.dead_letter_topic)
        admin.alter_configs([ConfigResource("TOPIC", topic, {"compression.type": name}) for topic in topics])
    world.send([(b"anna", b"no event")])
    world.publish(world.clicks("anna", 3))
    updater = world.updater()
    work(updater, lambda: updater.counts["applied"] + updater.counts["dead_letter"] == 2)
    assert [read_record(one).value for one in world.dead_letters(1)] == [b"no event"]


def test_a_codec_whose_package_is_missing_holds_its_partition(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named; other partitions go on, and so does this one once the package is there."""
    by_kafka_python(world, "lz4", [encode(one) for one in world.clicks("anna", 1, 2)])
    world.send([encode(one) for one in world.clicks("ben", 3)], partition=2)
    monkeypatch.setattr(tolerant_fetch, "HELD_S", 0.5)
    with monkeypatch.context() as without:
        without.setattr(codec, "has_lz4", lambda: False)
        without.setattr(codecs, "_import_again", lambda: None)
        updater = world.updater()
        work(updater, lambda: updater.counts["applied"] == 1 and updater.reader.trouble is not None)
        assert updater.reader.trouble == (
            f"{world.topic}[0]@0: it is compressed with lz4, and the package lz4 is not installed"
        )
        assert updater.counts["dead_letter"] == 0
    work(updater, lambda: updater.counts["applied"] == 3)
    assert world.history("anna") == [1, 2]
    assert updater.reader.trouble is None


def test_a_package_that_is_installed_meanwhile_is_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    compressed = codec.zstd_encode(b"events")
    monkeypatch.setattr(codec, "zstd", None)
    assert not codec.has_zstd()
    assert codecs.missing_package(4) is None
    assert codec.zstd_decode(compressed) == b"events"
    assert codecs.missing_package(7) is None  # no codec of Kafka's, so no package
