"""Marks: a number that a process leaves on each node behind its writes, by which it notices that some were lost.

Redis keeps and replicates writes in their order. So where a mark is there, what was written before it is there too; and
where it is gone, or is an older one, the node was emptied, has evicted keys, was started anew without its last writes,
or a replica has taken over that had not received them. A process notes its marks beside the offsets that it commits,
so that who starts after it can look for them too.
"""

import re
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

from stream.store.redis.client import Node

__all__ = ["KEPT_S", "Marks", "NotedMark", "marks_in"]

KEPT_S = 7 * 86_400  # as long as the mark of a process that has ended stays
TRUSTED_S = KEPT_S - 86_400
LONGEST_NOTE = 2_000  # characters; Kafka takes 4,096 beside an offset
MOST_TRIES = 500_000  # keys until one lies on a node; of a node that holds one slot of 16,384, one in so many


@dataclass(frozen=True)
class NotedMark:
    """A mark as it was noted elsewhere.

    Attributes
    ----------
    store : id of the store's entry then.
    number : what stood at the key, or more by now.
    at_s : when that was acknowledged, in Unix time.
    """

    store: str
    key: bytes
    number: int
    at_s: int


def marks_in(notes: Iterable[str], prefix: str) -> Iterator[NotedMark]:
    """Yield the marks of notes by `Marks.note`, as far as they must be there still."""
    for note in notes:
        for store, process, listed in re.findall(r"^(\w+) (\w+)((?: \d+=\d+@\d+)+)$", note):
            for place, number, at_s in re.findall(r"(\d+)=(\d+)@(\d+)", listed):
                if time.time() - int(at_s) < TRUSTED_S:
                    yield NotedMark(store, _key_of(prefix, process, int(place)), int(number), int(at_s))


def _key_of(prefix: str, process: str, place: int) -> bytes:
    """Return the key of a mark."""
    return f"{prefix}:written:{process}:{place}".encode()


class Marks:
    """The marks of one process.

    Parameters
    ----------
    prefix : of all keys.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix, self.process = prefix, uuid.uuid4().hex[:12]
        self.numbers = count(1)
        self.chosen: dict[str, bytes] = {}
        self.confirmed: dict[bytes, tuple[int, float]] = {}

    def on(self, node: Node) -> bytes:
        """Return the key of the mark that lies on a node.

        The keys are tried in the same order each time: after a failover it is the same one on another node.
        """
        chosen = self.chosen.get(node.name)
        if chosen is None or not node.holds(chosen):
            chosen = self.chosen[node.name] = self._first_on(node)
        return chosen

    def _first_on(self, node: Node) -> bytes:
        """Return the first key that lies on a node."""
        for number in range(MOST_TRIES):
            key = _key_of(self.prefix, self.process, number)
            if node.holds(key):
                return key
        raise OSError(f"the node {node.name} of the Redis Cluster holds no keys")

    def confirm(self, mark: bytes, number: int) -> None:
        """Note that a mark was acknowledged with this number."""
        self.confirmed[mark] = number, time.monotonic()

    def is_lost(self, mark: bytes, found: bytes | None) -> bool:
        """Tell whether a mark that is found there is older than what was acknowledged."""
        number, when = self.confirmed.get(mark, (0, 0.0))
        if number == 0 or time.monotonic() - when > TRUSTED_S:
            return False
        return found is None or int(found) < number

    def note(self, store: str) -> str:
        """Return the marks that were acknowledged, as `marks_in` reads them, or "".

        Parameters
        ----------
        store : id of the store's entry.
        """
        now, monotonic = time.time(), time.monotonic()
        note = f"{store} {self.process}"
        for mark, (number, when) in dict(self.confirmed).items():  # a copy: another thread may forget them
            one = f" {mark.rpartition(b':')[2].decode()}={number}@{int(now - monotonic + when)}"
            if len(note) + len(one) <= LONGEST_NOTE:
                note += one
        return note if "=" in note else ""

    def forget(self) -> None:
        """Expect no mark any more, as at the start."""
        self.confirmed.clear()
