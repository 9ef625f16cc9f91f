"""Redis behind Sentinel, at a socket and as a Cluster with replicas, with TLS, and passwords that change meanwhile."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stream.store.redis import guard
from stream.store.redis.address import parse
from stream.store.redis_store import RedisStore
from testbed.real_redis import RealRedis, RealRedisCluster
from testbed.real_sentinel import RealSentinels
from testbed.stream_process import wait_until
from tests.support.certificates import new_authority
from tests.support.stores import item_of, overwrite, state

pytestmark = pytest.mark.redis

USERS = [f"user-{number}" for number in range(60)]


class Shop:
    """An updater, as a store sees it."""

    topic, group, life = "clicks", "updaters", "life 1"

    def cluster_id(self) -> str:
        return ""

    def is_past_the_start(self) -> bool:
        return False

    def noted_marks(self) -> list[str]:
        return []


def tls_folder(folder: Path) -> Path:
    """A folder with ca.pem, and server.pem and server.key of 127.0.0.1 that it vouches for."""
    new_authority(folder).sign("server", "127.0.0.1")
    return folder


def goes_through(call: Callable[[], object]) -> Callable[[], bool]:
    """Whether a call goes through by now."""

    def tried() -> bool:
        try:
            call()
        except OSError:
            return False
        return True

    return tried


def said(call: Callable[[], object]) -> str:
    """The error of a call; empty where there is none."""
    try:
        call()
    except OSError as error:
        return str(error)
    return ""


def write(store: RedisStore, item: str, offset: int) -> None:
    overwrite(store, [state(user, item, offset) for user in USERS])


def test_a_socket_of_this_host(tmp_path: Path) -> None:
    file = tmp_path / "redis one.sock"
    with RealRedis("--unixsocket", str(file), password="s3cret") as redis:
        url = f"unix://:s3cret@{str(file).replace(' ', '%20')}?db=3"
        with RedisStore(url, replicas=0) as store:
            store.claim(Shop())
            write(store, "mug", 1)
            redis.restart()
            assert item_of(store, "user-7") == "mug"
        with redis.client() as client:
            client.select(3)
            assert client.exists("mindstream:user:user-7")
    with pytest.raises(OSError, match=f"the capsule store at Redis {file} cannot be opened: ") as failure:
        RedisStore(url)
    assert "s3cret" not in str(failure.value)


@pytest.mark.slow
def test_the_replica_that_sentinels_choose_is_followed(tmp_path: Path) -> None:
    tls = tls_folder(tmp_path / "tls")
    with RealSentinels("s3cret-1", "s3cret-2", tls) as sentinels, RedisStore(sentinels.url, replicas=1) as store:
        store.claim(Shop())
        write(store, "mug", 1)
        sentinels.fail_over()
        wait_until(goes_through(lambda: store.get_many(USERS)), "the replica answers")
        assert {item_of(store, user) for user in USERS} == {"mug"}  # it had acknowledged all of them
        assert store.problem() is None
        store.link.guard = guard.StoreGuard(store.owner, store.owner.claim(Shop(), lambda: False), replicas=0)
        write(store, "bowl", 2)
        assert item_of(store, "user-7") == "bowl"
        sentinels.replica.kill()
        with pytest.raises(OSError, match=r"the capsule store at Redis shop of Sentinel 127.0.0.1.* read") as failure:
            store.get_many(USERS)
        assert "s3cret" not in str(failure.value) + repr(failure.value.__cause__)


@pytest.mark.slow
def test_a_primary_of_a_cluster_that_dies_takes_nothing_with_it_that_a_replica_had(tmp_path: Path) -> None:
    tls, timeout = tls_folder(tmp_path / "tls"), ("--cluster-node-timeout", "1500")
    with RealRedisCluster(*timeout, replicas=1, password="s3cret", tls=tls) as cluster:
        first, *_, last = (node.address for node in cluster.primaries)
        several = cluster.url.replace(first, f"127.0.0.1:1,{last}")  # the first one of them does not answer
        with RedisStore(several, replicas=1) as store:
            store.claim(Shop())
            write(store, "mug", 1)
            cluster.primaries[0].kill()
            wait_until(goes_through(lambda: store.get_many(USERS)), "a replica has taken over")
            assert {item_of(store, user) for user in USERS} == {"mug"}
            assert store.problem() is None
            with pytest.raises(OSError, match="only 0 of 1 replicas"):  # the new primary has none
                write(store, "bowl", 2)
            with pytest.raises(OSError, match="only 0 of 1 replicas"):  # what is left to write is nothing
                store.put_many([])
            cluster.primaries[0].start()  # as its replica
            wait_until(goes_through(lambda: write(store, "bowl", 2)), "it is in step")
            assert {item_of(store, user) for user in USERS} == {"bowl"}


@pytest.mark.slow
def test_a_failover_that_takes_acknowledged_writes_with_it_is_noticed() -> None:
    """To a replica that was cut off from its primary, and nobody waited for it."""
    with (
        RealRedisCluster("--cluster-node-timeout", "1500", replicas=1, password="s3cret") as cluster,
        RedisStore(cluster.url) as store,
    ):
        primary, replica = cluster.primaries[0], cluster.nodes[3]
        store.claim(Shop())
        write(store, "mug", 1)
        with replica.client() as there, primary.client() as here:
            there.config_set("masterauth", "wrong")
            here.client_kill_filter(_type="replica")
            write(store, "bowl", 2)
        primary.kill()
        wait_until(lambda: "lacks users" in said(lambda: store.get_many(USERS)), "the loss is noticed")
        assert "a write that was acknowledged is gone" in str(store.problem())
        left = cluster.url.replace(primary.address, cluster.primaries[1].address)
        with RedisStore(left) as reader:  # it is a real one
            assert {item_of(reader, user) for user in USERS} == {"mug", "bowl"}


def test_a_password_that_is_changed_is_taken_up(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret-1\n")
    with RealRedis(password="s3cret-1") as redis, RedisStore(parse(f"redis://{redis.address}", file)) as store:
        write(store, "mug", 1)
        with redis.client() as client:
            client.config_set("requirepass", "s3cret-2")
            client.client_kill_filter(_type="normal", skipme=True)
            with pytest.raises(OSError, match=r"invalid username-password|WRONGPASS") as failure:
                write(store, "bowl", 2)
            assert "s3cret" not in str(failure.value)
            file.write_text("s3cret-2\n")
            write(store, "bowl", 2)
            file.unlink()
            assert item_of(store, "user-7") == "bowl"  # what is connected stays
            client.client_kill_filter(_type="normal", skipme=True)
            with pytest.raises(OSError, match=f"the password file {file} cannot be read"):
                store.get_many(["user-7"])


def test_certificates_that_are_changed_are_taken_up(tmp_path: Path) -> None:
    ours = tmp_path / "ca.pem"
    shutil.copy(tls_folder(tmp_path / "tls") / "ca.pem", ours)
    with RealRedis(tls=tmp_path / "tls") as redis, RedisStore(f"rediss://{redis.address}?ssl_ca_certs={ours}") as store:
        write(store, "mug", 1)
        shutil.rmtree(tmp_path / "tls")
        tls_folder(tmp_path / "tls")  # of another authority
        redis.restart()
        with pytest.raises(OSError, match="certificate verify failed"):
            store.get_many(["user-7"])
        shutil.copy(tmp_path / "tls" / "ca.pem", ours)
        assert item_of(store, "user-7") == "mug"
