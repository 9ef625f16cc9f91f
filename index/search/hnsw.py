"""hnswlib's graph: built, read from its own file, and searched the plain way, which is the reference of the joint beam.

hnswlib's inner-product space fails on vectors of uneven norms: many items get no incoming link and cannot be reached.
So the graph is built in L2 space on [x, sqrt(R^2 - |x|^2)], R the largest norm: all items then have the norm R, and the
nearest to [q, 0] is the one with the largest inner product with q. (Bachrach et al., "Speeding Up the Xbox Recommender
System Using a Euclidean Transformation for Inner-Product Spaces", RecSys 2014, section 3.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
from tqdm import tqdm

from index.search.exact import ExactIndex, best_of
from index.search.links import joined
from index.search.maxsim import Allowed, Hits, MaxSimIndex

__all__ = ["PLAIN_EF", "HnswIndex", "HnswSettings", "augmented", "build", "load", "queries_of"]

LANES = 16  # hnswlib's fast distance functions take dimensions in multiples of 16
BUILD_BATCH = 10_000
UNEVEN = 0.05  # what is added to an item beyond this share of the largest norm: a thousandth of the norm is missing
PLAIN_EF = 200  # of the plain search, where none is given


@dataclass(frozen=True)
class HnswSettings:
    """hnswlib's parameters: M links an item, ef_construction and ef the breadth of building and searching.

    `ef` 0: measured when the index is built.
    """

    m: int = 16
    ef_construction: int = 200
    ef: int = 0
    seed: int = 7


class HnswIndex(MaxSimIndex):
    """One graph search a capsule by hnswlib itself, merged and scored exactly. A loaded index never changes.

    Parameters
    ----------
    vectors : float32 (items, d), the table that the graph was built on.
    graph : hnswlib's index of the augmented vectors, labels are the rows.
    """

    kind = "hnsw, plain"

    def __init__(self, vectors: np.ndarray, graph: hnswlib.Index) -> None:
        self.vectors, self.graph = vectors, graph
        self.scan = ExactIndex(vectors)

    def find(
        self, users: Sequence[np.ndarray], n: int, excluded: Sequence[np.ndarray], allowed: Allowed | None
    ) -> list[Hits]:
        """See MaxSimIndex.find.

        Each capsule is asked for more items until it has n that may come back.
        """
        return [self._find_one(capsules, n, rows, allowed) for capsules, rows in zip(users, excluded, strict=True)]

    def _find_one(self, capsules: np.ndarray, n: int, excluded: np.ndarray, allowed: Allowed | None) -> Hits:
        """Search for one user."""
        queries = queries_of(self.graph, capsules)
        may = np.ones(len(self.vectors), dtype=bool) if allowed is None else allowed.mask.copy()
        may[excluded] = False
        wanted = min(n + len(excluded), len(self.vectors))
        try:
            while True:
                labels = self.graph.knn_query(queries, k=wanted, num_threads=1)[0].astype(np.int64)  # (K', wanted)
                if wanted == len(self.vectors) or may[labels].sum(1).min() >= n:
                    break
                wanted = min(2 * wanted, len(self.vectors))
        except RuntimeError:  # the graph reached fewer items than were asked for
            return self.scan.find([capsules], n, [excluded], allowed)[0]
        rows = np.unique(labels)
        return best_of(self.vectors, rows[may[rows]], capsules, n)


def augmented(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (items, D) of equal norms, for float32 (items, d).

    D is a multiple of 16 above d.
    """
    dim = vectors.shape[1]
    squares = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    equal_norms = np.zeros((len(vectors), -(-(dim + 1) // LANES) * LANES), dtype=np.float32)
    equal_norms[:, :dim] = vectors
    equal_norms[:, dim] = np.sqrt(squares.max(initial=0) - squares)
    return equal_norms


def queries_of(graph: hnswlib.Index, capsules: np.ndarray) -> np.ndarray:
    """Return capsules (K', D), float32, for a graph of augmented vectors.

    Zeros stand where items have what was added.
    """
    queries = np.zeros((len(capsules), graph.dim), dtype=np.float32)
    queries[:, : capsules.shape[1]] = capsules
    return queries


def build(vectors: np.ndarray, settings: HnswSettings, progress: bool = True) -> HnswIndex:
    """Build the graph of an item table, on all cores.

    Items of large norm go in first. In the augmented space they are outliers: put in late, their neighbours do not keep
    links to them, and a search misses the very items that have the largest inner products.

    If norms are uneven, the links of an inner-product graph fill the slots that are left. By itself it leaves items
    without any link to them; but its links lead far, and a search along both kinds does not get stuck.
    """
    equal_norms = augmented(vectors)
    added = equal_norms[:, vectors.shape[1]]
    order = np.argsort(added, kind="stable")  # what is added is smallest where the norm is largest
    uneven = len(vectors) > 0 and added.max() > UNEVEN * np.linalg.norm(equal_norms[0])
    with tqdm(total=len(vectors) * (1 + uneven), desc="indexing", unit="item", disable=not progress) as bar:
        graph = _grown("l2", equal_norms, order, settings, bar)
        if uneven:
            graph = joined(graph, _grown("ip", np.ascontiguousarray(vectors), order, settings, bar))
    graph.set_ef(settings.ef or PLAIN_EF)
    return HnswIndex(vectors, graph)


def _grown(space: str, vectors: np.ndarray, order: np.ndarray, settings: HnswSettings, bar: Any) -> hnswlib.Index:
    """Grow hnswlib's graph of these vectors, put in in this order."""
    graph = hnswlib.Index(space, vectors.shape[1])
    graph.init_index(len(vectors), ef_construction=settings.ef_construction, M=settings.m, random_seed=settings.seed)
    for at in range(0, len(vectors), BUILD_BATCH):
        rows = order[at : at + BUILD_BATCH]
        graph.add_items(vectors[rows], rows)
        bar.update(len(rows))
    return graph


def load(vectors: np.ndarray, file: Path, ef: int = PLAIN_EF) -> HnswIndex:
    """Read a graph of these items from hnswlib's own file, which bundles had before.

    hnswlib notices a file that was cut off, not one that was changed: that one may crash the process. `open_index`
    compares the checksum first.

    Raises
    ------
    ValueError
        If the file is no such graph, or of another number of items.
    """
    graph = hnswlib.Index("l2", augmented(vectors[:1]).shape[1])
    try:
        graph.load_index(str(file))
    except RuntimeError as error:
        raise ValueError(f"{file} is not an index of these items: {error}") from error
    if graph.get_current_count() != len(vectors):
        raise ValueError(f"{file} has {graph.get_current_count()} items; the item table has {len(vectors)}")
    graph.set_ef(ef)
    return HnswIndex(vectors, graph)
