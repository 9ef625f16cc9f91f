"""Marks: a number that a process leaves on each node behind its writes, by which it notices that some were lost.

Redis keeps and replicates writes in their order. So where a mark is there, what was written before it is there too; and
where it is gone, or is an older one, the node was emptied, has evicted keys, was started anew without its last writes,
or a replica has taken over that had not received them.
"""

import time
import uuid
from itertools import count

from stream.store.redis.client import Node

__all__ = ["KEPT_S", "Marks"]

KEPT_S = 7 * 86_400  # as long as the mark of a process that has ended stays
TRUSTED_S = KEPT_S - 86_400
MOST_TRIES = 500_000  # keys until one lies on a node; of a node that holds one slot of 16,384, one in so many


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
            key = f"{self.prefix}:written:{self.process}:{number}".encode()
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

    def forget(self) -> None:
        """Expect no mark any more, as at the start."""
        self.confirmed.clear()
