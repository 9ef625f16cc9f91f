"""A Redis that two shops share and that is emptied, and a Redis Cluster whose primary is killed under load."""

import time

from kafka.structs import OffsetAndMetadata

from benchmarks.faults.found import Found, sums
from benchmarks.scenario.comparison import states_of
from benchmarks.scenario.home import Home
from benchmarks.scenario.load import Load
from benchmarks.scenario.verdict import verdict
from benchmarks.scenario.world import World
from testbed.real_redis import RealRedis, RealRedisCluster
from testbed.stream_process import StreamProcess, wait_until

__all__ = ["redis_failover", "shared_redis"]

LACKS = "lacks users, or the last events of some"
BELONGS = "belongs to topic"
GIVEN = "now reading faults-"
ENDS_WITHIN_S = 60.0
NODE_TIMEOUT_MS = 2_000


def shared_redis(world: World, seconds: float = 10.0) -> Found:
    """Let two shops use one Redis, by mistake under one prefix; empty it under load.

    The second shop is refused, and goes on under a prefix of its own. Once Redis was emptied neither applies anything
    over the gap, and both are whole again when they have read their topics from the start.
    """
    with RealRedis() as redis, world.home(redis.url) as one, world.home(redis.url, prefix="theirs") as other:
        with one.run(), Load(one) as load:
            one.applies_more_than(0)
            world.say("another shop comes")
            merged = _is_let_in(other)
            with other.run(), Load(other) as their_load:
                other.applies_more_than(0)
                time.sleep(seconds)
                load.stop()
                their_load.stop()
                for home in (one, other):
                    home.catches_up()
        apart = sums(
            verdict(home, its.acknowledged, undisturbed=False) for home, its in ((one, load), (other, their_load))
        )
        world.say("Redis is emptied")
        unnoticed, whole = _emptied(world, redis, one, other)
    faults = sums([apart, whole]) | {"merged": merged, "unnoticed": unnoticed}
    return Found(faults, {"events": load.acknowledged + their_load.acknowledged})


def _is_let_in(home: Home) -> int:
    """Start an updater under the prefix of another shop; return 1 if it is not refused."""
    with home.start(MINDSTREAM_REDIS_PREFIX="mindstream") as command:
        wait_until(
            lambda: GIVEN in command.said or command.process.poll() is not None, "it reads or ends", ENDS_WITHIN_S
        )
        return int(BELONGS not in command.said or command.process.poll() == 0)


def _emptied(world: World, redis: RealRedis, *homes: Home) -> tuple[int, dict[str, int]]:
    """Empty Redis while updaters of all homes run.

    Return who has not noticed, and what a replay makes of it.
    """
    unnoticed, whole = 0, []
    with homes[0].run() as first, homes[1].run() as second:
        redis.flush()
        for home, command in zip(homes, (first, second), strict=True):
            with Load(home) as load:
                unnoticed += not _says(command, LACKS)
                load.stop()
            unnoticed += len(states_of(home.store))  # applied over the gap
    for home in homes:
        world.say("replaying")
        _rewind(home)
        with home.run():
            home.catches_up()
        whole.append(verdict(home))
    return unnoticed, sums(whole)


def _says(command: StreamProcess, text: str) -> bool:
    """Wait until an updater has said something; tell whether it has."""
    deadline = time.monotonic() + ENDS_WITHIN_S
    while text not in command.said and time.monotonic() < deadline:
        time.sleep(0.05)
    return text in command.said


def _rewind(home: Home) -> None:
    """Set the group's offsets back to the topic's start, once all of its updaters are gone."""
    home.forget_the_dead()
    home.consumer.commit(dict.fromkeys(home.partitions(), OffsetAndMetadata(0, "", -1)), timeout_ms=30_000)


def redis_failover(world: World, times: int = 3) -> Found:
    """Kill primaries of a Redis Cluster under load, whose replicas take over.

    Each write is waited for by a replica, so nothing may be lost; what is lost without a word is a fault of its own.
    """
    waits = []
    with (
        RealRedisCluster("--cluster-node-timeout", str(NODE_TIMEOUT_MS), replicas=1) as cluster,
        world.home(cluster.url) as home,
        home.run(MINDSTREAM_REDIS_REPLICAS="1") as command,
        Load(home) as load,
    ):
        wait_until(lambda: home.committed() > 0, "events are applied")
        for number in range(times):
            world.say(f"failover {number + 1} of {times}")
            started = time.monotonic()
            cluster.fail_over(number % 3).start()  # as the replica
            _applies_again(home)
            waits.append(time.monotonic() - started)
            cluster.wait()
        load.stop()
        drain_s = home.catches_up()
        command.end()
        faults = verdict(home, load.acknowledged)
        faults["lost_without_a_word"] = 0 if LACKS in command.said else faults["lost"]
    return Found(faults, {"failovers": times, "resumed_after_s": max(waits), "drain_s": drain_s})


def _applies_again(home: Home) -> None:
    """Return once something is committed that was not before."""
    before = home.committed()
    wait_until(lambda: home.committed() > before, "events are applied again")
