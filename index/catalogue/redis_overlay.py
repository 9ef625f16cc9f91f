"""Items in Redis or Redis Cluster, for processes on several hosts."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from index.catalogue.item import Item
from index.catalogue.overlay_store import (
    MOST_FORGOTTEN,
    MOST_ITEMS,
    Changes,
    Entries,
    FullStoreError,
    decoded,
    encoded_id,
    needs_full_read,
    to_bytes,
)
from stream.store.redis.address import RedisAddress, parse
from stream.store.redis.command import Command, Foreign
from stream.store.redis.link import RedisLink

__all__ = ["RedisOverlayStore"]

AT_A_TIME = 1_000  # items of one command
PAGE = ("WITHSCORES", "LIMIT", 0, AT_A_TIME)  # what is read at a time: item_id and number in turn

# The keys of all scripts: item_id -> entry; item_ids by the numbers of their changes; the last number; the number of
# the last forgetting that is told no more; item_ids by the numbers of their forgetting; item_ids by the milliseconds at
# which they were written. ARGV here: the most entries there may be, the time, then item_id and entry in turn. It gives
# the number of entries that there would be where those are too many. Of a removed item, what was put before is kept
# behind a minus; see `overlay_store.removed`.
WRITE = """
local kept = redis.call('HLEN', KEYS[1])
for place = 3, #ARGV, 2 do
    kept = kept + 1 - redis.call('HEXISTS', KEYS[1], ARGV[place])
end
if kept > tonumber(ARGV[1]) then
    return kept
end
for place = 3, #ARGV, 2 do
    local entry = ARGV[place + 1]
    if entry == '' then
        entry = redis.call('HGET', KEYS[1], ARGV[place]) or ''
        if entry ~= '' and string.sub(entry, 1, 1) ~= '-' then
            entry = '-' .. entry
        end
    end
    redis.call('HSET', KEYS[1], ARGV[place], entry)
    redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[3]), ARGV[place])
    redis.call('ZREM', KEYS[5], ARGV[place])
    redis.call('ZADD', KEYS[6], ARGV[2], ARGV[place])
end
return 0
"""

# It goes before the two below. What only few remember is no longer told.
FORGET_ONE = """
local function forget(item_id, most)
    redis.call('HDEL', KEYS[1], item_id)
    redis.call('ZREM', KEYS[2], item_id)
    redis.call('ZREM', KEYS[6], item_id)
    redis.call('ZADD', KEYS[5], redis.call('INCR', KEYS[3]), item_id)
    if redis.call('ZCARD', KEYS[5]) > tonumber(most) then
        redis.call('SET', KEYS[4], redis.call('ZPOPMIN', KEYS[5])[2])
    end
end
"""

# ARGV: the most forgettings that are told, the time, then item_ids. It gives how many were removed.
RESTORE = (
    FORGET_ONE
    + """
local restored = 0
for place = 3, #ARGV do
    local entry = redis.call('HGET', KEYS[1], ARGV[place])
    if entry == '' then
        forget(ARGV[place], ARGV[1])
        restored = restored + 1
    elseif entry and string.sub(entry, 1, 1) == '-' then
        redis.call('HSET', KEYS[1], ARGV[place], string.sub(entry, 2))
        redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[3]), ARGV[place])
        redis.call('ZADD', KEYS[6], ARGV[2], ARGV[place])
        restored = restored + 1
    end
end
return restored
"""
)

# ARGV: the most forgettings that are told, 1 to forget whatever is stored, then item_id and entry in turn.
FORGET = (
    FORGET_ONE
    + """
local gone = 0
for place = 3, #ARGV, 2 do
    local kept, entry = redis.call('HGET', KEYS[1], ARGV[place]), ARGV[place + 1]
    if kept and (ARGV[2] == '1' or kept == entry or (entry == '' and string.sub(kept, 1, 1) == '-')) then
        forget(ARGV[place], ARGV[1])
        gone = gone + 1
    end
end
return gone
"""
)


class RedisOverlayStore:
    """Items in six keys of Redis, which a Redis Cluster keeps on one node.

    What is written together is written as a whole, and others may see a part of it for a moment. What Redis promises
    of what it acknowledged is as in RedisStore.

    Parameters
    ----------
    url : see `redis.address.parse`; or what it has read.
    prefix : of all keys.
    clock : Unix time in seconds.

    Raises
    ------
    ValueError
        If the url is wrong.
    OSError
        If Redis cannot be reached, or does not let us in.
    """

    def __init__(
        self, url: str | RedisAddress, prefix: str = "mindstream", clock: Callable[[], float] = time.time
    ) -> None:
        self.key = f"{prefix}:{{items}}".encode()  # Redis Cluster places a key by what stands in braces
        ends = (b":changes", b":last", b":forgotten", b":gone", b":times")
        self.changes, self.last, self.forgotten, self.gone, self.times = (self.key + end for end in ends)
        self.keys = (self.key, self.changes, self.last, self.forgotten, self.gone, self.times)
        self.clock = clock
        self.link = RedisLink(parse(url) if isinstance(url, str) else url, "item store")

    def write(self, entries: Entries) -> None:
        """See OverlayStore.write."""
        kept = self._run(WRITE, MOST_ITEMS, self._now_ms(), *_in_turn(entries))
        if kept:
            raise FullStoreError(kept)

    def _run(self, script: str, *arguments: str | bytes | int) -> int:
        """Run a script that writes."""
        return int(self.ask("written", "EVAL", script, len(self.keys), *self.keys, *arguments))

    def _now_ms(self) -> int:
        """Return the Unix time in milliseconds."""
        return round(self.clock() * 1_000)

    def last_change(self) -> int:
        """See OverlayStore.last_change."""
        return int(self.ask("read", "GET", self.last) or 0)

    def since(self, change: int) -> Changes:
        """See OverlayStore.since."""
        last, forgotten = (int(number or 0) for number in self.ask("read", "MGET", self.last, self.forgotten))
        whole = needs_full_read(change, last, forgotten)
        entries: dict[str, Item | None] = {}
        unreadable: dict[str, str] = {}
        for item_ids in self._ids_after(self.changes, 0 if whole else change):
            readable, others = self._entries_of(item_ids)
            entries.update(readable)
            unreadable.update(others)
        pages = [] if whole else self._ids_after(self.gone, change)  # read last: what is among both is gone by now
        gone = {item_id.decode(errors="surrogateescape") for page in pages for item_id in page}
        for item_id in gone:
            entries.pop(item_id, None)
            unreadable.pop(item_id, None)
        return Changes(last, entries, whole, frozenset(gone), unreadable)

    def _ids_after(self, key: bytes, number: int) -> Iterator[list[bytes]]:
        """List the items whose number is above one, page by page."""
        while page := self.ask("read", "ZRANGEBYSCORE", key, number + 1, "+inf", *PAGE):
            number = int(page[-1])
            yield page[::2]

    def _entries_of(self, item_ids: list[bytes]) -> tuple[dict[str, Item | None], dict[str, str]]:
        """Read what is stored of items; see `overlay_store.decoded`."""
        found = zip(item_ids, self.ask("read", "HMGET", self.key, *item_ids), strict=True)
        return decoded((item_id, value) for item_id, value in found if value is not None)

    def written_before(self, time_ms: int) -> Entries:
        """See OverlayStore.written_before."""
        item_ids = self.ask("read", "ZRANGEBYSCORE", self.times, "-inf", f"({time_ms}")
        entries: dict[str, Item | None] = {}
        for start in range(0, len(item_ids), AT_A_TIME):
            entries.update(self._entries_of(item_ids[start : start + AT_A_TIME])[0])
        return entries

    def restore(self, item_ids: Sequence[str]) -> int:
        """See OverlayStore.restore."""
        keys = [encoded_id(item_id) for item_id in item_ids]
        return sum(
            self._run(RESTORE, MOST_FORGOTTEN, self._now_ms(), *keys[start : start + AT_A_TIME])
            for start in range(0, len(keys), AT_A_TIME)
        )

    def forget(self, entries: Entries) -> int:
        """See OverlayStore.forget."""
        return self._forget(_in_turn(entries), 0)

    def drop(self, item_ids: Sequence[str]) -> int:
        """See OverlayStore.drop."""
        return self._forget([part for item_id in item_ids for part in (encoded_id(item_id), b"")], 1)

    def _forget(self, in_turn: list[bytes], whatever: int) -> int:
        """Forget entries, given item_ids and entries in turn.

        Some at a time, so that Redis answers others too.
        """
        return sum(
            self._run(FORGET, MOST_FORGOTTEN, whatever, *in_turn[start : start + 2 * AT_A_TIME])
            for start in range(0, len(in_turn), 2 * AT_A_TIME)
        )

    def ask(self, doing: str, *words: str | bytes | int) -> Any:
        """Send one command and return the reply; see `RedisLink.ask`."""
        [reply] = self.link.ask([Command(self.key, words)], doing)
        if isinstance(reply, Foreign):
            raise ValueError(
                f"the key {self.key.decode()!r} in Redis {self.link.address} holds no items of Mindstream: "
                f"{reply.reason}"
            )
        return reply

    def close(self) -> None:
        """See OverlayStore.close."""
        self.link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _in_turn(entries: Entries) -> list[bytes]:
    """Return each item_id, and its entry behind it."""
    return [part for item_id, item in entries.items() for part in (encoded_id(item_id), to_bytes(item))]
