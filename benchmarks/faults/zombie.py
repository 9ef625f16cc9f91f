"""An updater that is stopped for so long that the group thinks it dead, and wakes up again."""

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.faults.comparison import stored_bytes, users_differing
from benchmarks.faults.found import Found, sums
from benchmarks.faults.home import Home, counted
from benchmarks.faults.load import Load
from benchmarks.faults.verdict import verdict
from benchmarks.faults.world import World
from tests.command import Command, wait_until
from tests.real_redis import RealRedis

ZOMBIE_RATE = 2_000.0  # events a second: so many that it is stopped in the middle of a batch
QUIET_S = 3.0
IN_A_BATCH = ("events are left to", "offsets not committed")  # what it says of a batch that it has no right to
BACK_WITHIN_S = 120.0


@dataclass(frozen=True)
class Awakened:
    """What one zombie has done.

    Attributes
    ----------
    faults : as in Found.
    takeover_s : until another updater had its partitions and had caught up.
    in_a_batch : whether it was stopped between reading a batch and committing it.
    """

    faults: dict[str, int]
    takeover_s: float
    in_a_batch: bool


def zombie(world: World, times: int = 5) -> Found:
    """SIGSTOP past the session timeout, on LMDB and on Redis; SIGCONT when another updater has done all the work."""
    with ThreadPoolExecutor() as both:  # most of it is waiting
        stores = [both.submit(of_store, world, times) for of_store in (on_lmdb, on_redis)]
        found = [one for store in stores for one in store.result()]
    figures: dict[str, float] = {"stops": len(found), "stops_in_a_batch": sum(one.in_a_batch for one in found)}
    return Found(sums(one.faults for one in found), figures | {"takeover_s": max(one.takeover_s for one in found)})


def on_lmdb(world: World, times: int) -> list[Awakened]:
    """Zombies one after the other, with LMDB."""
    found = []
    for number in range(times):
        world.say(f"zombie {number + 1} of {times} on LMDB")
        found.append(stop_and_continue(world, ""))
    return found


def on_redis(world: World, times: int) -> list[Awakened]:
    """The same with Redis."""
    found = []
    with RealRedis() as redis:
        for number in range(times):
            world.say(f"zombie {number + 1} of {times} on Redis")
            redis.flush()
            found.append(stop_and_continue(world, redis.url))
    return found


def stop_and_continue(world: World, redis: str) -> Awakened:
    """One zombie."""
    with world.home(redis) as home, ExitStack() as processes:
        with Load(home, ZOMBIE_RATE) as load:
            sleeper = processes.enter_context(home.run())
            home.applies_more_than(0)
            time.sleep(random.uniform(0, 0.5))
            sleeper.process.send_signal(signal.SIGSTOP)
            stopped = time.monotonic()
            load.rate = 50.0
            other = processes.enter_context(home.run())
        home.catches_up()
        seconds = time.monotonic() - stopped
        before = stored_bytes(home.store)
        sleeper.process.send_signal(signal.SIGCONT)
        wait_until_quiet(home, sleeper)
        written = users_differing(before, stored_bytes(home.store))
        for command in (sleeper, other):
            command.end(signal.SIGTERM)
            counted(command)
        in_a_batch = any(text in sleeper.said for text in IN_A_BATCH)
        return Awakened(verdict(home, load.acknowledged) | {"zombie_writes_accepted": written}, seconds, in_a_batch)


def wait_until_quiet(home: Home, sleeper: Command) -> None:
    """Return once the updater that was stopped has been back in the group for some seconds."""
    sleeper.says("somebody else reads", BACK_WITHIN_S)
    wait_until(lambda: home.members() == 2, "both updaters are in the group", BACK_WITHIN_S)
    time.sleep(QUIET_S)
    wait_until(lambda: home.members() == 2, "both updaters stay in the group", BACK_WITHIN_S)
