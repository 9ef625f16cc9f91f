"""A command for Redis, and the replies that are no failure of the connection."""

from typing import NamedTuple

__all__ = ["Command", "Foreign", "UnknownScript"]


class Command(NamedTuple):
    """One command on one key, so that Redis Cluster has one node for it."""

    key: bytes
    words: tuple[str | bytes | int, ...]


class Foreign(NamedTuple):
    """The reply for a key that holds something else than asked for."""

    reason: str


class UnknownScript(NamedTuple):
    """The reply to an EVALSHA of a script that this Redis does not know (any more)."""
