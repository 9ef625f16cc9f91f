"""Events that come in bursts, twice or in another order, and updaters that come and go."""

import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from math import ceil

from benchmarks.faults.found import Found, sums
from benchmarks.faults.letters import letters_of
from benchmarks.scenario.comparison import behaviours_in, behaviours_of, bytes_without_position, difference, states_of
from benchmarks.scenario.comparison import users_differing as differing
from benchmarks.scenario.home import Home, counted
from benchmarks.scenario.load import Flood, Load, clicks
from benchmarks.scenario.verdict import verdict
from benchmarks.scenario.watch import Memory, Watch
from benchmarks.scenario.world import World
from stream.events.event import Event
from stream.events.producer import EventProducer
from testbed.stream_process import StreamProcess

__all__ = ["GROWTH_MB", "burst", "churn", "duplicates", "shuffled", "too_much"]

CHURN_S = 5.0
GIVEN = "now reading faults-"
SHUFFLED_WITHIN_MS = 60_000
BAD_EVERY = 20  # events
USUAL = 2_000.0  # events a second
BURST = 10  # times that: about as much as an updater can apply
BEFORE_S = 5.0
STOPPED_S = 5.0  # half of the session timeout: it stays in the group
# Measured: 20 in 10 s and 27 in 60 s, for batches of 4,000 events and what is fetched ahead (1 MB a partition). An
# updater that read its backlog at once took 204 for 177,000 events; to keep a burst's 1.2 million takes far more.
GROWTH_MB = 60.0


def churn(world: World, seconds: float = 180.0) -> Found:
    """Let a second updater join and leave every 5 s under load.

    Every other time before it has been given anything.
    """
    counts: list[Counter[str]] = []
    given = 0
    with world.home() as home, home.run() as steady, Load(home, bad_every=BAD_EVERY) as load:
        home.applies_more_than(0)
        with Watch(home, load) as watch:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                world.say(f"join {len(counts) + 1}, {max(0, deadline - time.monotonic()):.0f} s left")
                second = _come_and_go(home, waits=len(counts) % 2 == 0)
                counts.append(counted(second))
                given += GIVEN in second.said
            load.stop()
            drain_s = home.catches_up()
        steady.end()
        total = sums([*counts, counted(steady)])
        letters = letters_of(home, load.injected())
        faults = verdict(home, load.acknowledged) | letters.faults() | {"stuck_partitions": total.get("stuck", 0)}
    figures = {"joins": len(counts), "joins_given_partitions": given, "replayed": total.get("replayed", 0)}
    figures |= {"bad_records": len(load.bad), "letters_twice": letters.twice}
    return Found(faults, figures | {"stall_s": watch.stall_s, "drain_s": drain_s})


def _come_and_go(home: Home, waits: bool) -> StreamProcess:
    """Run an updater that leaves 5 s after its start.

    One that waits does not leave before it has partitions.
    """
    leaves = time.monotonic() + CHURN_S
    with home.start() as command:
        command.says(GIVEN if waits else "; reading ")  # from there on it stops cleanly
        time.sleep(max(0.0, leaves - time.monotonic()))
        assert command.end() == 0, command.said
    return command


def burst(world: World, seconds: float = 60.0) -> Found:
    """Send ten times the usual load.

    At its end the updater sleeps, so there is a backlog however fast the machine is.
    """
    with (
        world.home() as home,
        home.run() as command,
        Flood(home, USUAL) as load,
        Memory(command.process.pid) as memory,
    ):
        home.applies_more_than(0)
        world.say(f"usual load for {BEFORE_S:.0f} s")
        time.sleep(BEFORE_S)
        before_mb, before_own_mb, before = memory.rss_mb, memory.own_mb, load.acknowledged
        world.say(f"{BURST} times as much for {seconds:.0f} s")
        load.rate, started = BURST * USUAL, time.monotonic()
        _sleep_at_the_end(command, load, seconds)
        rate = (load.acknowledged - before) / (time.monotonic() - started)
        backlog = home.published() - home.committed()
        command.process.send_signal(signal.SIGCONT)
        drain_s = home.catches_up()
        assert command.end() == 0, command.said
        world.say("comparing")
        faults = verdict(home, load.acknowledged, undisturbed=False)
    faults |= too_much(memory.own_mb - before_own_mb, backlog)
    figures = {"events_per_second": rate, "backlog": backlog, "drain_s": drain_s}
    figures |= {"rss_before_mb": before_mb, "peak_rss_mb": memory.rss_mb}
    return Found(faults, figures | {"own_before_mb": before_own_mb, "peak_own_mb": memory.own_mb})


def _sleep_at_the_end(command: StreamProcess, load: Load, seconds: float) -> None:
    """Let a load go on for so long, and stop the updater for the last part of it."""
    stopped_s = min(STOPPED_S, seconds / 2)
    time.sleep(seconds - stopped_s)
    command.process.send_signal(signal.SIGSTOP)
    time.sleep(stopped_s)
    load.stop()


def too_much(growth_mb: float, backlog: int) -> dict[str, int]:
    """Return how much too much memory grew in a burst, and whether the burst was none."""
    return {"mb_too_many": max(0, ceil(growth_mb - GROWTH_MB)), "without_backlog": int(backlog < BURST * USUAL)}


def duplicates(world: World, events: int = 50_000) -> Found:
    """Send every event twice and shuffled within 60 s, beside once and in order."""
    ordered = list(islice(clicks(world.bundle.item_ids, event_ids=True), events))
    with world.home() as tidy, world.home() as untidy:
        world.say("in order")
        _apply_all(tidy, ordered)
        world.say("twice and shuffled")
        twice = _apply_all(untidy, shuffled([*ordered, *ordered]))
        expected = behaviours_of(ordered)
        found = sums(difference(expected, behaviours_in(states_of(home.store))) for home in (tidy, untidy))
        users = differing(bytes_without_position(tidy.store), bytes_without_position(untidy.store))
    return Found(found | {"users_differing": users}, {"events": events, "duplicates": twice})


def shuffled(events: Sequence[Event]) -> list[Event]:
    """Return the same events, each up to 60 s late."""
    choose = random.Random(11)
    return sorted(events, key=lambda event: event.event_time_ms + choose.uniform(0, SHUFFLED_WITHIN_MS))


def _apply_all(home: Home, events: Sequence[Event]) -> int:
    """Publish events and let an updater apply them; return the duplicates it counts."""
    with home.run() as command:
        with EventProducer(home.cluster, home.settings.topic) as producer:
            for event in events:
                producer.send(event)
            producer.flush()
        home.catches_up()
        command.end()
    return counted(command)["duplicate"]
