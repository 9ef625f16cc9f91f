"""User states in Redis or Redis Cluster, for updaters and readers on several hosts."""

import hashlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Self

from stream.events.position import Position
from stream.store.codec import HEAD, head_of, is_same, renewed, to_bytes
from stream.store.contract import Claimant, key_of, user_ids_among
from stream.store.redis.address import RedisAddress, parse
from stream.store.redis.command import Command, Foreign, UnknownScript
from stream.store.redis.guard import StoreGuard
from stream.store.redis.health import StoreHealth
from stream.store.redis.link import RedisLink
from stream.store.redis.owner import StoreOwner
from stream.store.state import MARKER_DAYS, UserState
from stream.store.unreadable import Unreadable, state_of, states_in

__all__ = ["RedisStore"]

# A user is a string: the state as bytes, which begin with the position that a write is compared with. So the script
# reads a few bytes instead of unpacking all, and compares offsets as bytes: Lua's numbers are exact up to 2**53 only.
# The versions before kept a hash of log, offset and state; the next write of the user replaces it.
PUT = """
local kind = redis.call('TYPE', KEYS[1])['ok']
local same
if kind == 'string' then
    same = ARGV[1] ~= '' and redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) == ARGV[1]
elseif kind == 'hash' then
    local stored = redis.call('HMGET', KEYS[1], 'log', 'offset')
    same = stored[1] == ARGV[2] and stored[2] == ARGV[3]
elseif kind == 'none' then
    same = ARGV[1] == ''
else
    return redis.error_reply('WRONGTYPE it is a ' .. kind)
end
if not same then
    return 1
end
redis.call('SET', KEYS[1], ARGV[4])
if ARGV[5] ~= '' then
    redis.call('PEXPIREAT', KEYS[1], ARGV[5])
end
return 0
"""
# The time at which the user expires stays as it was.
REPLACE = """
local kind = redis.call('TYPE', KEYS[1])['ok']
local stored
if kind == 'hash' then
    stored = redis.call('HGET', KEYS[1], 'state')
elseif kind ~= 'none' then
    stored = redis.call('GET', KEYS[1])
end
if not stored or redis.sha1hex(stored) ~= ARGV[1] then
    return 1
end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 0
"""
# What a key holds, of any type, together with what of it should be a state.
LOOK = """
local type = redis.call('TYPE', KEYS[1]).ok
if type == 'string' then
    return {redis.call('DUMP', KEYS[1]), type, redis.call('GET', KEYS[1])}
elseif type == 'hash' then
    return {redis.call('DUMP', KEYS[1]), type, redis.call('HGET', KEYS[1], 'state')}
end
return {redis.call('DUMP', KEYS[1]), type, false}
"""
REMOVE = """
if redis.sha1hex(redis.call('DUMP', KEYS[1]) or '') ~= ARGV[1] then
    return 1
end
redis.call('DEL', KEYS[1])
return 0
"""
PUT_BACK = """
if redis.call('EXISTS', KEYS[1]) == 1 then
    return 1
end
redis.call('RESTORE', KEYS[1], 0, ARGV[1])
return 0
"""

NO_STATE = "it is a hash without a state"


class RedisStore:
    """States in Redis: one key a user, which Redis itself removes when its time is over.

    A batch is one round trip (in a Redis Cluster one to each node concerned). Each user of it is written or refused
    as a whole. A failure may leave some users of a batch written, and so may an answer that was lost: put once more,
    those are refused.

    `put_many` returns when Redis has acknowledged every user. What that is worth is for Redis to say. With
    `appendonly yes` and `appendfsync always` it is on disk; with `everysec` the end of Redis, not only of its machine,
    may take what was acknowledged in the last two seconds, whose offsets Kafka has committed. A failover takes what
    the replica had not got yet, unless replicas are waited for. A Redis that evicts loses users. Once the store is
    claimed, what was lost so is noticed before anything is made of it (see `redis.guard`).

    Parameters
    ----------
    url : see `redis.address.parse`; or what it has read.
    idle_days : users without a behaviour for so long are removed; None: never. It counts from a user's next write on.
    marker_days : who was forgotten is remembered as such for so long; the same.
    prefix : of all keys.
    replicas : so many of each node must acknowledge a write, once the store is claimed.

    Raises
    ------
    ValueError
        If the url is wrong.
    OSError
        If Redis cannot be reached, or does not let us in.
    """

    def __init__(
        self,
        url: str | RedisAddress,
        idle_days: float | None = None,
        marker_days: float = MARKER_DAYS,
        prefix: str = "mindstream",
        replicas: int = 0,
    ) -> None:
        self.idle_days, self.marker_days, self.replicas = idle_days, marker_days, replicas
        self.prefix = f"{prefix}:user:".encode()
        self.link = RedisLink(parse(url) if isinstance(url, str) else url)
        self.owner = StoreOwner(self.link, prefix)
        self.health = StoreHealth(self.owner)
        self.guard: StoreGuard | None = None

    def get_many(self, user_ids: Sequence[str]) -> list[UserState | None]:
        """Read the states of these users, see `Store`."""
        return states_in(user_ids, self._values(user_ids), self._state_in)

    def _values(self, user_ids: Sequence[str]) -> list[bytes | Foreign | None]:
        """Read the bytes of these users, also from the hashes that the versions before wrote."""
        keys = [self.prefix + user_id.encode() for user_id in user_ids]
        values: list[bytes | Foreign | None] = self.link.ask([Command(key, ("GET", key)) for key in keys], "read")
        others = [place for place, value in enumerate(values) if isinstance(value, Foreign)]
        hashes = self.link.ask([Command(keys[place], ("HGET", keys[place], "state")) for place in others], "read")
        for place, value in zip(others, hashes, strict=True):
            values[place] = value
        # Another program's hash has no state; where there is nothing any more, the user has expired meanwhile.
        empty = [place for place in others if values[place] is None]
        kinds = self.link.ask([Command(keys[place], ("TYPE", keys[place])) for place in empty], "read")
        for place, kind in zip(empty, kinds, strict=True):
            values[place] = Foreign(NO_STATE) if kind == b"hash" else None
        return values

    def _state_in(self, user_id: str, value: bytes | Foreign | None) -> UserState | None:
        """Decode the state that a user's key holds."""
        if isinstance(value, Foreign):
            raise self.foreign(user_id, value)
        return state_of(user_id, value)

    def put_many(self, states: Iterable[UserState], read: Mapping[str, Position | None] = {}) -> set[str]:
        """Write states over what they were made from, see `Store`."""
        return self.write(PUT, [(one.user_id, self.arguments(one, read.get(one.user_id))) for one in states])

    def replace_many(self, pairs: Iterable[tuple[UserState, UserState]]) -> int:
        """Write states over the very bytes that they replace, see `Store`."""
        states = {new.user_id: (to_bytes(old), to_bytes(new)) for old, new in pairs}
        refused = self._replace((user_id, *both) for user_id, both in states.items())
        if not refused:
            return 0
        # What is stored may be the same state in an older format, whose bytes only Redis knows.
        older = self._older(list(refused))
        same = [(user_id, value) for user_id, value in older if is_same(user_id, value, states[user_id][0])]
        again = self._replace((user_id, value, states[user_id][1]) for user_id, value in same)
        return len(refused) - len(same) + len(again)

    def renew_many(self, user_ids: Sequence[str]) -> tuple[int, list[str]]:
        """Write users anew who are stored in an older format, see `Store`."""
        records, unreadable = [], []
        for user_id, value in zip(user_ids, self._values(user_ids), strict=True):
            try:
                if isinstance(value, bytes) and not value.startswith(HEAD):
                    records.append((user_id, value, renewed(user_id, value)))
                else:
                    self._state_in(user_id, value)
            except ValueError:
                unreadable.append(user_id)
        return len(records) - len(self._replace(records)), unreadable

    def _older(self, user_ids: Sequence[str]) -> list[tuple[str, bytes]]:
        """Read the bytes of those of these users that are in an older format, or not ours."""
        pairs = zip(user_ids, self._values(user_ids), strict=True)
        return [(user_id, value) for user_id, value in pairs if isinstance(value, bytes) and not value.startswith(HEAD)]

    def _replace(self, records: Iterable[tuple[str, bytes, bytes]]) -> set[str]:
        """Write bytes of users over these very bytes; return the users of whom others are stored."""
        return self.write(REPLACE, [(user_id, (_sha(old), new)) for user_id, old, new in records])

    def write(self, script: str, users: Sequence[tuple[str, tuple[bytes, ...]]]) -> set[str]:
        """Run a script for each user with its arguments; return the users it refused.

        Those for whom it returns 1, or whose key is of another type.
        """
        records = [(self.prefix + key_of(user_id), arguments) for user_id, arguments in users]
        known_by = _sha(script.encode())
        replies = self.link.ask([_put("EVALSHA", known_by, *record) for record in records], "written")
        # A Redis that was started anew, or flushed, or has become primary, learns the script by EVAL.
        unknown = [place for place, reply in enumerate(replies) if isinstance(reply, UnknownScript)]
        again = self.link.ask([_put("EVAL", script, *records[place]) for place in unknown], "written")
        for place, reply in zip(unknown, again, strict=True):
            replies[place] = reply
        return {user_id for (user_id, _), reply in zip(users, replies, strict=True) if reply}

    def arguments(self, state: UserState, read: Position | None) -> tuple[bytes, ...]:
        """Return a script's arguments for a state and the position of what it was made from."""
        expires_ms = state.expires_ms(self.idle_days, self.marker_days, round(time.time() * 1000))
        expires = b"" if expires_ms is None else b"%d" % expires_ms
        return head_of(read) if read else b"", *_in_hash(read), to_bytes(state), expires

    def foreign(self, user_id: str, reply: Foreign) -> ValueError:
        """Return the error that says that another program has written a key."""
        key = self.prefix + user_id.encode()
        return ValueError(
            f"the key {key.decode(errors='replace')!r} in Redis {self.link.address} holds no user of Mindstream: "
            f"{reply.reason}"
        )

    def unreadable(self, user_ids: Sequence[str]) -> list[Unreadable]:
        """Return what is stored of those of these users who cannot be read."""
        keys = [self.prefix + key_of(user_id) for user_id in user_ids]
        replies = self.link.ask([Command(key, ("EVAL", LOOK, 1, key)) for key in keys], "read")
        found = []
        for user_id, (stored, kind, value) in zip(user_ids, replies, strict=True):
            try:
                if kind not in (b"none", b"string", b"hash"):
                    value = Foreign(f"it is a {kind.decode()}")
                elif kind == b"hash" and value is None:
                    value = Foreign(NO_STATE)
                self._state_in(user_id, value)
            except ValueError as error:
                found.append(Unreadable(user_id, str(error), stored))
        return found

    def remove_unreadable(self, found: Iterable[Unreadable]) -> set[str]:
        """Remove what could not be read, see `Store`."""
        return self.write(REMOVE, [(one.user_id, (_sha(one.stored),)) for one in found])

    def put_back(self, removed: Iterable[Unreadable]) -> set[str]:
        """Store once more what was removed, see `Store`."""
        return self.write(PUT_BACK, [(one.user_id, (one.stored,)) for one in removed])

    def remove_expired(self) -> int:
        """Return 0: Redis removes users by itself."""
        return 0

    def users(self) -> Iterator[str]:
        """Yield every user_id, in no order; one may come twice."""
        pattern = re.sub(rb"([\[\]*?\\^])", rb"\\\1", self.prefix) + b"*"
        keys = (key[len(self.prefix) :] for key in self.link.keys(pattern))
        yield from user_ids_among(keys, f"Redis {self.link.address}, behind {self.prefix.decode()}")

    def claim(self, who: Claimant) -> None:
        """Make sure that the store is this updater's, see `Store`."""
        owner = self.owner.claim(who, lambda: next(self.users(), None) is None)
        self.link.guard = self.guard = StoreGuard(self.owner, owner, self.replicas)

    def marks(self) -> str:
        """Return what a later claim knows our writes by, see `Store`."""
        return self.guard.note() if self.guard else ""

    def problem(self) -> str | None:
        """Return what is wrong, see `Store`; Redis is asked at most every 10 seconds."""
        return self.health.problem()

    def close(self) -> None:
        """Close the connections."""
        self.link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _sha(content: bytes) -> bytes:
    """Return the SHA-1 as Redis writes it, by which it knows scripts."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest().encode()


def _put(command: str, script: str | bytes, key: bytes, arguments: tuple[bytes, ...]) -> Command:
    """Make the command that runs a script for a key."""
    return Command(key, (command, script, 1, key, *arguments))


def _in_hash(position: Position | None) -> tuple[bytes, bytes]:
    """Return a position as older hashes hold it: log, and offset in 20 digits."""
    if position is None:
        return b"", b""
    return f"{position.topic_life}/{position.partition}".encode(), b"%020d" % position.offset
