"""The connection to a Redis or a Redis Cluster: a batch of commands a round trip, every failure one sentence."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, Protocol

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ConnectionError,
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)
from redis.retry import Retry

from stream.store.redis_address import RedisAddress

__all__ = ["Command", "Foreign", "RedisLink", "UnknownScript"]

ANSWERS_WITHIN_S = 5.0
CONNECTS_WITHIN_S = 2.0
PROBE_AFTER_S = 30  # a connection that was idle for so long is tried with a PING before it is used
SCAN_AT_A_TIME = 1000

# Where another node may serve by now: it cannot be reached, is loading (a ConnectionError), has lost its primary (a
# ClusterDownError), or is a replica.
ELSEWHERE = (ConnectionError, TimeoutError, ClusterDownError, RedisClusterException, ReadOnlyError)


class Command(NamedTuple):
    """One command on one key, so that Redis Cluster has one node for it."""

    key: bytes
    words: tuple[str | bytes | int, ...]


class Foreign(NamedTuple):
    """The reply for a key that holds something else than asked for."""

    reason: str


class UnknownScript(NamedTuple):
    """The reply to an EVALSHA of a script that this Redis does not know (any more)."""


class _Client(Protocol):
    """A Redis or a Redis Cluster."""

    def ask(self, commands: Sequence[Command]) -> list[Any]: ...
    def scan(self, pattern: bytes) -> Iterator[bytes]: ...
    def look_again(self) -> None: ...
    def close(self) -> None: ...


class RedisLink:
    """Connections to a Redis, shared by threads; a lost one is made anew by the next call.

    Parameters
    ----------
    holding : what is kept there, for the sentences.

    Raises
    ------
    OSError
        From every method, and on opening: where Redis is, and why it cannot be used. Never the password.
    """

    def __init__(self, address: RedisAddress, holding: str = "capsule store") -> None:
        self.address, self.holding = address, holding
        with self._explained("opened"):
            self.client: _Client = _Cluster(address) if address.cluster else _Single(address)

    def ask(self, commands: Sequence[Command], doing: str) -> list[Any]:
        """Return the replies in order; among them may be Foreign and UnknownScript.

        Parameters
        ----------
        doing : "read" or "written", for the sentence where it fails.
        """
        with self._explained(doing):
            return [_understood(reply) for reply in self.client.ask(commands)]

    def keys(self, pattern: bytes) -> Iterator[bytes]:
        """Yield keys that match, in no order.

        A key that is there all the time comes at least once.
        """
        with self._explained("read"):
            yield from self.client.scan(pattern)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Raise an error of Redis as an OSError that says where it is, never the password."""
        try:
            yield
        except (RedisError, RedisClusterException) as error:
            if isinstance(error, ELSEWHERE) and doing != "opened":
                self.client.look_again()
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise OSError(f"the {self.holding} at Redis {self.address} cannot be {doing}: {reason}") from error


class _Single:
    """One Redis; another one takes over by name, if at all."""

    def __init__(self, address: RedisAddress) -> None:
        # One more try, for connections that a restart of Redis has cut; a Redis that hangs is not asked twice.
        retry = Retry(NoBackoff(), 1, supported_errors=(ConnectionError,))
        self.redis = Redis(**_arguments(address), db=address.database, retry=retry, health_check_interval=PROBE_AFTER_S)
        try:
            self.redis.ping()
        except BaseException:
            self.redis.close()
            raise

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        return _ask(self.redis, commands)

    def scan(self, pattern: bytes) -> Iterator[bytes]:
        yield from self.redis.scan_iter(match=pattern, count=SCAN_AT_A_TIME)

    def look_again(self) -> None:
        """Connect anew by the next call: behind the same name another node may have taken over."""
        self.redis.connection_pool.disconnect(inuse_connections=False)  # others' are theirs until they fail too

    def close(self) -> None:
        self.redis.close()


class _Cluster:
    """A Redis Cluster; commands go to the nodes that hold their keys.

    One round trip a node.

    RedisCluster's own pipeline would ask a node that hangs once more for every single command, 5 seconds each.
    """

    def __init__(self, address: RedisAddress) -> None:
        self.redis = RedisCluster(**_arguments(address), retry=Retry(NoBackoff(), 1))

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        places: dict[str, list[int]] = {}
        nodes: dict[str, ClusterNode] = {}
        for place, command in enumerate(commands):
            node = self.redis.get_node_from_key(command.key)
            nodes[node.name] = node
            places.setdefault(node.name, []).append(place)
        replies: list[Any] = [None] * len(commands)
        for name, here in places.items():
            there = _ask(self.redis.get_redis_connection(nodes[name]), [commands[place] for place in here])
            for place, reply in zip(here, there, strict=True):
                moved = isinstance(reply, AskError | TryAgainError)  # MovedError is an AskError
                replies[place] = self._follow(commands[place]) if moved else reply
        return replies

    def _follow(self, command: Command) -> Any:
        """Ask wherever the key is now."""
        try:
            return self.redis.execute_command(*command.words)
        except ResponseError as error:
            return error

    def scan(self, pattern: bytes) -> Iterator[bytes]:
        yield from self.redis.scan_iter(match=pattern, count=SCAN_AT_A_TIME)

    def look_again(self) -> None:
        """Learn who holds what by now: after a failover the next call goes to the new node."""
        with suppress(RedisError, RedisClusterException):
            self.redis.nodes_manager.initialize()

    def close(self) -> None:
        self.redis.close()


def _arguments(address: RedisAddress) -> dict[str, Any]:
    """Return what Redis and RedisCluster are opened with."""
    options: dict[str, Any] = dict(address.options)
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = options["ssl_check_hostname"] == "true"
    return {
        "host": address.host,
        "port": address.port,
        "username": address.username,
        "password": address.password,
        "ssl": address.tls,
        "protocol": 2,  # nothing here needs more, and every Redis speaks it
        "socket_timeout": ANSWERS_WITHIN_S,
        "socket_connect_timeout": CONNECTS_WITHIN_S,
        **options,
    }


def _ask(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    """Return replies in order, errors among them, in one round trip.

    No MULTI: each command is atomic by itself.
    """
    with redis.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command.words)
        return pipeline.execute(raise_on_error=False)


def _understood(reply: Any) -> Any:
    """Return a reply that the caller can use; raise any other error."""
    if isinstance(reply, NoScriptError):
        return UnknownScript()
    if isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply):
        return Foreign(str(reply))
    if isinstance(reply, Exception):
        raise reply
    return reply
