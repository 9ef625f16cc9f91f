"""A broker, a Redis and a dead letter topic that are away for a while."""

import time

from benchmarks.faults.found import Found
from benchmarks.faults.letters import letters_of, publish_with_bad
from benchmarks.scenario.home import counted
from benchmarks.scenario.load import Load
from benchmarks.scenario.verdict import verdict
from benchmarks.scenario.watch import Watch
from benchmarks.scenario.world import World
from testbed.real_redis import RealRedis
from testbed.stream_process import StreamProcess

__all__ = ["broker", "dead_letters_refused", "redis_down"]

PAUSED = "reading is paused"
SLOW_MS = 500


def broker(world: World, times: int = 5) -> Found:
    """Kill the broker under load, and restart it some seconds later."""
    outages, waits = [], []
    with world.home() as home, home.run() as command, Load(home) as load, Watch(home, load) as watch:
        for number in range(times):
            world.say(f"outage {number + 1} of {times}")
            home.applies_more_than(home.applied())
            killed = time.monotonic()
            world.kafka.kill()
            time.sleep(2)
            world.kafka.restart()
            answers = time.monotonic()
            home.applies_more_than(home.applied())
            outages.append(time.monotonic() - killed)
            waits.append(time.monotonic() - answers)
        load.stop()
        drain_s = home.catches_up()
        stall_s = watch.stall_s
        command.end()
        counts = counted(command)
        found = verdict(home, load.acknowledged) | {"lost_by_the_broker": counts["lost"]}
    figures = {"outages": times, "outage_s": max(outages), "resumed_after_s": max(waits), "stall_s": stall_s}
    return Found(found, figures | {"drain_s": drain_s, "replayed": counts["replayed"]})


def redis_down(world: World, seconds: float = 30.0) -> Found:
    """Kill Redis and keep it away; later let it answer 500 ms late."""
    with (
        RealRedis() as redis,
        world.home(redis.url) as home,
        home.run() as command,
        Load(home) as load,
        Watch(home, load) as watch,
    ):
        home.applies_more_than(0)
        world.say(f"Redis is down for {seconds:.0f} s")
        redis.kill()
        command.says(PAUSED)
        time.sleep(seconds)
        redis.start()
        back = time.monotonic()
        home.applies_more_than(home.applied())
        resumed_s = time.monotonic() - back
        world.say(f"Redis is slow for {seconds:.0f} s")
        _slow(redis, seconds)
        load.stop()
        drain_s = home.catches_up()
        stall_s = watch.stall_s
        command.end()
        found = verdict(home, load.acknowledged) | {"evictions": _evictions(command)}
    return Found(found, {"resumed_after_s": resumed_s, "stall_s": stall_s, "drain_s": drain_s})


def _slow(redis: RealRedis, seconds: float) -> None:
    """Let Redis answer only every 500 ms, for some seconds."""
    deadline = time.monotonic() + seconds
    with redis.client() as client:
        while time.monotonic() < deadline:
            client.execute_command("CLIENT PAUSE", SLOW_MS, "ALL")
            time.sleep(SLOW_MS / 1000)


def _evictions(command: StreamProcess) -> int:
    """Count how often the group thought an updater dead: it has joined once more each time."""
    return max(command.said.count("thought dead by the group"), counted(command)["rebalances"] - 1)


def dead_letters_refused(world: World, seconds: float = 30.0) -> Found:
    """Let the dead letter topic take nothing for a while: it is deleted, and made again.

    Reading pauses, and goes on by itself.
    """
    with world.home() as home, home.run() as command, Load(home) as load:
        home.applies_more_than(0)
        with home.kafka.admin() as admin:
            admin.delete_topics([home.settings.dead_letter_topic])
        injected = publish_with_bad(home, events=0, bad=20)
        command.says(PAUSED)
        world.say(f"no dead letters for {seconds:.0f} s")
        time.sleep(seconds)
        home.cluster.ensure_topics([home.settings.dead_letter_topic], home.settings.partitions)
        reopened = time.monotonic()
        command.says("reading goes on")
        resumed_s = time.monotonic() - reopened
        load.stop()
        drain_s = home.catches_up()
        command.end()
        letters = letters_of(home, injected)
        found = verdict(home, load.acknowledged) | letters.faults() | {"evictions": _evictions(command)}
    return Found(found, {"resumed_after_s": resumed_s, "drain_s": drain_s, "letters_twice": letters.twice})
