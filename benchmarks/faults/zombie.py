"""An updater that is stopped for so long that the group thinks it dead, and wakes up again."""

import random
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass

from benchmarks.faults.found import Found, sums
from benchmarks.scenario.home import Home, counted
from benchmarks.scenario.load import Load
from benchmarks.scenario.verdict import verdict
from benchmarks.scenario.world import World
from stream.store.lmdb_store import LmdbStore
from testbed.real_redis import RealRedis
from testbed.stream_process import StreamProcess, wait_until

__all__ = ["Awakened", "tried", "writes", "zombie"]

ZOMBIE_RATE = 2_000.0  # events a second: so many that it is stopped in the middle of a batch
QUIET_S = 3.0
LEFT = "events are left to whoever reads them"
HELD_S = 1.0
BACK_WITHIN_S = 120.0


@dataclass(frozen=True)
class Awakened:
    """The account of one zombie after it woke up.

    Attributes
    ----------
    faults : as in Found.
    takeover_s : until another updater had its partitions and had caught up.
    refused : states that it wanted to write when it was awake again, and that the store did not take.
    left : whether it noticed before that that a batch is not its own any more.
    """

    faults: dict[str, int]
    takeover_s: float
    refused: int
    left: bool


def zombie(world: World, times: int = 5) -> Found:
    """Stop updaters past their session timeout, on LMDB and on Redis, and wake them up.

    SIGCONT comes when another updater has done all the work.
    """
    with ThreadPoolExecutor() as both:  # most of it is waiting
        stores = [both.submit(of_store, world, times) for of_store in (_on_lmdb, _on_redis)]
        found = [one for store in stores for one in store.result()]
    figures = {
        "stops": len(found),
        "batches_left": sum(one.left for one in found),
        "states_refused": sum(one.refused for one in found),
        "takeover_s": max(one.takeover_s for one in found),
    }
    return Found(sums(one.faults for one in found) | {"without_late_writes": int(not tried(found))}, figures)


def tried(found: Sequence[Awakened]) -> bool:
    """Tell whether any of them had something to write when it woke up.

    Else nothing was put to the test.
    """
    return any(one.refused or one.left or one.faults["zombie_writes_accepted"] for one in found)


def _on_lmdb(world: World, times: int) -> list[Awakened]:
    """Run zombies one after the other, with LMDB."""
    found = []
    for number in range(times):
        world.say(f"zombie {number + 1} of {times} on LMDB")
        found.append(_stop_and_continue(world, None, number % 2 == 0))
    return found


def _on_redis(world: World, times: int) -> list[Awakened]:
    """Run zombies one after the other, with Redis."""
    found = []
    with RealRedis() as redis:
        for number in range(times):
            world.say(f"zombie {number + 1} of {times} on Redis")
            redis.flush()
            found.append(_stop_and_continue(world, redis, number % 2 == 0))
    return found


def _stop_and_continue(world: World, redis: RealRedis | None, in_a_batch: bool) -> Awakened:
    """Run one zombie, stopped in the middle of a batch or at any moment."""
    with world.home(redis.url if redis else "") as home, ExitStack() as processes:
        with Load(home, ZOMBIE_RATE) as load:
            sleeper = processes.enter_context(home.run())
            home.applies_more_than(0)
            with _held(home, redis) if in_a_batch else nullcontext():
                time.sleep(random.uniform(HELD_S / 2, HELD_S))
                sleeper.process.send_signal(signal.SIGSTOP)
            stopped = time.monotonic()
            load.rate = 50.0
            other = processes.enter_context(home.run())
        home.catches_up()
        seconds = time.monotonic() - stopped
        before = writes(home, redis)
        sleeper.process.send_signal(signal.SIGCONT)
        _wait_until_quiet(home, sleeper)
        written = writes(home, redis) - before
        for command in (sleeper, other):
            command.end(signal.SIGTERM)
        faults = verdict(home, load.acknowledged) | {"zombie_writes_accepted": written}
        return Awakened(faults, seconds, counted(sleeper)["refused"], LEFT in sleeper.said)


@contextmanager
def _held(home: Home, redis: RealRedis | None) -> Iterator[None]:
    """Hold an updater at the store while the block lasts.

    On LMDB that is right before it writes; on Redis it is before it reads or, less often, while it writes.
    """
    if redis:
        with redis.client() as client:
            client.execute_command("CLIENT PAUSE", round(2000 * HELD_S), "ALL")
            yield
    else:
        assert isinstance(home.store, LmdbStore)
        with home.store.environment.begin(write=True):
            yield


def writes(home: Home, redis: RealRedis | None) -> int:
    """Return a number that grows with each write that the store takes.

    Also with one of what is there already.

    LMDB counts batches of which something was written, Redis users.
    """
    if not redis:
        return home.writes()
    with redis.client() as client:
        return int(client.info("commandstats").get("cmdstat_set", {}).get("calls", 0))  # marks are left by SETEX


def _wait_until_quiet(home: Home, sleeper: StreamProcess) -> None:
    """Return once the updater that was stopped has been back in the group for some seconds."""
    sleeper.says("somebody else reads", BACK_WITHIN_S)
    wait_until(lambda: home.members() == 2, "both updaters are in the group", BACK_WITHIN_S)
    time.sleep(QUIET_S)
    wait_until(lambda: home.members() == 2, "both updaters stay in the group", BACK_WITHIN_S)
