"""The guard over a store in Redis: with every batch it looks whether the store is still ours, whole, and replicated."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from threading import Lock
from typing import Any

from stream.store.redis.client import ANSWERS_WITHIN_S, Along, Node
from stream.store.redis.command import Command, Foreign
from stream.store.redis.marks import KEPT_S, Marks
from stream.store.redis.owner import Owner, StoreOwner

__all__ = ["REPLICATED_WITHIN_MS", "StoreGuard"]

REPLICATED_WITHIN_MS = round(ANSWERS_WITHIN_S * 600)  # well before the connection gives up


class _LostError(Exception):
    """Raised where what Redis has acknowledged is not there any more; says how that was seen."""


class StoreGuard:
    """Sends commands of its own along with each batch of a process that writes.

    Each read asks for the node's mark and for the store's owner, so nothing is made of a state while the store lacks
    what was acknowledged. Each write leaves a new mark behind it, and waits for replicas if that is wanted. It does so
    on every node then, also for a batch that changes nothing: what another process has written and not seen
    replicated is in front of our mark.

    Parameters
    ----------
    owner : as claimed.
    replicas : so many of each node must acknowledge a write.
    """

    def __init__(self, store: StoreOwner, owner: Owner, replicas: int) -> None:
        self.store, self.owner, self.replicas = store, owner, replicas
        self.marks = Marks(store.prefix)
        self.writing = Lock()  # the marks of a node must grow

    @contextmanager
    def along(self, doing: str) -> Iterator[Along]:
        """Return what goes along with a batch; an OSError says what it has seen."""
        writes = doing == "written"
        try:
            with self.writing if writes else nullcontext():
                yield _Writing(self) if writes else _Reading(self)
        except _LostError as error:
            self.owner = self.store.note_loss(self.owner, str(error))
            self.marks.forget()  # from here on it is the owner's entry that says so
            raise OSError(self.store.loss_of(self.owner)) from None

    def note(self) -> str:
        """Return the marks of what was acknowledged, for whoever opens the store after us."""
        return self.marks.note(self.owner.id)

    def check_mark(self, mark: bytes, found: bytes | None) -> None:
        """Raise if a mark is not there, or an older one is."""
        if self.marks.is_lost(mark, found):
            raise _LostError(
                "a write that was acknowledged is gone: flushed, evicted, or lost in a restart or failover"
            )

    def check_owner(self, entry: Sequence[bytes | None] | Foreign) -> None:
        """Raise if the owner's entry has gone, is another one, or tells of a loss."""
        if isinstance(entry, Foreign):
            raise OSError(self.store.foreign())
        found = Owner.of(entry)
        if found and not found.is_of(self.owner.topic, self.owner.group):
            raise OSError(self.store.refusal(found, self.owner.topic, self.owner.group))
        if found is None or (found.id != self.owner.id and not found.lost):
            raise _LostError("the entry that says whose store it is has gone: flushed, evicted, or lost in a restart")
        if found.lost:
            self.owner = found
            self.marks.forget()
            raise OSError(self.store.loss_of(found))
        self.owner = found

    def check_replicas(self, acknowledged: int) -> None:
        """Raise if too few replicas have what was written."""
        if acknowledged < self.replicas:
            raise OSError(
                f"the capsule store at Redis {self.store.link.address} was written, but only {acknowledged} of "
                f"{self.replicas} replicas (MINDSTREAM_REDIS_REPLICAS) have acknowledged it within "
                f"{REPLICATED_WITHIN_MS / 1000:.0f} s"
            )


class _Reading:
    """The commands that go along with a read."""

    everywhere = False

    def __init__(self, guard: StoreGuard) -> None:
        self.guard = guard
        self.also: Sequence[bytes] = (guard.store.key,)

    def before(self, node: Node) -> Sequence[Command]:
        mark = self.guard.marks.on(node)
        asked = [Command(mark, ("GET", mark))]
        return [*asked, self.guard.store.question()] if node.holds(self.guard.store.key) else asked

    def after(self, node: Node) -> Sequence[Command]:
        return ()

    def look(self, node: Node, before: Sequence[Any], after: Sequence[Any]) -> None:
        if len(before) > 1:  # first: it knows of what others have noticed
            self.guard.check_owner(before[1])
        self.guard.check_mark(self.guard.marks.on(node), before[0])


class _Writing:
    """The commands that go along with a write.

    The mark is asked for once more: Redis may have been emptied since the read.
    """

    also: Sequence[bytes] = ()

    def __init__(self, guard: StoreGuard) -> None:
        self.guard, self.number = guard, next(guard.marks.numbers)
        self.everywhere = guard.replicas > 0

    def before(self, node: Node) -> Sequence[Command]:
        mark = self.guard.marks.on(node)
        return [Command(mark, ("GET", mark))]

    def after(self, node: Node) -> Sequence[Command]:
        mark = self.guard.marks.on(node)
        left = Command(mark, ("SETEX", mark, KEPT_S, self.number))
        wait = Command(mark, ("WAIT", self.guard.replicas, REPLICATED_WITHIN_MS))
        return [left, wait] if self.guard.replicas else [left]

    def look(self, node: Node, before: Sequence[Any], after: Sequence[Any]) -> None:
        mark = self.guard.marks.on(node)
        self.guard.check_mark(mark, before[0])
        if self.guard.replicas:
            self.guard.check_replicas(int(after[1]))
        self.guard.marks.confirm(mark, self.number)
