"""Records that are no events, published among events, and the dead letters that have to come of them."""

from collections import Counter
from dataclasses import dataclass
from itertools import islice

from benchmarks.faults.found import Found
from benchmarks.faults.home import Home
from benchmarks.faults.load import clicks
from benchmarks.faults.verdict import verdict
from benchmarks.faults.world import World
from stream.event import encode
from stream.letter import read_record
from stream.producer import EventProducer
from tests.bad_records import BAD_RECORDS

KINDS = (
    "empty",
    "too large",
    "not JSON",
    "cut off",
    "not UTF-8",
    "a list",
    "wrong type",
    "missing field",
    "the future",
    "wrong key",
)
A_HUNDREDTH = 100


@dataclass(frozen=True)
class Injected:
    """A bad record on the topic, and the reason that its letter has to give."""

    source: str
    reason: str
    key: bytes | None
    value: bytes | None


def publish(home: Home, events: int, bad: int) -> list[Injected]:
    """Publish clicks, and bad records of all kinds evenly among them; the bad ones."""
    kinds = [BAD_RECORDS[name] for name in KINDS]
    sent = []
    with EventProducer(home.cluster, home.settings.topic) as producer:
        good = clicks(home.bundle.item_ids)
        for number in range(bad):
            for event in islice(good, events // bad):
                key, value = encode(event)
                producer.send_record(key, value)
            kind = kinds[number % len(kinds)]
            place = {"partition": number % len(home.partitions())}
            # Not by EventProducer, which sends nothing that is no event.
            sent.append((producer.producer.send(home.settings.topic, key=kind.key, value=kind.value, **place), kind))
        producer.flush()
        places = [(future.get(), kind) for future, kind in sent]
    return [
        Injected(f"{place.topic}[{place.partition}]@{place.offset}", kind.reason, kind.key, kind.value)
        for place, kind in places
    ]


def missing(home: Home, injected: list[Injected]) -> tuple[int, int]:
    """How many bad records have no letter that says what they were, and how many letters there are too many."""
    letters = [read_record(record) for record in home.records(home.settings.dead_letter_topic)]
    found = Counter(Injected(one.source, one.reason, one.key, one.value) for one in letters)
    expected = Counter(injected)
    return (expected - found).total(), (found - expected).total()


def malformed(world: World, events: int = 100_000) -> Found:
    """One record in a hundred is no event, of ten kinds."""
    with world.home() as home:
        world.say(f"publishing {events:,} events")
        injected = publish(home, events - events // A_HUNDREDTH, events // A_HUNDREDTH)
        with home.run() as command:
            world.say("catching up")
            drain_s = home.catches_up()
            command.end()
        gone, too_many = missing(home, injected)
        faults = verdict(home) | {"dead_letters_missing": gone, "dead_letters_too_many": too_many}
    return Found(faults, {"records": events, "bad_records": len(injected), "drain_s": drain_s})
