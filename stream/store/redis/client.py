"""The one place that makes redis-py's clients: of one Redis, behind Sentinel, at a socket, or of a Redis Cluster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from redis import CredentialProvider, Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
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
from redis.sentinel import Sentinel

from stream.store.redis.address import RedisAddress
from stream.store.redis.command import Command, Foreign, UnknownScript

__all__ = ["ANSWERS_WITHIN_S", "ELSEWHERE", "FAILURES", "Along", "Client", "Node", "connect", "is_away", "understood"]

ANSWERS_WITHIN_S = 5.0
CONNECTS_WITHIN_S = 2.0
PROBE_AFTER_S = 30  # a connection that was idle for so long is tried with a PING before it is used
SCAN_AT_A_TIME = 1000

FAILURES = (RedisError, RedisClusterException)
# Where another node may serve by now: it cannot be reached, is loading (a ConnectionError), has lost its primary (a
# ClusterDownError), or is a replica.
ELSEWHERE = (ConnectionError, TimeoutError, ClusterDownError, RedisClusterException, ReadOnlyError)


class Node(NamedTuple):
    """A node that commands go to.

    Attributes
    ----------
    holds : whether a key lies there.
    """

    name: str
    holds: Callable[[bytes], bool]


class Along(Protocol):
    """The commands that go along with a batch on each node, in the same round trip.

    Attributes
    ----------
    also : keys whose nodes are asked, too.
    everywhere : whether all nodes that hold keys are.
    """

    also: Sequence[bytes]
    everywhere: bool

    def before(self, node: Node) -> Sequence[Command]:
        """Return the commands in front of a node's share of the batch."""
        ...

    def after(self, node: Node) -> Sequence[Command]:
        """Return the commands behind it."""
        ...

    def look(self, node: Node, before: Sequence[Any], after: Sequence[Any]) -> None:
        """Look at the replies to both; raise where they say that something is wrong."""
        ...


class Client(Protocol):
    """A Redis or a Redis Cluster."""

    def ask(self, commands: Sequence[Command], along: Along | None = None) -> list[Any]:
        """Return the replies in order, errors among them."""
        ...

    def scan(self, pattern: bytes) -> Iterator[bytes]:
        """Yield keys that match."""
        ...

    def infos(self) -> list[dict[str, Any]]:
        """Return the reply of each node that holds keys to INFO."""
        ...

    def configured(self, name: str) -> list[str]:
        """Return what each node that holds keys has for a setting of its own (CONFIG GET)."""
        ...

    def look_again(self) -> None:
        """Find out who serves by now."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


def connect(address: RedisAddress) -> Client:
    """Connect to what an address names.

    Raises
    ------
    RedisError
        If it cannot be reached, or does not let us in.
    """
    return _Cluster(address) if address.kind == "cluster" else _Single(address)


class _Single:
    """One Redis; another one takes over by name, by Sentinel, or not at all."""

    def __init__(self, address: RedisAddress) -> None:
        # One more try, for connections that a restart of Redis has cut; a Redis that hangs is not asked twice.
        retry = Retry(NoBackoff(), 1, supported_errors=(ConnectionError,))
        shared = {**_arguments(address), "db": address.database, "retry": retry, "health_check_interval": PROBE_AFTER_S}
        self.sentinel: Sentinel | None = None
        if address.kind == "sentinel":
            self.sentinel = Sentinel(list(address.hosts), sentinel_kwargs=_sentinel_arguments(address))
            self.redis: Redis = self.sentinel.master_for(address.service, Redis, **shared)
        elif address.kind == "socket":
            self.redis = Redis(unix_socket_path=address.path, **shared)
        else:
            [(host, port)] = address.hosts
            self.redis = Redis(host=host, port=port, **shared)
        self.node = Node(str(address), lambda _: True)
        try:
            self.redis.ping()
        except BaseException:
            self.close()
            raise

    def ask(self, commands: Sequence[Command], along: Along | None = None) -> list[Any]:
        return _exchange(self.redis, self.node, commands, along)

    def scan(self, pattern: bytes) -> Iterator[bytes]:
        yield from self.redis.scan_iter(match=pattern, count=SCAN_AT_A_TIME)

    def infos(self) -> list[dict[str, Any]]:
        return [self.redis.info()]

    def configured(self, name: str) -> list[str]:
        return _configured(self.redis, name)

    def look_again(self) -> None:
        """Connect anew by the next call: behind the same name another node may have taken over."""
        self.redis.connection_pool.disconnect(inuse_connections=False)  # others' are theirs until they fail too

    def close(self) -> None:
        self.redis.close()
        if self.sentinel:
            self.redis.connection_pool.disconnect()  # which master_for made, so that `close` leaves it alone
            self.sentinel.close()


class _Cluster:
    """A Redis Cluster; commands go to the nodes that hold their keys.

    One round trip a node.

    RedisCluster's own pipeline would ask a node that hangs once more for every single command, 5 seconds each.
    """

    def __init__(self, address: RedisAddress) -> None:
        seeds = [ClusterNode(host, port) for host, port in address.hosts]
        self.redis = RedisCluster(startup_nodes=seeds, **_arguments(address), retry=Retry(NoBackoff(), 1))

    def ask(self, commands: Sequence[Command], along: Along | None = None) -> list[Any]:
        places, nodes = self._places(commands, along)
        replies: list[Any] = [None] * len(commands)
        moved = False
        for name, here in places.items():
            client = self.redis.get_redis_connection(nodes[name])
            there = _exchange(client, self._node(nodes[name]), [commands[place] for place in here], along)
            for place, reply in zip(here, there, strict=True):
                if _has_moved(reply):
                    reply, moved = self._follow(commands[place]), True
                replies[place] = reply
        if moved and along and along.everywhere:
            raise ConnectionError("keys have moved to another node meanwhile")
        return replies

    def _places(
        self, commands: Sequence[Command], along: Along | None
    ) -> tuple[dict[str, list[int]], dict[str, ClusterNode]]:
        """Return name of a node -> places of its commands, and the nodes by name."""
        places: dict[str, list[int]] = {}
        nodes: dict[str, ClusterNode] = {}
        for place, command in enumerate(commands):
            node = self.redis.get_node_from_key(command.key)
            nodes[node.name] = node
            places.setdefault(node.name, []).append(place)
        if along:
            more = [self.redis.get_node_from_key(key) for key in along.also]
            for node in more + (self.redis.get_primaries() if along.everywhere else []):
                nodes[node.name] = node
                places.setdefault(node.name, [])
        return places, nodes

    def _node(self, node: ClusterNode) -> Node:
        """Return a node and what it holds."""
        return Node(node.name, lambda key: bool(self.redis.get_node_from_key(key).name == node.name))

    def _follow(self, command: Command) -> Any:
        """Ask wherever the key is now."""
        try:
            return self.redis.execute_command(*command.words)
        except ResponseError as error:
            return error

    def scan(self, pattern: bytes) -> Iterator[bytes]:
        yield from self.redis.scan_iter(match=pattern, count=SCAN_AT_A_TIME)

    def infos(self) -> list[dict[str, Any]]:
        return [self.redis.get_redis_connection(node).info() for node in self.redis.get_primaries()]

    def configured(self, name: str) -> list[str]:
        nodes = [self.redis.get_redis_connection(node) for node in self.redis.get_primaries()]
        return [value for node in nodes for value in _configured(node, name)]

    def look_again(self) -> None:
        """Learn who holds what by now: after a failover the next call goes to the new node."""
        with suppress(RedisError, RedisClusterException):
            self.redis.nodes_manager.initialize()

    def close(self) -> None:
        self.redis.close()


class _PasswordFile(CredentialProvider):
    """A file with the password, which is read for every new connection."""

    def __init__(self, username: str | None, file: Path) -> None:
        self.username, self.file = username, file

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        try:
            password = self.file.read_text().strip("\r\n")
        except (OSError, UnicodeError) as error:
            raise AuthenticationError(f"the password file {self.file} cannot be read: {error}") from error
        return (self.username, password) if self.username else (password,)


def _arguments(address: RedisAddress) -> dict[str, Any]:
    """Return what all clients are opened with, but for the host."""
    login: dict[str, Any] = {"username": address.username, "password": address.password}
    if address.password_file:
        login = {"credential_provider": _PasswordFile(address.username, address.password_file)}
    return {**login, **_transport(address, address.tls)}


def _sentinel_arguments(address: RedisAddress) -> dict[str, Any]:
    """Return what the clients of the sentinels are opened with."""
    own = address.sentinel_options
    tls = own.get("sentinel_tls", "true" if address.tls else "false") == "true"
    login = {"username": own.get("sentinel_username"), "password": own.get("sentinel_password")}
    return {**login, **_transport(address, tls), "retry": Retry(NoBackoff(), 1, supported_errors=(ConnectionError,))}


def _transport(address: RedisAddress, tls: bool) -> dict[str, Any]:
    """Return timeouts and TLS; the files of TLS are read by redis-py for every new connection."""
    options: dict[str, Any] = dict(address.options) if tls else {}
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = options["ssl_check_hostname"] == "true"
    return {
        **({} if address.kind == "socket" else {"ssl": tls}),
        "protocol": 2,  # nothing here needs more, and every Redis speaks it
        "socket_timeout": ANSWERS_WITHIN_S,
        "socket_connect_timeout": CONNECTS_WITHIN_S,
        **options,
    }


def _exchange(redis: Redis, node: Node, commands: Sequence[Command], along: Along | None) -> list[Any]:
    """Return a node's replies to its commands; `along` looks at those to its own."""
    if along is None:
        return _ask(redis, commands)
    before, after = along.before(node), along.after(node)
    replies = _ask(redis, [*before, *commands, *after])
    end = len(before) + len(commands)
    first, last = replies[: len(before)], replies[end:]
    if any(map(_has_moved, first + last)):
        raise ConnectionError("keys have moved to another node meanwhile")
    along.look(node, [understood(reply) for reply in first], [understood(reply) for reply in last])
    return replies[len(before) : end]


def _has_moved(reply: Any) -> bool:
    """Tell whether a node answers that another one holds the key."""
    return isinstance(reply, AskError | TryAgainError)  # MovedError is an AskError


def _ask(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    """Return replies in order, errors among them, in one round trip.

    No MULTI: each command is atomic by itself.
    """
    with redis.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command.words)
        return pipeline.execute(raise_on_error=False)


def _configured(redis: Redis, name: str) -> list[str]:
    """Return what a node has for a setting; nothing where it does not know it."""
    return [value.decode() if isinstance(value, bytes) else str(value) for value in redis.config_get(name).values()]


def is_away(error: BaseException | None) -> bool:
    """Tell whether a failure says that nobody answered, and not that we were refused."""
    refused = (AuthenticationError, AuthorizationError)  # ConnectionErrors by name only
    away = (ConnectionError, TimeoutError, ClusterDownError, RedisClusterException)
    return isinstance(error, away) and not isinstance(error, refused) and not isinstance(error.__cause__, refused)


def understood(reply: Any) -> Any:
    """Return a reply that the caller can use; raise any other error."""
    if isinstance(reply, NoScriptError):
        return UnknownScript()
    if isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply):
        return Foreign(str(reply))
    if isinstance(reply, Exception):
        raise reply
    return reply
