"""Items in Redis or Redis Cluster, for processes on several hosts."""

from typing import Any, Self

from index.catalogue.item import Item
from index.catalogue.overlay_store import MOST_ITEMS, Changes, Entries, from_bytes, needs_full_read, to_bytes, too_many
from stream.store.redis.address import RedisAddress, parse
from stream.store.redis.command import Command, Foreign
from stream.store.redis.link import RedisLink

__all__ = ["RedisOverlayStore"]

PAGE = ("WITHSCORES", "LIMIT", 0, 1_000)  # what is read at a time: item_id and number in turn

# KEYS: item_id -> entry; item_ids by the numbers of their changes; the last number. ARGV: the most entries there may
# be, then item_id and entry in turn. It gives the number of entries that there would be where those are too many.
# Of a removed item, what was put before is kept behind a minus; see `overlay_store.removed`.
WRITE = """
local kept = redis.call('HLEN', KEYS[1])
for place = 2, #ARGV, 2 do
    kept = kept + 1 - redis.call('HEXISTS', KEYS[1], ARGV[place])
end
if kept > tonumber(ARGV[1]) then
    return kept
end
for place = 2, #ARGV, 2 do
    local entry = ARGV[place + 1]
    if entry == '' then
        entry = redis.call('HGET', KEYS[1], ARGV[place]) or ''
        if entry ~= '' and string.sub(entry, 1, 1) ~= '-' then
            entry = '-' .. entry
        end
    end
    redis.call('HSET', KEYS[1], ARGV[place], entry)
    redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[3]), ARGV[place])
end
return 0
"""

# KEYS likewise, and the number of the last forgetting. ARGV: item_id.
RESTORE = """
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry == '' then
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('ZREM', KEYS[2], ARGV[1])
    redis.call('SET', KEYS[4], redis.call('INCR', KEYS[3]))
elseif entry and string.sub(entry, 1, 1) == '-' then
    redis.call('HSET', KEYS[1], ARGV[1], string.sub(entry, 2))
    redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[3]), ARGV[1])
end
return 0
"""

# The same KEYS. ARGV: item_id and entry in turn.
FORGET = """
local gone = 0
for place = 1, #ARGV, 2 do
    local kept, entry = redis.call('HGET', KEYS[1], ARGV[place]), ARGV[place + 1]
    if kept == entry or (kept and entry == '' and string.sub(kept, 1, 1) == '-') then
        redis.call('HDEL', KEYS[1], ARGV[place])
        redis.call('ZREM', KEYS[2], ARGV[place])
        gone = gone + 1
    end
end
if gone > 0 then
    redis.call('SET', KEYS[4], redis.call('INCR', KEYS[3]))
end
return gone
"""


class RedisOverlayStore:
    """Items in four keys of Redis, which a Redis Cluster keeps on one node.

    What is written together is written as a whole, and others may see a part of it for a moment. What Redis promises
    of what it acknowledged is as in RedisStore.

    Parameters
    ----------
    url : see `redis.address.parse`; or what it has read.
    prefix : of all keys.

    Raises
    ------
    ValueError
        If the url is wrong.
    OSError
        If Redis cannot be reached, or does not let us in.
    """

    def __init__(self, url: str | RedisAddress, prefix: str = "mindstream") -> None:
        self.key = f"{prefix}:{{items}}".encode()  # Redis Cluster places a key by what stands in braces
        self.changes, self.last, self.forgotten = (self.key + end for end in (b":changes", b":last", b":forgotten"))
        self.keys = (self.key, self.changes, self.last, self.forgotten)
        self.link = RedisLink(parse(url) if isinstance(url, str) else url, "item store")

    def write(self, entries: Entries) -> None:
        """See OverlayStore.write."""
        keys = (self.key, self.changes, self.last)
        kept = self.ask("written", "EVAL", WRITE, len(keys), *keys, MOST_ITEMS, *_in_turn(entries))
        if kept:
            raise too_many(kept)

    def last_change(self) -> int:
        """See OverlayStore.last_change."""
        return int(self.ask("read", "GET", self.last) or 0)

    def since(self, change: int) -> Changes:
        """See OverlayStore.since."""
        last, forgotten = (int(number or 0) for number in self.ask("read", "MGET", self.last, self.forgotten))
        whole = needs_full_read(change, last, forgotten)
        after = 0 if whole else change
        entries: dict[str, Item | None] = {}
        while page := self.ask("read", "ZRANGEBYSCORE", self.changes, after + 1, "+inf", *PAGE):
            item_ids, after = page[::2], int(page[-1])
            found = zip(item_ids, self.ask("read", "HMGET", self.key, *item_ids), strict=True)
            entries.update({item_id.decode(): from_bytes(value) for item_id, value in found if value is not None})
        return Changes(last, entries, whole)

    def restore(self, item_id: str) -> None:
        """See OverlayStore.restore."""
        self.ask("written", "EVAL", RESTORE, len(self.keys), *self.keys, item_id.encode())

    def forget(self, entries: Entries) -> int:
        """See OverlayStore.forget."""
        return int(self.ask("written", "EVAL", FORGET, len(self.keys), *self.keys, *_in_turn(entries)))

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
    return [part for item_id, item in entries.items() for part in (item_id.encode(), to_bytes(item))]
