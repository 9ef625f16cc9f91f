"""Users are forgotten on a real Kafka, whoever produces their events and whichever partition is read first."""

import json
from typing import Any

import pytest
from confluent_kafka import Producer
from kafka import TopicPartition
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType

from stream.events.event import Event, encode
from stream.events.producer import EventProducer
from stream.events.published import HEADER
from stream.updater.updater import Updater
from testbed.stream_process import wait_until
from tests.support.stream_shell import KafkaShell
from tests.support.updater_world import PARTITIONS, World, work

PARTITIONER = {"librdkafka's own": {}, "murmur2": {"partitioner": "murmur2_random"}}


def publish(world: World, events: list[Event], options: dict[str, Any]) -> int:
    """Publish a user's events by librdkafka; the partition on which they are."""
    places: set[int | None] = set()
    producer = Producer({"bootstrap.servers": world.kafka.bootstrap_servers, **options})
    for event in events:
        key, value = encode(event)
        producer.produce(world.topic, key=key, value=value, on_delivery=lambda _, said: places.add(said.partition()))
    assert producer.flush(60) == 0
    [partition] = places
    assert partition is not None
    return partition


def stamp_records(world: World, by: str) -> None:
    """Have the topic's records stamped by their producers (CreateTime), or by the broker (LogAppendTime)."""
    name = "message.timestamp.type"
    with world.kafka.admin() as admin:

        def is_known() -> bool:
            asked = [ConfigResource(ConfigResourceType.TOPIC, world.topic, [name])]
            found = admin.describe_configs(asked, config_filter="all")["topic"][world.topic]
            return bool(found[name]["value"] == by)

        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, world.topic, {name: (AlterConfigOp.SET, by)})])
        wait_until(is_known, "the broker knows who stamps records")


def waiting_updater(world: World) -> Updater:
    """An updater that has its partitions, and reads none of them yet."""
    updater = world.updater()
    work(updater, updater.reader.ready.is_set)
    updater.reader.consumer.pause(*world.partitions())
    return updater


def read_first(updater: Updater, topic: str, partition: int) -> None:
    """Read one partition to the first forget on it, then let it read the others."""
    updater.reader.consumer.resume(TopicPartition(topic, partition))
    work(updater, lambda: updater.counts["forgotten"] > 0)
    updater.reader.consumer.resume(*updater.reader.partitions())


@pytest.mark.parametrize("theirs", PARTITIONER.values(), ids=PARTITIONER)
def test_forgotten_whoever_produces(world: World, theirs: dict[str, str]) -> None:
    """The copy on a partition that holds none of the user's events is read before them all."""
    updater = waiting_updater(world)
    partition = publish(world, world.clicks("anna", 1, 2, 3), theirs)
    with EventProducer(world.cluster, world.topic) as producer:
        futures = producer.forget("anna")
        producer.flush()
    assert sorted(future.value.partition for future in futures) == list(range(PARTITIONS))
    assert publish(world, world.clicks("anna", 4), theirs) == partition
    read_first(updater, world.topic, (partition + 1) % PARTITIONS)
    assert world.history("anna") == []
    work(updater, lambda: world.committed() == 4 + PARTITIONS)
    assert world.history("anna") == [4]
    counts = {name: updater.counts[name] for name in ("forgotten", "forgotten_before", "applied", "replayed")}
    assert counts == {"forgotten": 1, "forgotten_before": 3, "applied": 1, "replayed": PARTITIONS - 1}
    assert world.state("anna").position.partition == partition
    copies = [record for record in world.kafka.records(world.topic) if record.value is None]
    assert len({record.timestamp for record in copies}) == len({record.headers[0] for record in copies}) == 1
    assert copies[0].headers[0] == (HEADER, str(copies[0].timestamp).encode())


@pytest.mark.parametrize("stamped_by", ["CreateTime", "LogAppendTime"])
def test_a_redriven_letter_does_not_bring_a_user_back(world: World, kafka: KafkaShell, stamped_by: str) -> None:
    """Though it is sent long after; a letter of another user is applied."""
    stamp_records(world, stamped_by)
    good = [encode(one) for one in (*world.clicks("anna", 1), *world.clicks("ben", 2))]
    world.send([(key, value.replace(b"item_id", b"item")) for key, value in good])
    with EventProducer(world.cluster, world.topic) as producer:
        producer.forget("anna")
        producer.flush()
    updater = world.updater()
    work(updater, lambda: world.committed() == 2 + PARTITIONS)  # the letters are written after the forgetting
    status, _ = kafka("dlq", "list", "--json")
    lines = [json.loads(line) for line in kafka.stdout.splitlines()]
    assert status == 0
    assert all(line["source_ms"] <= line["published_ms"] for line in lines)
    mended = [json.dumps(line | {"value": line["value"].replace('"item"', '"item_id"')}) for line in lines]
    assert kafka("dlq", "redrive", "-", stdin="\n".join(mended).encode())[0] == 0
    work(updater, lambda: world.committed() == 4 + PARTITIONS)
    assert (world.history("anna"), world.history("ben")) == ([], [2])
    assert updater.counts["forgotten_before"] == 1


def test_a_topic_whose_broker_stamps_records(world: World) -> None:
    """The copies of a forget have different timestamps there, and are one request all the same."""
    stamp_records(world, "LogAppendTime")
    updater = waiting_updater(world)
    partition = publish(world, world.clicks("anna", 1), {})
    with EventProducer(world.cluster, world.topic) as producer:
        [own, *others] = sorted(producer.forget("anna"), key=lambda one: one.get(80).partition != partition)
    assert own.value.partition == partition
    publish(world, world.clicks("anna", 2), {})
    last = others[0].value
    [copy] = [one for one in world.kafka.records(world.topic) if one[1:3] == (last.partition, last.offset)]
    with EventProducer(world.cluster, world.topic) as producer:  # as if that copy had come much later
        again = producer.producer.send(
            world.topic, key=b"anna", value=None, headers=copy.headers, partition=last.partition
        ).get(80)
    assert again.timestamp > copy.timestamp
    read_first(updater, world.topic, partition)
    work(updater, lambda: world.committed() == 3 + PARTITIONS)
    assert world.history("anna") == [2]
