"""An updater over a Redis that loses what it has acknowledged, or is slow to replicate it: nothing is passed over."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from kafka.structs import OffsetAndMetadata

from stream.store.redis import guard
from stream.store.redis_store import RedisStore
from testbed.real_redis import RealRedis
from testbed.stream_process import wait_until
from tests.support.updater_world import World, work

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

USERS = [f"user-{number}" for number in range(8)]  # on all four partitions


def publish(world: World, first: int) -> None:
    """Three clicks of each user, on three items."""
    world.publish([click for user in USERS for click in world.clicks(user, first, first + 1, first + 2, first=first)])


def behaviours(store: RedisStore) -> list[int]:
    """How many behaviours each user has."""
    with RedisStore(f"redis://{store.link.address}") as reader:
        return [len(state.history.item_ids) if state else 0 for state in reader.get_many(USERS)]


@pytest.fixture
def store(real_redis: RealRedis) -> Iterator[RedisStore]:
    with RedisStore(real_redis.url) as store:
        yield store


def test_nothing_is_applied_over_a_gap_and_a_replay_closes_it(
    world: World, store: RedisStore, real_redis: RealRedis
) -> None:
    updater = world.updater(store)
    publish(world, 0)
    work(updater, lambda: updater.counts["applied"] == 24)
    real_redis.flush()
    publish(world, 3)
    work(updater, lambda: updater.trouble is not None)
    assert "lacks users, or the last events of some" in str(updater.trouble)
    updater.tell_health()
    assert updater.health.problem() == updater.trouble
    assert behaviours(store) == [0] * 8
    updater.close()

    with RedisStore(real_redis.url) as other:  # started anew it says the same
        late = world.updater(other)
        work(late, lambda: late.trouble is not None)
        assert behaviours(store) == [0] * 8
        late.close()

    rewind(world)
    with RedisStore(real_redis.url) as whole:
        replaying = world.updater(whole)
        work(replaying, lambda: behaviours(store) == [6] * 8)
        replaying.tell_health()
        assert replaying.health.problem() is None


Backup = dict[bytes, tuple[int, bytes]]


def back_up(redis: RealRedis, pattern: str = "*") -> Backup:
    """What Redis holds now: key -> its time to live and its value."""
    with redis.client() as client:
        return {key: (max(0, client.pttl(key)), client.dump(key)) for key in client.keys(pattern)}


def put_back(redis: RealRedis, backup: Backup) -> None:
    """Replace what Redis holds."""
    redis.flush()
    with redis.client() as client:
        for key, (lives_ms, value) in backup.items():
            client.restore(key, lives_ms, value)


def test_what_redis_loses_while_no_updater_runs_is_noticed_at_the_next_start(
    world: World, real_redis: RealRedis
) -> None:
    """An older backup that is put back, or a power cut that takes Redis and updaters."""

    def kept() -> list[int]:
        with RedisStore(real_redis.url) as reader:
            return behaviours(reader)

    def run(first: int, until: int) -> str | None:
        """Let a new updater go on until each user has so many behaviours, or say why it does not."""
        publish(world, first)
        with RedisStore(real_redis.url) as store:
            updater = world.updater(store)
            work(updater, lambda: updater.trouble is not None or kept() == [until] * 8)
            updater.close()
            return updater.trouble

    assert run(0, until=3) is None
    older = back_up(real_redis)
    assert run(3, until=6) is None  # nothing is amiss at a start where nothing was lost
    newer, users = back_up(real_redis), back_up(real_redis, "mindstream:user:*")  # six of each

    put_back(real_redis, older)
    said = str(run(6, until=9))
    assert "lacks users, or the last events of some: a write that was acknowledged is gone since updaters ran" in said
    assert "`mindstream stream offsets set all earliest`" in said
    assert kept() == [3] * 8  # nothing was applied over the gap
    with RedisStore(real_redis.url) as store:
        store.owner.take(world.settings.topic, world.settings.group)  # to go on without
    assert run(9, until=9) is None
    assert run(12, until=12) is None  # nor is it said again

    put_back(real_redis, newer)
    assert "a write that was acknowledged is gone" in str(run(15, until=18))
    rewind(world)
    assert run(18, until=21) is None

    put_back(real_redis, users)  # and nothing else, as users are brought into another Redis
    assert run(21, until=9) is None


def rewind(world: World) -> None:
    """Set the group's offsets back to the start, as an operator does."""
    start = OffsetAndMetadata(0, "", -1)
    with closing(world.cluster.consumer(world.settings.group)) as consumer:
        consumer.commit(dict.fromkeys(world.partitions(), start), timeout_ms=30_000)
    assert world.committed() == 0


def test_nothing_is_committed_that_no_replica_has(
    world: World, real_redis: RealRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "REPLICATED_WITHIN_MS", 500)
    with RedisStore(real_redis.url, replicas=1) as store, RealRedis() as replica:
        updater = world.updater(store)
        publish(world, 0)
        work(updater, lambda: updater.trouble is not None)
        assert "only 0 of 1 replicas (MINDSTREAM_REDIS_REPLICAS)" in str(updater.trouble)
        assert behaviours(store) == [3] * 8  # all of it is written
        assert world.committed() == 0
        updater.step()  # there is nothing left to write
        assert updater.trouble is not None
        updater.close()
        with RedisStore(real_redis.url, replicas=1) as other_store:
            other = world.updater(other_store)  # to which the events are old ones
            work(other, lambda: other.trouble is not None)
            assert world.committed() == 0
            with replica.client() as client:
                client.replicaof("127.0.0.1", real_redis.port)
                wait_until(lambda: client.info("replication")["master_link_status"] == "up", "the replica is in step")
                work(other, lambda: other.trouble is None)
                assert other.counts["replayed"] == 24
                assert client.exists(*(f"mindstream:user:{user}" for user in USERS)) == len(USERS)
            assert world.committed() == 24
