"""Batches of every codec, and records that a Kafka client cannot parse."""

import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

import confluent_kafka
from kafka import KafkaProducer
from kafka.admin import ConfigResource
from msgspec import structs

from benchmarks.faults.found import Found
from benchmarks.faults.letters import letters_of
from benchmarks.scenario.bad import Injected, send_bad
from benchmarks.scenario.home import Home
from benchmarks.scenario.load import clicks
from benchmarks.scenario.verdict import verdict
from benchmarks.scenario.world import PARTITIONS, World
from stream.events.event import Event, encode
from stream.events.producer import EventProducer
from testbed.bad_records import DAMAGES, NotText, damage_batch

__all__ = ["codecs", "unparsable"]

CODECS = ("gzip", "snappy", "lz4", "zstd")
MOST_BYTES = 8_000_000  # of a batch before it is compressed
BAD = 20
FILLING = {"note": "x" * 2_000}  # a profile, by which a batch has far more than 1 MB before it is compressed

EVERY_ODD = 10  # records; the header of one in so many has a name that is no text
IN_A_BATCH = 20
# What is done to one batch of each; of these records nothing can be had, or all.
WHOLE = ("too few records", "too many records")
DAMAGED = tuple(name for name in DAMAGES if name not in (*WHOLE, "length too large"))  # which takes a minute to notice


def codecs(world: World, events: int = 8_000) -> Found:
    """Publish batches of each codec by two clients.

    Topics of our own are compressed too.
    """
    senders = [(name, send) for name in CODECS for send in (_by_kafka_python, _by_librdkafka)]
    with world.home() as home:
        _compress(home)
        source = clicks(home.bundle.item_ids)
        for name, send in senders:
            world.say(f"{events // len(senders):,} events by {name}")
            send(home, name, (_filled(event) for event in islice(source, events // len(senders))))
        with EventProducer(home.cluster, home.settings.topic) as producer:
            bad = [send_bad(producer, number) for number in range(BAD)]
            producer.flush()
            injected = [one.injected() for one in bad]
        with home.start(MINDSTREAM_UPDATES_TOPIC=f"{home.settings.topic}.updates") as command:
            drain_s = home.catches_up()
            command.end()
        letters = letters_of(home, injected)
        faults = verdict(home, events // len(senders) * len(senders)) | letters.faults()
    return Found(faults, {"codecs": len(CODECS), "events": events, "drain_s": drain_s})


def _filled(event: Event) -> tuple[bytes, bytes]:
    """Return an event's key and value, with a profile that makes it long."""
    return encode(Event(event.user_id, event.item_id, event.event_time_ms, event_id=event.event_id, profile=FILLING))


def _compress(home: Home) -> None:
    """Let the broker compress what we write ourselves."""
    topic = home.settings.topic
    names = {home.settings.dead_letter_topic: "lz4", f"{topic}.updates": "zstd"}
    with home.kafka.admin() as admin:
        admin.alter_configs([ConfigResource("TOPIC", one, {"compression.type": name}) for one, name in names.items()])


def _by_kafka_python(home: Home, name: str, records: Iterable[tuple[bytes, bytes]]) -> None:
    """Publish records in large batches of a codec, by kafka-python."""
    options = {"linger_ms": 500, "batch_size": MOST_BYTES, "max_request_size": MOST_BYTES, "compression_type": name}
    with KafkaProducer(bootstrap_servers=home.kafka.bootstrap_servers, **options) as producer:
        for key, value in records:
            producer.send(home.settings.topic, key=key, value=value)


def _by_librdkafka(home: Home, name: str, records: Iterable[tuple[bytes, bytes]]) -> None:
    """Publish records in large batches of a codec, by librdkafka."""
    options = {"linger.ms": 500, "batch.size": MOST_BYTES, "message.max.bytes": MOST_BYTES, "compression.type": name}
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": home.kafka.bootstrap_servers, "partitioner": "murmur2_random", **options}
    )
    for key, value in records:
        producer.produce(home.settings.topic, key=key, value=value)
    producer.flush()


def unparsable(world: World, rounds: int = 4) -> Found:
    """Damage batches on the broker's disk, among records with names that are no text.

    The updater is killed in between.
    """
    with world.home() as home:
        world.say(f"{rounds} times {len(DAMAGED) + len(WHOLE)} batches to each of {PARTITIONS} partitions")
        published = _publish_and_damage(home, rounds)
        with home.run() as command:
            home.applies_more_than(0)
            command.end(signal.SIGKILL)
        home.forget_the_dead()
        with home.run() as command:
            drain_s = home.catches_up()
            command.end()
        found = letters_of(home, published.letters)
        faults = verdict(home, published=published.applied) | found.faults()
    return Found(faults, {"bad_records": len(published.letters), "letters_twice": found.twice, "drain_s": drain_s})


@dataclass
class _Published:
    """What was published on a topic: the events to be applied, the letters to come, and the batches to damage."""

    applied: list[Event] = field(default_factory=list)
    letters: list[Injected] = field(default_factory=list)
    damages: list[tuple[int, int, str]] = field(default_factory=list)  # partition, number of the batch, kind


def _publish_and_damage(home: Home, rounds: int) -> _Published:
    """Publish batches to all partitions, and then damage one of each kind in each round."""
    kinds, source, published = [*DAMAGED, *WHOLE], clicks(home.bundle.item_ids), _Published()
    with KafkaProducer(bootstrap_servers=home.kafka.bootstrap_servers, linger_ms=1_000) as producer:
        for number in range(rounds * len(kinds)):
            for partition in range(PARTITIONS):
                how = kinds[number // rounds] if number % PARTITIONS == partition else ""
                events = [_only_in(partition, one) for one in islice(source, IN_A_BATCH)]
                _publish_batch(producer, home.settings.topic, partition, events, how, published)
                if how:
                    published.damages.append((partition, number, how))
    for partition, number, how in reversed(published.damages):  # behind damage no batch is found
        damage_batch(home.kafka.data, home.settings.topic, partition, number, how)
    return published


def _only_in(partition: int, event: Event) -> Event:
    """Return an event of a user who has events in this partition alone."""
    return structs.replace(event, user_id=f"{event.user_id}-{partition}")


def _publish_batch(
    producer: KafkaProducer, topic: str, partition: int, events: list[Event], how: str, published: _Published
) -> None:
    """Publish one batch, and note what has to come of it."""
    futures = []
    for place, (key, value) in enumerate(map(encode, events)):
        headers = [] if how or place % EVERY_ODD else [(NotText("odd"), b"x")]
        futures.append(producer.send(topic, key=key, value=value, headers=headers, partition=partition))
    producer.flush()
    first = futures[0].get().offset
    assert futures[-1].get().offset == first + len(events) - 1, "somebody else publishes here"
    if how in DAMAGED:
        published.letters.append(Injected(f"{topic}[{partition}]@{first}", "record", None, b""))
        return
    for place, event in enumerate(events):
        if how or place % EVERY_ODD:
            published.applied.append(event)
        else:
            published.letters.append(Injected(f"{topic}[{partition}]@{first + place}", "record", *encode(event)))
