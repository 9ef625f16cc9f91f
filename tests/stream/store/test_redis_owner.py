"""Whose store it is in a Redis that others share, and whether it still has what it acknowledged."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from index.catalogue.open_overlay_store import open_overlay_store
from mindstream.settings import Settings
from stream.store.open_store import open_store
from stream.store.redis.client import Node
from stream.store.redis.health import StoreHealth, bad_settings
from stream.store.redis.marks import KEPT_S, Marks, marks_in
from stream.store.redis_store import RedisStore
from testbed.real_redis import RealRedis, RealRedisCluster
from tests.support.stores import item_of, overwrite, state
from tests.support.stream_shell import Shell

pytestmark = pytest.mark.redis

USERS = [f"user-{number}" for number in range(60)]
LACKS = "lacks users, or the last events of some: "


@dataclass
class Shop:
    """An updater, as a store sees it."""

    topic: str = "clicks"
    group: str = "updaters"
    life: str = "life 1"
    cluster: str = "kafka-1"
    past: bool = False
    noted: Sequence[str] = ()

    def cluster_id(self) -> str:
        return self.cluster

    def is_past_the_start(self) -> bool:
        return self.past

    def noted_marks(self) -> Sequence[str]:
        return self.noted


@pytest.fixture(params=["redis", "redis-cluster"])
def place(request: pytest.FixtureRequest) -> RealRedis | RealRedisCluster:
    """A Redis and a Redis Cluster, empty."""
    fixture = "real_redis" if request.param == "redis" else "real_redis_cluster"
    found: RealRedis | RealRedisCluster = request.getfixturevalue(fixture)
    return found


@pytest.fixture
def opened(place: RealRedis | RealRedisCluster) -> Iterator[Callable[..., RedisStore]]:
    """Opens stores at that place, claimed by a shop."""
    stores: list[RedisStore] = []

    def open_one(shop: Shop | None = None, prefix: str = "mindstream") -> RedisStore:
        stores.append(RedisStore(place.url, prefix=prefix))
        stores[-1].claim(shop or Shop())
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


def write(store: RedisStore, item: str = "mug", offset: int = 0) -> None:
    assert overwrite(store, [state(user, item, offset) for user in USERS]) == set()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (Shop(topic="views"), "belongs to topic 'clicks' and group 'updaters', and not to topic 'views' and group "),
        (Shop(group="others"), "belongs to topic 'clicks' and group 'updaters', and not to .* group 'others'"),
        (Shop(cluster="kafka-2"), "topic 'clicks' of the Kafka cluster 'kafka-1', and KAFKA_BOOTSTRAP.* 'kafka-2'"),
    ],
)
def test_the_store_of_another_shop_is_refused(opened: Callable[..., RedisStore], other: Shop, said: str) -> None:
    write(opened())
    with pytest.raises(ValueError, match=f"{said}.*set MINDSTREAM_REDIS_PREFIX to another one"):
        opened(other)
    theirs = opened(other, prefix="theirs")
    write(theirs, "bowl")
    assert item_of(opened(), "user-7") == "mug"
    assert sorted(theirs.users()) == sorted(USERS)


def test_updaters_of_one_shop_share_it_also_where_its_topic_was_made_again(opened: Callable[..., RedisStore]) -> None:
    one, other = opened(), opened(Shop(life="life 2"))
    write(one)
    write(other, "bowl", 1)
    assert item_of(one, "user-7") == "bowl"
    assert (one.problem(), other.problem()) == (None, None)


def test_a_store_of_a_version_without_owners_is_found_again(place: RealRedis | RealRedisCluster) -> None:
    with RedisStore(place.url) as old:  # nobody claims it
        write(old)
    with RedisStore(place.url) as store:
        store.claim(Shop(past=True))
        assert item_of(store, "user-7") == "mug"
        with RedisStore(place.url) as other, pytest.raises(ValueError, match="belongs to topic 'clicks'"):
            other.claim(Shop(topic="views"))


def test_a_store_that_was_emptied_while_it_is_used_is_left_alone(
    place: RealRedis | RealRedisCluster, opened: Callable[..., RedisStore]
) -> None:
    """Two updaters notice it, one by its marks; and also one that starts after that."""
    one, other = opened(), opened()
    write(one)
    place.flush()
    for store in (one, other):
        with pytest.raises(OSError, match=f"{LACKS}.*flushed.*nothing is applied over the gap.*owner --take"):
            store.get_many(USERS)
    late = opened(Shop(past=True))
    with pytest.raises(OSError, match=f"{LACKS}.*flushed"):
        late.get_many(["user-7"])
    assert LACKS in str(late.problem())
    late.owner.take("clicks", "updaters")  # for all of them
    for number, store in enumerate((one, other, late)):
        write(store, "bowl", number)
        assert item_of(store, "user-7") == "bowl"


def test_an_emptied_store_is_whole_again_once_the_topic_is_read_from_its_start(
    place: RealRedis | RealRedisCluster, opened: Callable[..., RedisStore]
) -> None:
    write(opened())
    place.flush()
    store = opened(Shop(past=True))
    with pytest.raises(OSError, match=f"{LACKS}it is empty, and offsets are committed"):
        store.get_many(["user-7"])
    again = opened(Shop(past=False))
    write(again)
    assert item_of(store, "user-7") == "mug"
    assert (again.problem(), store.problem()) == (None, None)


def test_one_node_that_was_emptied_is_noticed(real_redis_cluster: RealRedisCluster) -> None:
    """As when it was started anew without its data: the entry with the owner may be on another one."""
    for node in real_redis_cluster.nodes:
        real_redis_cluster.flush()
        with RedisStore(real_redis_cluster.url) as store:
            store.claim(Shop())
            write(store)
            node.flush()
            with pytest.raises(OSError, match=LACKS):
                store.get_many(USERS)


def test_a_write_between_which_and_its_read_the_store_was_emptied(real_redis: RealRedis) -> None:
    with RedisStore(real_redis.url) as store:
        store.claim(Shop())
        write(store)
        store.get_many(["user-7"])
        real_redis.flush()
        with pytest.raises(OSError, match=f"{LACKS}a write that was acknowledged is gone"):
            store.put_many([state("new")])
        with pytest.raises(OSError, match=LACKS):
            store.get_many(["new"])


def test_a_redis_that_evicts_is_noticed(real_redis: RealRedis) -> None:
    with RedisStore(real_redis.url) as store, real_redis.client() as client:
        store.claim(Shop())
        write(store)
        [mark] = client.keys("mindstream:written:*")
        assert 0 < client.ttl(mark) <= 7 * 86_400
        client.delete(mark)  # what an eviction does
        with pytest.raises(OSError, match=f"{LACKS}.*evicted"):
            store.get_many(["user-7"])


def test_an_idle_updater_says_it_too(real_redis: RealRedis, caplog: pytest.LogCaptureFixture) -> None:
    with RedisStore(real_redis.url) as store:
        store.claim(Shop())
        assert store.problem() is None
        real_redis.flush()
        store.health.asked -= 60  # else it is asked for only every 10 seconds
        for _ in range(2):
            assert LACKS in str(store.problem())
    assert caplog.text.count(LACKS) == 1
    with RedisStore(real_redis.url) as reader:
        assert LACKS in str(StoreHealth(reader.owner).problem())


def test_the_key_of_the_owner_may_be_anothers(real_redis: RealRedis) -> None:
    with RedisStore(real_redis.url) as store, real_redis.client() as client:
        client.set("mindstream:store", "theirs")
        with pytest.raises(ValueError, match=r"the key 'mindstream:store' in Redis .* was written by another program"):
            store.claim(Shop())
        client.delete("mindstream:store")
        store.claim(Shop())
        client.set("mindstream:store", "theirs")
        with pytest.raises(OSError, match="was written by another program"):
            store.get_many(["user-7"])
        client.delete("mindstream:store")
        client.hset("mindstream:store", mapping={"topic": "clicks", "group": "updaters", "format": "99"})
        with pytest.raises(ValueError, match="is of format '99', and this version knows '1'"):
            store.owner.read()


def settings(redis: RealRedis, home: Path, **more: object) -> Settings:
    return Settings.model_validate({"home": home, "redis": SecretStr(redis.url), **more})


@pytest.mark.parametrize("open_it", [open_store, open_overlay_store], ids=["store", "items"])
def test_readers_are_refused_too_where_they_are_told_whose_they_read(
    real_redis: RealRedis, tmp_path: Path, open_it: Callable[[Settings], RedisStore]
) -> None:
    with RedisStore(real_redis.url) as store:
        store.claim(Shop())
    for right in (
        {},
        {"topic": "clicks"},
        {"topic": "clicks", "group": "updaters"},
        {"redis_prefix": "b", "topic": "b"},
    ):
        open_it(settings(real_redis, tmp_path, **right)).close()
    for wrong in ({"topic": "views"}, {"group": "others"}):
        with pytest.raises(ValueError, match=r"store at Redis .* belongs to topic 'clicks'.*MINDSTREAM_REDIS_PREFIX"):
            open_it(settings(real_redis, tmp_path, **wrong))


def test_items_of_two_prefixes_do_not_meet(real_redis: RealRedis, tmp_path: Path) -> None:
    with (
        open_overlay_store(settings(real_redis, tmp_path, redis_prefix="one")) as one,
        open_overlay_store(settings(real_redis, tmp_path, redis_prefix="other")) as other,
    ):
        one.write({"mug": None})
        assert (one.last_change(), other.last_change()) == (1, 0)


def test_settings_of_redis_that_lose_users_are_said(
    real_redis: RealRedis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_store(settings(real_redis, tmp_path)).close()
    assert caplog.text == ""
    with real_redis.client() as client, caplog.at_level(logging.WARNING):
        client.config_set("maxmemory-policy", "allkeys-lru")
        open_store(settings(real_redis, tmp_path)).close()
        client.config_set("maxmemory-policy", "noeviction")
        for value in ("everysec", "no"):
            client.config_set("appendfsync", value)
            open_store(settings(real_redis, tmp_path)).close()
        client.config_set("appendonly", "no")
        open_store(settings(real_redis, tmp_path)).close()
        client.config_set("appendonly", "yes")
        client.acl_setuser("ann", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-config", "-info"])
        with RedisStore(f"redis://ann:any@{real_redis.address}") as forbidden:
            forbidden.health.warn_of_settings()
        client.acl_deluser("ann")
        client.config_set("appendfsync", "always")
    said = [record.getMessage().removeprefix(f"Redis {real_redis.address}: ") for record in caplog.records]
    assert [one.split(",")[0] for one in said] == [
        "maxmemory-policy is allkeys-lru",
        "appendfsync is everysec",
        "appendfsync is no",
        "appendonly is no",
    ]


def test_appendfsync_of_one_node_of_a_cluster_is_said(
    real_redis_cluster: RealRedisCluster, caplog: pytest.LogCaptureFixture
) -> None:
    with real_redis_cluster.nodes[1].client() as client, RedisStore(real_redis_cluster.url) as store:
        client.config_set("appendfsync", "everysec")
        store.health.warn_of_settings()
        client.config_set("appendfsync", "always")
    assert [record.getMessage().count("appendfsync is everysec") for record in caplog.records] == [1]


def test_a_size_of_lmdb_has_no_effect_in_redis(
    real_redis: RealRedis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_store(settings(real_redis, tmp_path, lmdb_gb=2)).close()
    assert "MINDSTREAM_LMDB_GB is set and has no effect, as MINDSTREAM_REDIS is set" in caplog.text


def test_the_command_says_whose_it_is_and_takes_it(real_redis: RealRedis, shell: Shell) -> None:
    shell.set(redis=SecretStr(real_redis.url), topic="views")
    assert "under the prefix 'mindstream' belongs to nobody yet" in shell("owner")[1]
    with RedisStore(real_redis.url) as store:
        store.claim(Shop())
        write(store)
        status, said = shell("owner")
        assert (status, "belongs to topic 'clicks' and group 'updaters'\ncluster kafka-1\n" in said) == (0, True)
        assert "lost    nothing that was noticed" in said
        real_redis.flush()
        with pytest.raises(OSError, match=LACKS):
            store.get_many(["user-7"])
        assert "lost    the entry that says whose store it is has gone" in shell("owner")[1]
        assert "nobody can be asked here; --yes says that it is meant" in shell("owner", "--take")[1]
        said = shell("owner")[1]
        assert "belongs to topic 'clicks'" in said
        said = shell("owner", "--take", "--yes")[1]
        assert "will be of topic 'views' and group 'mindstream-updater'; updaters of topic 'clicks'" in said
        assert "whether updaters of it are at work cannot be told (no Kafka is configured" in said
        assert "what was lost is given up, and updaters go on without it: the entry that says" in said
        assert said.endswith("it belongs to topic 'views' and group 'mindstream-updater' now\n")
        assert "lost    nothing that was noticed" in shell("owner")[1]
        assert "there is nothing to take" in shell("owner", "--take")[1]
        with pytest.raises(OSError, match=r"belongs to topic 'views'.* not to topic 'clicks'"):
            store.get_many(["user-7"])
    shell.set(redis=SecretStr(""))
    status, said = shell("owner")
    assert (status, "the store is LMDB in" in said, "no updater has begun with it yet" in said) == (0, True, True)
    assert "nobody can be asked here; --yes says that it is meant" in shell("owner", "--take")[1]
    assert "updaters may begin with it now" in shell("owner", "--take", "--yes")[1]
    assert "there is nothing to take" in shell("owner", "--take")[1]


def test_a_node_that_was_emptied_while_nobody_wrote_is_noticed_by_the_next_claim(
    real_redis_cluster: RealRedisCluster,
) -> None:
    """By what the last one has noted beside its offsets, whichever node it was."""
    for node in real_redis_cluster.nodes:
        real_redis_cluster.flush()
        with RedisStore(real_redis_cluster.url) as store:
            store.claim(Shop())
            write(store)
            noted = [store.marks()]
        for empty, lost in ((False, False), (True, True)):
            if empty:
                node.flush()
            with RedisStore(real_redis_cluster.url) as store:
                store.claim(Shop(past=True, noted=noted))
                assert (LACKS in str(store.problem())) is lost


def test_marks_come_back_from_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = Marks("shop:a")
    assert marks.note("id") == ""  # nothing was acknowledged
    odd = Node("odd", lambda key: key[-1] % 2 == 1)
    marks.confirm(marks.on(odd), 17)
    note = marks.note("id")
    [found] = marks_in(["", "of another program", note], "shop:a")
    assert (found.store, found.key, found.number) == ("id", marks.on(odd), 17)
    monkeypatch.setattr(time, "time", lambda: found.at_s + KEPT_S)  # by then the key has expired
    assert list(marks_in([note], "shop:a")) == []
    for place in range(1_000):  # nodes
        marks.confirm(f"shop:a:written:{marks.process}:{place}".encode(), place)
    assert len(marks.note("id")) <= 2_000


def test_what_a_node_says_of_itself() -> None:
    assert bad_settings({}) == []
    assert bad_settings({"maxmemory_policy": "noeviction", "evicted_keys": 0, "aof_enabled": 1}) == []
    found = bad_settings({"maxmemory_policy": "volatile-ttl", "evicted_keys": 1_200, "aof_enabled": 0})
    assert [one.split(",")[0] for one in found] == [
        "maxmemory-policy is volatile-ttl",
        "it has evicted 1",
        "appendonly is no",
    ]


def test_a_mark_is_older_than_what_was_acknowledged_or_it_is_not() -> None:
    marks = Marks("shop")
    nodes = [Node("even", lambda key: key[-1] % 2 == 0), Node("odd", lambda key: key[-1] % 2 == 1)]
    one, other = map(marks.on, nodes)
    assert one != other
    assert [marks.on(node) for node in nodes] == [one, other]
    assert not marks.is_lost(one, None)  # nothing was written yet
    marks.confirm(one, 5)
    assert [marks.is_lost(one, found) for found in (None, b"4", b"5", b"6")] == [True, True, False, False]
    assert not marks.is_lost(other, None)
    marks.forget()
    assert not marks.is_lost(one, None)
