"""An updater that is stopped for so long that the group thinks it dead, and wakes up again."""

import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

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
BACK_WITHIN_S = 120.0


def zombie(world: World, times: int = 5) -> Found:
    """SIGSTOP past the session timeout, on LMDB and on Redis; SIGCONT when another updater has done all the work."""
    with ThreadPoolExecutor() as both:  # most of it is waiting
        stores = [both.submit(of_store, world, times) for of_store in (on_lmdb, on_redis)]
        found = [one.result() for one in stores]
    takeovers = [seconds for _, seconds in found]
    return Found(sums(faults for faults, _ in found), {"stops": 2 * times, "takeover_s": max(takeovers)})


def on_lmdb(world: World, times: int) -> tuple[dict[str, int], float]:
    """Faults, and the longest takeover in seconds, with LMDB."""
    return again(lambda: stop_and_continue(world, ""), world, times, "LMDB")


def on_redis(world: World, times: int) -> tuple[dict[str, int], float]:
    """The same with Redis."""
    with RealRedis() as redis:

        def one() -> tuple[dict[str, int], float]:
            redis.flush()
            return stop_and_continue(world, redis.url)

        return again(one, world, times, "Redis")


def again(
    one: Callable[[], tuple[dict[str, int], float]], world: World, times: int, store: str
) -> tuple[dict[str, int], float]:
    """The sums of several zombies' faults, and the longest takeover."""
    found = []
    for number in range(times):
        world.say(f"zombie {number + 1} of {times} on {store}")
        found.append(one())
    return sums(faults for faults, _ in found), max(seconds for _, seconds in found)


def stop_and_continue(world: World, redis: str) -> tuple[dict[str, int], float]:
    """One zombie; its faults, and the seconds until another updater had its partitions and had caught up."""
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
        return verdict(home, load.acknowledged) | {"zombie_writes_accepted": written}, seconds


def wait_until_quiet(home: Home, sleeper: Command) -> None:
    """Return once the updater that was stopped has been back in the group for some seconds."""
    sleeper.says("somebody else reads", BACK_WITHIN_S)
    wait_until(lambda: home.members() == 2, "both updaters are in the group", BACK_WITHIN_S)
    time.sleep(QUIET_S)
    wait_until(lambda: home.members() == 2, "both updaters stay in the group", BACK_WITHIN_S)
