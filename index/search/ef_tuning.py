"""ef, the breadth of a beam, chosen by measured recall against exact search when an index is built."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from index.search.beam import BeamIndex
from index.search.maxsim import Hits
from model_export.bundle.bundle import GOLDEN, Bundle

__all__ = ["NARROWEST", "QUERIES", "TARGET", "Breadth", "measured", "queries_of"]

TARGET = 0.99
COUNTS = (10, 100, 1_000)  # N that it is measured for
BREADTHS = (1, 1.5, 2, 3, 4, 6, 8, 12, 16)  # tried in turn, as multiples of N
NARROWEST = 32
QUERIES = 200  # sets of capsules: the bundle's golden ones, and more made of items
NOISE = 0.2  # of a capsule's length, around the item that it is made of


@dataclass(frozen=True)
class Breadth:
    """N -> ef, and the recall@N that it has; what was aimed at."""

    ef: dict[int, int]
    recall: dict[int, float]
    target: float

    @property
    def missed(self) -> list[int]:
        """Return the N at which no breadth that was tried reaches the target."""
        return [n for n, recall in self.recall.items() if recall < self.target]


def measured(index: BeamIndex, queries: Sequence[np.ndarray], target: float = TARGET) -> Breadth:
    """Measure the smallest breadth with which each N reaches the target.

    The largest one tried stands for an N at which none does.

    Raises
    ------
    ValueError
        If the target is not between 0 and 1.
    """
    if not 0 < target <= 1:
        raise ValueError(f"the target of recall is {target}; right is above 0 and at most 1")
    counts = [n for n in COUNTS if n <= len(index.vectors)] or [len(index.vectors)]
    right = index.scan.search_many(queries, counts[-1])
    ef, recall = {}, {}
    for n in counts:
        for breadth in _breadths(n, len(index.vectors)):
            found = BeamIndex(index.vectors, index.links, {n: breadth}, break_even=0).search_many(queries, n)
            ef[n], recall[n] = breadth, _mean_recall(found, right, n)
            if recall[n] >= target:
                break
    return Breadth(ef, recall, target)


def _breadths(n: int, items: int) -> Iterator[int]:
    """Yield the breadths to try for N = n."""
    for times in BREADTHS:
        yield min(max(NARROWEST, int(n * times)), items)


def _mean_recall(found: Sequence[Hits], right: Sequence[Hits], n: int) -> float:
    """Return the mean recall@n; the right ones may be more than n."""
    shares = [np.isin(one.rows, best.rows[:n]).mean() for one, best in zip(found, right, strict=True)]
    return float(np.mean(shares))


def queries_of(bundle: Bundle, seed: int) -> list[np.ndarray]:
    """Make capsules to measure with: those of the golden histories, and K near random items.

    The latter are as long as those items.
    """
    golden = json.loads((bundle.path / GOLDEN).read_text(encoding="utf-8"))
    found = [np.array(case["capsules"], dtype=np.float32) for case in golden if case["capsules"]]
    rng = np.random.default_rng(seed)
    shape = (bundle.manifest.num_interests, bundle.manifest.dim)
    while len(found) < QUERIES:
        near = bundle.item_embeddings[np.sort(rng.integers(bundle.manifest.items, size=shape[0]))]
        length = np.linalg.norm(near, axis=1, keepdims=True) / np.sqrt(shape[1])
        found.append((near + NOISE * length * rng.normal(size=shape)).astype(np.float32))
    return found
