"""Whose store it is: an entry in Redis that names the shop, and what of its users was lost."""

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

from stream.store.contract import ACCEPT, REPLAY, Claimant
from stream.store.redis.command import Command, Foreign
from stream.store.redis.link import RedisLink
from stream.store.redis.marks import marks_in

__all__ = ["Owner", "StoreOwner"]

log = logging.getLogger(__name__)

FORMAT = "1"

# ARGV: why something was lost or empty, then name and value of each field in turn. The entry is made where there is
# none; of what was lost the first reason stays, and nothing is said of another shop's store.
MAKE = """
if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('HSET', KEYS[1], unpack(ARGV, 2))
end
local same = redis.call('HGET', KEYS[1], 'topic') == ARGV[3] and redis.call('HGET', KEYS[1], 'group') == ARGV[5]
if ARGV[1] ~= '' and same then
    redis.call('HSETNX', KEYS[1], 'lost', ARGV[1])
end
return 0
"""


@dataclass(frozen=True)
class Owner:
    """The entry that says whose store it is.

    Attributes
    ----------
    topic, group : whose events and which updaters' the users are.
    id : drawn when the entry was made; another one where the store was emptied meanwhile.
    cluster : id of the Kafka cluster, empty where it is not known.
    life : of the topic, as it was last.
    lost : how and when it was seen that users were lost; empty where none were.
    taken_ms : when people took the store last, and with it accepted what was lost before.
    """

    topic: str
    group: str
    id: str
    cluster: str = ""
    life: str = ""
    made_ms: str = ""
    format: str = FORMAT
    lost: str = ""
    taken_ms: str = ""

    @classmethod
    def of(cls, entry: Sequence[bytes | None]) -> "Owner | None":
        """Read an entry, its values in the order of the fields; None if there is none."""
        if not any(entry):
            return None
        return cls(*((value or b"").decode(errors="replace") for value in entry))

    def is_of(self, topic: str | None, group: str | None) -> bool:
        """Tell whether topic and group are these; what is None may be any."""
        return topic in (None, self.topic) and group in (None, self.group)

    def words(self) -> list[str]:
        """Return name and value of each field in turn, without what was lost."""
        return [word for name in FIELDS if name != "lost" for word in (name, str(getattr(self, name)))]


FIELDS = tuple(one.name for one in fields(Owner))


class StoreOwner:
    """The entry of one store in Redis.

    Parameters
    ----------
    prefix : of all keys of the store.

    Raises
    ------
    OSError
        From every method, where Redis cannot be asked.
    """

    def __init__(self, link: RedisLink, prefix: str) -> None:
        self.link, self.prefix = link, prefix
        self.key = f"{prefix}:store".encode()

    def question(self) -> Command:
        """Return the command that asks for the entry."""
        return Command(self.key, ("HMGET", self.key, *FIELDS))

    def read(self) -> Owner | None:
        """Return the entry; None if there is none.

        Raises
        ------
        ValueError
            If another program has written the key, or a later version of this one.
        """
        [reply] = self.link.ask_unguarded([self.question()], "read")
        if isinstance(reply, Foreign):
            raise ValueError(self.foreign())
        found = Owner.of(reply)
        if found and found.format != FORMAT:
            raise ValueError(
                f"the {self.link.holding} at Redis {self.link.address} is of format {found.format!r}, and this version "
                f"knows {FORMAT!r}; use the version that wrote it, or a later one"
            )
        return found

    def check(self, topic: str | None, group: str | None) -> Owner | None:
        """Return the entry, if it is of this topic and group; what is None may be any.

        Raises
        ------
        ValueError
            If the store is another shop's.
        """
        found = self.read()
        if found and not found.is_of(topic, group):
            raise ValueError(self.refusal(found, topic, group))
        return found

    def claim(self, who: Claimant, is_empty: Callable[[], bool]) -> Owner:
        """Return the entry, made now if there is none; see `Store.claim`.

        A store without an entry that has users is of a version that made none. One without users, where offsets are
        committed, was emptied.

        Raises
        ------
        ValueError
            If the store is another shop's.
        """
        cluster = who.cluster_id()
        new = Owner(who.topic, who.group, uuid.uuid4().hex, cluster, who.life, _now_ms())
        found = self.check(who.topic, who.group)
        if found is None:
            was_emptied = is_empty() and who.is_past_the_start()
            self._make(new, _said("it is empty, and offsets are committed") if was_emptied else "")
            found = self.check(who.topic, who.group) or new
        if found.cluster and cluster and found.cluster != cluster:
            raise ValueError(self._other_cluster(found, cluster))
        if not found.lost and self._is_behind(found, who.noted_marks()) and who.is_past_the_start():
            self._make(found, _said("a write that was acknowledged is gone since updaters ran last"))
            found = self.check(who.topic, who.group) or found
        if found.lost and not who.is_past_the_start():
            found = replace(found, lost="")  # the topic is read from its start: all that it has comes again
            self._write("HDEL", "lost")
            log.info("topic %s is read from its start, which brings back what the store lacked", who.topic)
        found = replace(found, cluster=cluster or found.cluster, life=who.life)
        self._write("HSET", *found.words())
        return found

    def _is_behind(self, found: Owner, notes: Sequence[str]) -> bool:
        """Tell whether the store lacks marks that were noted beside committed offsets.

        Marks of another store count only where some of them are here: else the users were brought here from there.
        """
        noted = [one for one in marks_in(notes, self.prefix) if one.at_s * 1000 > int(found.taken_ms or 0)]
        latest = {one.key: one for one in sorted(noted, key=lambda one: one.number)}
        replies = self.link.ask_unguarded([Command(key, ("GET", key)) for key in latest], "read")
        is_here = any(isinstance(reply, bytes) for reply in replies)
        return any(
            not isinstance(reply, bytes) or int(reply) < one.number
            for one, reply in zip(latest.values(), replies, strict=True)
            if is_here or one.store == found.id
        )

    def take(self, topic: str, group: str) -> None:
        """Make the store this shop's, whosever it was, and accept what was lost.

        The id of the Kafka cluster is taken from the next updater.
        """
        found = self.read()
        found = found or Owner(topic, group, uuid.uuid4().hex, made_ms=_now_ms())
        kept = replace(found, topic=topic, group=group, cluster="", taken_ms=_now_ms())
        self._write("HSET", *kept.words())
        self._write("HDEL", "lost")

    def note_loss(self, owner: Owner, why: str) -> Owner:
        """Write down that something was lost, for all processes; return the entry.

        Where it cannot be written down now, it is remembered in what is returned.
        """
        said = _said(why)
        try:
            self._make(owner, said)
            return self.read() or replace(owner, lost=said)
        except OSError:
            return replace(owner, lost=said)

    def foreign(self) -> str:
        """Say that another program has written the key of the entry."""
        return (
            f"the key {self.key.decode()!r} in Redis {self.link.address}, which says whose store it is, was written by "
            "another program; set MINDSTREAM_REDIS_PREFIX to another prefix, or remove the key"
        )

    def loss_of(self, owner: Owner) -> str:
        """Say what was lost, and what can be done."""
        return (
            f"the capsule store at Redis {self.link.address} lacks users, or the last events of some: {owner.lost}; "
            f"offsets that group {owner.group} has committed on topic {owner.topic} are ahead of what it holds, so "
            f"nothing is applied over the gap. To bring back what the topic still has, {REPLAY}; to go on without, "
            f"{ACCEPT}"
        )

    def refusal(self, found: Owner, topic: str | None, group: str | None) -> str:
        """Say that the store is another shop's, and what can be done."""
        ours = " and ".join(f"{name} {value!r}" for name, value in (("topic", topic), ("group", group)) if value)
        return (
            f"the {self.link.holding} at Redis {self.link.address} under the prefix {self.prefix!r} belongs to topic "
            f"{found.topic!r} and group {found.group!r}, and not to {ours}; set MINDSTREAM_REDIS_PREFIX to another one "
            f"for a store of its own, or MINDSTREAM_TOPIC and MINDSTREAM_GROUP to those (to make the store ours from "
            f"now on: {ACCEPT})"
        )

    def _other_cluster(self, found: Owner, cluster: str) -> str:
        """Say that the store is of a topic of that name on another cluster, and what can be done."""
        return (
            f"the {self.link.holding} at Redis {self.link.address} under the prefix {self.prefix!r} belongs to topic "
            f"{found.topic!r} of the Kafka cluster {found.cluster!r}, and KAFKA_BOOTSTRAP_SERVERS names {cluster!r}; "
            f"set MINDSTREAM_REDIS_PREFIX to another one for a store of its own (if the topic has moved: {ACCEPT})"
        )

    def _make(self, owner: Owner, lost: str) -> None:
        """Write an entry where there is none, and say of one that is there what was lost."""
        words: tuple[str | bytes | int, ...] = ("EVAL", MAKE, 1, self.key, lost, *owner.words())
        self.link.ask_unguarded([Command(self.key, words)], "written")

    def _write(self, command: str, *words: str) -> None:
        """Change fields of the entry."""
        self.link.ask_unguarded([Command(self.key, (command, self.key, *words))], "written")


def _now_ms() -> str:
    """Return the Unix time in milliseconds."""
    return str(time.time_ns() // 1_000_000)


def _said(why: str) -> str:
    """Add to what was seen when it was seen."""
    return f"{why} (seen {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC)"
