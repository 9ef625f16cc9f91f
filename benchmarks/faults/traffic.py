"""Events that come in bursts, twice or in another order, and updaters that come and go."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice

from benchmarks.faults.comparison import behaviours_in, behaviours_of, bytes_without_position, difference, states_of
from benchmarks.faults.comparison import users_differing as differing
from benchmarks.faults.found import Found, sums
from benchmarks.faults.home import Home, counted
from benchmarks.faults.load import NORMAL, Load, clicks
from benchmarks.faults.verdict import verdict
from benchmarks.faults.watch import Watch
from benchmarks.faults.world import World
from stream.event import Event
from stream.producer import EventProducer
from tests.command import Command

CHURN_S = 5.0
GIVEN = "now reading faults-"
SHUFFLED_WITHIN_MS = 60_000
BURST = 10  # times the normal load
BEFORE_S = 3.0


def churn(world: World, seconds: float = 180.0) -> Found:
    """A second updater joins and leaves every 5 s under load, every other time before it has been given anything."""
    counts: list[Counter[str]] = []
    given = 0
    with world.home() as home, home.run() as steady, Load(home) as load:
        home.applies_more_than(0)
        with Watch(home, load, steady) as watch:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                world.say(f"join {len(counts) + 1}, {max(0, deadline - time.monotonic()):.0f} s left")
                second = come_and_go(home, waits=len(counts) % 2 == 0)
                counts.append(counted(second))
                given += GIVEN in second.said
            load.stop()
            drain_s = home.catches_up()
        steady.end()
        total = sums([*counts, counted(steady)])
        faults = verdict(home, load.acknowledged) | {"stuck_partitions": total.get("stuck", 0)}
    figures = {"joins": len(counts), "joins_given_partitions": given, "replayed": total.get("replayed", 0)}
    return Found(faults, figures | {"stall_s": watch.stall_s, "drain_s": drain_s})


def come_and_go(home: Home, waits: bool) -> Command:
    """An updater that leaves 5 s after it was started; one that waits does not leave before it has partitions."""
    leaves = time.monotonic() + CHURN_S
    with home.start() as command:
        command.says(GIVEN if waits else "; reading ")  # from there on it stops cleanly
        time.sleep(max(0.0, leaves - time.monotonic()))
        assert command.end() == 0, command.said
    return command


def burst(world: World, seconds: float = 60.0) -> Found:
    """Ten times the normal load."""
    with world.home() as home, home.run() as command, Load(home) as load, Watch(home, load, command) as watch:
        home.applies_more_than(0)
        world.say(f"normal load for {BEFORE_S:.0f} s")
        time.sleep(BEFORE_S)
        before_mb, before = watch.peak_mb, load.acknowledged
        world.say(f"{BURST} times as much for {seconds:.0f} s")
        load.rate, started = BURST * NORMAL, time.monotonic()
        time.sleep(seconds)
        load.stop()
        rate = (load.acknowledged - before) / (time.monotonic() - started)
        drain_s = home.catches_up()
        stall_s = watch.stall_s
        command.end()
        faults = verdict(home, load.acknowledged, undisturbed=False)
    figures = {"events_per_second": rate, "rss_before_mb": before_mb, "peak_rss_mb": watch.peak_mb}
    return Found(faults, figures | {"drain_s": drain_s, "stall_s": stall_s})


def duplicates(world: World, events: int = 50_000) -> Found:
    """Every event twice and shuffled within 60 s, beside once and in order."""
    ordered = list(islice(clicks(world.bundle.item_ids, event_ids=True), events))
    with world.home() as tidy, world.home() as untidy:
        world.say("in order")
        apply_all(tidy, ordered)
        world.say("twice and shuffled")
        twice = apply_all(untidy, shuffled([*ordered, *ordered]))
        expected = behaviours_of(ordered)
        found = sums(difference(expected, behaviours_in(states_of(home.store))) for home in (tidy, untidy))
        users = differing(bytes_without_position(tidy.store), bytes_without_position(untidy.store))
    return Found(found | {"users_differing": users}, {"events": events, "duplicates": twice})


def shuffled(events: Sequence[Event]) -> list[Event]:
    """The same events, each up to 60 s late."""
    choose = random.Random(11)
    return sorted(events, key=lambda event: event.event_time_ms + choose.uniform(0, SHUFFLED_WITHIN_MS))


def apply_all(home: Home, events: Sequence[Event]) -> int:
    """Publish events and let an updater apply them; the duplicates that it counts."""
    with home.run() as command:
        with EventProducer(home.cluster, home.settings.topic) as producer:
            for event in events:
                producer.send(event)
            producer.flush()
        home.catches_up()
        command.end()
    return counted(command)["duplicate"]
