"""What Redis brings along: outages, restarts, lost scripts, passwords, TLS, other programs' keys, nodes that move."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, Thread
from typing import Self

import pytest
from redis.exceptions import MovedError

from stream.store.contract import Store
from stream.store.redis_store import RedisStore
from testbed import system_packages
from testbed.real_redis import RealRedis, RealRedisCluster
from testbed.stream_process import ROOT
from tests.support.stores import IDLE_DAYS, idle_since, item_of, overwrite, state

pytestmark = pytest.mark.redis

PASSWORD = "pa:ss/w@rd s3cret"
IN_URL = "pa%3Ass%2Fw%40rd%20s3cret"
LONGEST_S = 60.0  # far more than any of our timeouts, on the slowest machine

CALLS: dict[str, Callable[[Store], object]] = {
    "get_many": lambda store: store.get_many(["anna"]),
    "put_many": lambda store: store.put_many([state("anna", "bowl", 9)], {"anna": state("anna").position}),
    "users": lambda store: list(store.users()),
}


@pytest.fixture
def own_redis() -> Iterator[RealRedis]:
    """A Redis that the test may stop and kill."""
    with RealRedis() as redis:
        yield redis


@pytest.fixture(params=["redis", "redis-cluster"])
def place(request: pytest.FixtureRequest) -> RealRedis | RealRedisCluster:
    """A Redis and a Redis Cluster, empty."""
    fixture = "real_redis" if request.param == "redis" else "real_redis_cluster"
    found: RealRedis | RealRedisCluster = request.getfixturevalue(fixture)
    return found


def calls_of(redis: RealRedis, command: str) -> int:
    """How often a command was called."""
    with redis.client() as client:
        return int(client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"])


@pytest.mark.parametrize("method", CALLS)
def test_an_outage_is_said_and_ends_by_itself(own_redis: RealRedis, method: str) -> None:
    with RedisStore(own_redis.url) as store:
        store.put_many([state("anna")])
        own_redis.kill()
        for _ in range(2):
            with pytest.raises(OSError, match=f"Redis {own_redis.address} cannot be (read|written): .*refused"):
                CALLS[method](store)
        own_redis.start()
        CALLS[method](store)
        assert item_of(store, "anna") == ("bowl" if method == "put_many" else "mug")


def test_a_restart_between_two_calls_is_not_noticed(own_redis: RealRedis) -> None:
    """The connection is gone, and the script that Redis had learnt."""
    with RedisStore(own_redis.url) as store:
        store.put_many([state("anna", "mug", 4)])
        own_redis.restart()
        assert item_of(store, "anna") == "mug"
        own_redis.restart()
        assert store.put_many([state("anna", "bowl", 3), state("ben")]) == {"anna"}
        assert item_of(store, "anna") == "mug"
        assert item_of(store, "ben") == "mug"


@pytest.mark.parametrize("method", CALLS)
def test_a_redis_that_hangs_is_not_waited_for(
    own_redis: RealRedis, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.store.redis.client.ANSWERS_WITHIN_S", 2.0)
    with RedisStore(own_redis.url) as store:
        store.put_many([state("anna")])
        own_redis.pause()
        with pytest.raises(
            OSError, match=f"Redis {own_redis.address} cannot be (read|written): it does not answer: .*Timeout"
        ):
            CALLS[method](store)
        own_redis.resume()
        CALLS[method](store)


def test_there_is_no_redis_to_open(own_redis: RealRedis) -> None:
    own_redis.kill()
    for url in (own_redis.url, own_redis.url.replace("redis://", "redis+cluster://")):
        with pytest.raises(OSError, match=f"the capsule store at Redis {own_redis.address} cannot be opened: "):
            RedisStore(url)


def test_a_script_that_redis_has_forgotten_is_taught_again(place: RealRedis | RealRedisCluster) -> None:
    users = [f"user-{number}" for number in range(50)]
    with RedisStore(place.url) as store:
        for offset in range(1, 4):
            place.forget_scripts()
            read = {user: state(user, offset=offset - 1).position for user in users if offset > 1}
            assert store.put_many((state(user, str(offset), offset) for user in users), read) == set()
            place.forget_scripts()
            assert store.put_many((state(user, "late", offset) for user in users[:7]), read) == {*users[:7]}
        assert {item_of(store, user) for user in users} == {"3"}


def test_the_script_goes_to_redis_once(real_redis: RealRedis) -> None:
    real_redis.forget_scripts()
    with RedisStore(real_redis.url) as store:
        store.put_many([state("anna"), state("ben")])
        taught = calls_of(real_redis, "eval")
        evaluated = calls_of(real_redis, "evalsha")
        store.put_many(state(f"user-{number}") for number in range(100))
        assert calls_of(real_redis, "eval") == taught
        assert calls_of(real_redis, "evalsha") == evaluated + 100
        assert calls_of(real_redis, "multi") == 0


def test_a_batch_is_one_round_trip(real_redis: RealRedis) -> None:
    """Redis reads hundreds of commands of a pipeline at once; one by one each would be a read of its own."""
    user_ids = [f"user-{number}" for number in range(200)]
    with RedisStore(real_redis.url) as store, real_redis.client() as client:
        store.put_many(map(state, user_ids))
        read = {user: state(user).position for user in user_ids}
        for call in (lambda: store.put_many(map(state, user_ids), read), lambda: store.get_many(user_ids)):
            before = client.info("stats")["total_reads_processed"]
            call()
            assert client.info("stats")["total_reads_processed"] - before < 50


def test_a_user_who_is_written_without_idle_days_stays(real_redis: RealRedis) -> None:
    with RedisStore(real_redis.url, IDLE_DAYS) as store:
        store.put_many([idle_since("anna", 1)])
    with real_redis.client() as client:
        [key] = client.keys()
        assert 28 * 86_400 < client.ttl(key) <= 29 * 86_400
        with RedisStore(real_redis.url) as store:
            overwrite(store, [idle_since("anna", 1)])
        assert client.ttl(key) == -1


def test_prefixes_do_not_meet(real_redis: RealRedis) -> None:
    with RedisStore(real_redis.url, prefix="a*") as one, RedisStore(real_redis.url, prefix="ab") as other:
        one.put_many([state("anna", "mug")])
        other.put_many([state("anna", "bowl"), state("ben")])
        assert item_of(one, "anna") == "mug"
        assert list(one.users()) == ["anna"]
        assert sorted(other.users()) == ["anna", "ben"]


def test_a_key_of_another_program_says_so(place: RealRedis | RealRedisCluster) -> None:
    for server in place.nodes if isinstance(place, RealRedisCluster) else [place]:
        with server.client() as client, suppress(MovedError):  # one of them takes it
            client.rpush("mindstream:user:anna", "theirs")
    with RedisStore(place.url) as store:
        store.put_many([state("ben")])
        with pytest.raises(ValueError, match=r"the key 'mindstream:user:anna' in Redis .* holds no user"):
            store.get_many(["anna"])
        assert item_of(store, "ben") == "mug"


def test_a_value_that_is_no_state_says_so(real_redis: RealRedis) -> None:
    with RedisStore(real_redis.url) as store, real_redis.client() as client:
        for command in (["HSET", "mindstream:user:anna", "state", "theirs"], ["SET", "mindstream:user:anna", "theirs"]):
            client.flushdb()
            client.execute_command(*command)
            with pytest.raises(ValueError, match="a stored user cannot be read"):
                store.get_many(["anna"])
            assert store.put_many([state("anna")]) == {"anna"}


def test_a_full_redis_and_a_replica_refuse_and_are_named(own_redis: RealRedis) -> None:
    with RedisStore(own_redis.url) as store, own_redis.client() as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(OSError, match=f"Redis {own_redis.address} cannot be written: .*maxmemory"):
            store.put_many([state("anna")])
        client.config_set("maxmemory", 0)
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(OSError, match=f"Redis {own_redis.address} cannot be written: .*replica"):
            store.put_many([state("anna")])
        client.replicaof("NO", "ONE")
        assert store.put_many([state("anna")]) == set()


class Proxy:
    """An address behind which first one server is and then another; what is connected stays where it is.

    Attributes
    ----------
    target : port on this host that new connections go to.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self) -> None:
        with suppress(OSError):  # the end
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                for pair in ((near, far), (far, near)):
                    Thread(target=carry, args=pair, daemon=True).start()

    def __enter__(self) -> Self:
        Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # which wakes `accept`
        self.listener.close()


def carry(source: socket.socket, sink: socket.socket) -> None:
    """Pass on what comes until one side ends."""
    with suppress(OSError), source:
        while data := source.recv(65_536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("options", [(), ("--replica-serve-stale-data", "no")], ids=["READONLY", "MASTERDOWN"])
def test_a_failover_behind_one_address_is_followed(options: tuple[str, ...]) -> None:
    """As with a DNS name or a virtual IP: the connections of the pool are with the node that was demoted."""
    with (
        RealRedis(*options) as first,
        RealRedis() as second,
        Proxy(first.port) as proxy,
        RedisStore(f"redis://{proxy.address}") as store,
        first.client() as client,
    ):
        write_from_threads(store, "mug", 1)
        proxy.target = second.port
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(OSError, match=f"Redis {proxy.address} cannot be written: .*(replica|MASTER)"):
            store.put_many([state("anna", "bowl", 2)])
        write_from_threads(store, "bowl", 2)
        assert item_of(store, "user-0") == "bowl"


def write_from_threads(store: RedisStore, item: str, offset: int) -> None:
    """Write users from threads that begin together, so that each has a connection of its own."""
    together = Barrier(4)

    def write(begin: int) -> None:
        together.wait()
        store.put_many(state(f"user-{number}", item, offset) for number in range(begin, begin + 200))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(0, 800, 200)))


def test_what_was_acknowledged_survives_a_kill(own_redis: RealRedis) -> None:
    with RedisStore(own_redis.url) as store:
        for offset in range(20):
            overwrite(store, [state("anna", str(offset), offset)])
        own_redis.kill()
        own_redis.start()
        assert item_of(store, "anna") == "19"


def test_a_password_is_asked_for_and_never_shown() -> None:
    with RealRedis(password=PASSWORD) as redis:
        url = f"redis://:{IN_URL}@{redis.address}"
        with RedisStore(url) as store:
            store.put_many([state("anna")])
            redis.kill()
            with pytest.raises(OSError, match="refused") as refused:
                store.get_many(["anna"])
            assert "s3cret" not in repr(refused.value) + repr(store) + repr(vars(store)) + repr(vars(store.link))
            redis.start()
        for login in ("", ":s3cret-wrong@", "ann:s3cret-wrong@"):
            with pytest.raises(OSError, match=f"Redis {redis.address} cannot be opened: ") as wrong:
                RedisStore(f"redis://{login}{redis.address}")
            assert "s3cret" not in str(wrong.value) + repr(wrong.value.__cause__) + str(wrong.value.__cause__)


def test_a_command_line_does_not_show_the_password(tmp_path: Path) -> None:
    imports = "from mindstream import console; from stream.store.redis_store import RedisStore"
    code = f"{imports}; console.run(lambda standalone_mode: RedisStore({IN_URL!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "MINDSTREAM_REDIS" in done.stderr
    assert "s3cret" not in done.stderr


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, and server.pem and server.key of 127.0.0.1 that it vouches for."""
    [openssl] = system_packages.provide("openssl")
    folder = tmp_path_factory.mktemp("tls")
    new = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=mindstream-tests"]
    files = ["-keyout", "server.key", "-out", "server.pem", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*new, *files], cwd=folder, check=True, capture_output=True)
    shutil.copy(folder / "server.pem", folder / "ca.pem")
    return folder


@pytest.fixture
def tls_redis(certificates: Path) -> Iterator[RealRedis]:
    """A Redis that speaks TLS only and asks for a password."""
    [server] = system_packages.provide("redis-server")
    # It ends at the first option that it does not know, and names it.
    command = [server, "--tls-port", "0", "--no-such-option", "yes"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "tls-port" in done.stdout + done.stderr:
        raise system_packages.PartMissing("this redis-server was built without TLS")
    with RealRedis(password="s3cret", tls=certificates) as redis:
        yield redis


def test_tls_and_password(tls_redis: RealRedis) -> None:
    assert tls_redis.url.startswith("rediss://:s3cret@")
    with RedisStore(tls_redis.url) as store:
        store.put_many([state("anna")])
        assert item_of(store, "anna") == "mug"
        tls_redis.restart()
        assert item_of(store, "anna") == "mug"
    trusting = tls_redis.url.split("?")[0] + "?ssl_cert_reqs=none&ssl_check_hostname=false"
    with RedisStore(trusting) as store:
        assert item_of(store, "anna") == "mug"


def test_tls_that_cannot_be_trusted_is_refused(tls_redis: RealRedis) -> None:
    """By an authority that nobody knows."""
    with pytest.raises(OSError, match=f"Redis {tls_redis.address} cannot be opened: ") as failure:
        RedisStore(tls_redis.url.split("?")[0])
    assert "s3cret" not in str(failure.value)


def test_plain_text_to_a_redis_that_speaks_tls(tls_redis: RealRedis) -> None:
    with pytest.raises(OSError, match=f"Redis {tls_redis.address} cannot be opened: "):
        RedisStore(f"redis://:s3cret@{tls_redis.address}")


def test_a_redis_that_is_no_cluster_says_so(real_redis: RealRedis) -> None:
    with pytest.raises(OSError, match=f"Redis {real_redis.address} cannot be opened: .*[Cc]luster"):
        RedisStore(real_redis.url.replace("redis://", "redis+cluster://"))


def test_users_of_a_cluster_lie_on_all_nodes(real_redis_cluster: RealRedisCluster) -> None:
    with RedisStore(real_redis_cluster.url) as store:
        store.put_many(state(f"user-{number}") for number in range(60))
    for node in real_redis_cluster.nodes:
        with node.client() as client:
            assert 5 < client.dbsize() < 40


def test_a_slot_that_moves_is_followed() -> None:
    """While it moves and after it has moved, to a store that was opened before."""
    with RealRedisCluster() as cluster, RedisStore(cluster.url) as store:
        store.put_many([state("anna", "mug", 1), state("ben", "mug", 1)])
        read = {user: state(user, offset=1).position for user in ("anna", "ben")}
        cluster.move("mindstream:user:anna", halfway=lambda: store.put_many([state("anna", "bowl", 2)], read))
        assert item_of(store, "anna") == "bowl"
        assert store.put_many([state("anna", "mug", 2), state("ben", "bowl", 2)], read) == {"anna"}
        assert store.put_many([state("anna", "plate", 3)], {"anna": state("anna", offset=2).position}) == set()
        assert [item_of(store, user_id) for user_id in ("anna", "ben")] == ["plate", "bowl"]


def test_a_node_of_a_cluster_that_hangs_or_dies_is_said_once_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.store.redis.client.ANSWERS_WITHIN_S", 2.0)
    users = [f"user-{number}" for number in range(150)]
    with RealRedisCluster() as cluster, RedisStore(cluster.url) as store:
        store.put_many(map(state, users))
        cluster.nodes[1].pause()
        start = time.monotonic()
        read = {user: state(user).position for user in users}
        bowls = [state(user, "bowl", 1) for user in users]
        for call in (lambda: store.get_many(users), lambda: store.put_many(bowls, read)):
            with pytest.raises(OSError, match=r"cannot be (read|written)"):
                call()
        assert time.monotonic() - start < LONGEST_S  # not 2 s for each of the node's 50 users
        cluster.nodes[1].resume()
        cluster.nodes[2].kill()
        with pytest.raises(OSError, match="cannot be read"):
            store.get_many(users)
        cluster.nodes[2].start()
        cluster.wait()
        overwrite(store, (state(user, "plate", 2) for user in users))
        assert {item_of(store, user) for user in users} == {"plate"}
