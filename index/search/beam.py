"""Approximate max-sim by one joint beam for all capsules over hnswlib's links, or by a scan if that is faster."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from index.search.exact import ExactIndex, as_queries, hits_of
from index.search.joint_beam import joint_beams
from index.search.links import Links
from index.search.maxsim import EVERY_ROW, Allowed, Hits, MaxSimIndex, stacked

__all__ = ["KEPT", "BeamIndex", "Marks"]

WIDTH = 24  # least of the small beam of each capsule
CROWD = 20  # the root of the items over this is its width where that is more: among many, a narrow one gets lost
BREAK_EVEN = 50  # a beam of breadth ef takes as long as a scan of so many rows times ef
MOST_VISITED = 4  # a beam gives up, and a scan takes over, where it visits more than items / 4
FEW = 4_096  # but not before so many
KEPT = 4  # marks of as many searches at once; those of a busier moment are let go of


@dataclass(frozen=True)
class Marks:
    """Arrays that one search writes on; kept for the next, since making them takes longer than searching."""

    seen: np.ndarray
    barred: np.ndarray
    clock: np.ndarray
    queues: np.ndarray


class BeamIndex(MaxSimIndex):
    """Walks along the links of a graph, reads every item that it visits once, and scores it with all capsules.

    It never changes, and any number of threads may search at once.

    Parameters
    ----------
    vectors : float32 (items, d), the table that the graph was built on.
    links : of the graph.
    ef : N -> breadth of the beam for it; between them in proportion.
    break_even : a scan is taken if it reads at most so many rows times ef; 0: never.
    """

    kind = "hnsw"

    def __init__(
        self, vectors: np.ndarray, links: Links, ef: Mapping[int, int], break_even: float = BREAK_EVEN
    ) -> None:
        self.scan = ExactIndex(vectors)
        self.vectors, self.links, self.ef = self.scan.vectors, links, dict(sorted(ef.items()))
        self.width = max(WIDTH, math.isqrt(len(vectors)) // CROWD)
        self.break_even = break_even
        self.free: deque[Marks] = deque(maxlen=KEPT)
        self.beams(
            [np.zeros((1, vectors.shape[1]), dtype=np.float32)], 1, 1, [EVERY_ROW], None
        )  # loads the machine code

    def find(
        self, users: Sequence[np.ndarray], n: int, excluded: Sequence[np.ndarray], allowed: Allowed | None
    ) -> list[Hits]:
        """See MaxSimIndex.find."""
        ef = self.ef_for(n)
        if not users or self.scan_is_faster(ef, allowed):
            return self.scan.find(users, n, excluded, allowed)
        keys, counts = self.beams(users, n, ef, excluded, allowed)
        found = hits_of(self.vectors, keys, users, n, [EVERY_ROW] * len(users), np.maximum(counts, 0))
        return [
            hits if count >= n else self.scan.find([capsules], n, [rows], allowed)[0]
            for hits, count, capsules, rows in zip(found, counts.tolist(), users, excluded, strict=True)
        ]

    def ef_for(self, n: int) -> int:
        """Return the breadth for N = n.

        It is in proportion between those that were measured, and beyond the last.
        """
        before, ef = next(iter(self.ef.items()))
        for known, breadth in self.ef.items():
            if n <= known:
                share = (n - before) / (known - before) if n > before else 0
                return max(n, int(ef + share * (breadth - ef)))
            before, ef = known, breadth
        return max(n, ef * n // before)

    def scan_is_faster(self, ef: int, allowed: Allowed | None) -> bool:
        """Tell whether scoring all allowed rows takes no longer than a beam.

        A beam meets only so many of them on its way.
        """
        items = len(self.vectors)
        rows = items if allowed is None else len(allowed.rows)
        return rows * rows <= self.break_even * ef * items

    def beams(
        self, users: Sequence[np.ndarray], n: int, ef: int, excluded: Sequence[np.ndarray], allowed: Allowed | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run the joint beams of many users.

        Returns keys, int64 (users, ef), and how many there are of each user, -1 if it gave up.
        """
        capsules, starts = stacked([as_queries(one) for one in users])
        rows, row_starts = stacked(excluded)
        mask = np.empty(0, dtype=bool) if allowed is None else allowed.mask
        found = np.empty((len(users), ef), dtype=np.int64)
        counts = np.empty(len(users), dtype=np.int64)
        marks = self.take_marks(1 + max(map(len, users)))
        joint_beams(
            self.vectors,
            self.links.rows,
            self.links.entries[None],
            capsules,
            starts,
            mask,
            rows,
            row_starts,
            marks.seen,
            marks.barred,
            marks.clock,
            marks.queues,
            min(self.width, ef),
            found,
            counts,
        )
        self.free.append(marks)
        return found, counts

    def take_marks(self, beams: int) -> Marks:
        """Take marks that no other thread uses.

        `pop` and `append` of a deque are safe among threads.
        """
        try:
            marks = self.free.pop()
        except IndexError:
            marks = None
        if marks is None or len(marks.queues) < beams:
            items = len(self.vectors)
            marks = Marks(
                seen=np.zeros(items, dtype=np.uint8),
                barred=np.zeros(items, dtype=np.uint8),
                clock=np.zeros(1, dtype=np.int64),
                queues=np.empty((beams, max(items // MOST_VISITED, FEW)), dtype=np.int64),
            )
        return marks
