"""The recall of a graph, measured again: the plain beam search of one capsule along its links, in NumPy.

What serves is compiled and lies in a room that reads bundles. This is slower and knows nothing of it, so that a check
needs neither.
"""

import heapq
from dataclasses import dataclass

import numpy as np

from model_export.bundle.bundle import Bundle

__all__ = ["Graph", "recall_of", "sample_queries", "share_of_near"]

QUERIES = 64
ROWS = 1_000  # whose links are compared with random ones
NOISE = 0.2  # of an item's length, around it
BLOCK = 65_536  # rows that are scored at once


@dataclass(frozen=True)
class Graph:
    """A graph of the item table.

    Attributes
    ----------
    vectors : float32 (items, d).
    links : int32 (items, some), -1 behind the last.
    entries : int32 (E,), where every search begins.
    """

    vectors: np.ndarray
    links: np.ndarray
    entries: np.ndarray


def sample_queries(bundle: Bundle) -> np.ndarray:
    """Make capsules near random items, the same at each check: float32 (64, d)."""
    rng, dim = np.random.default_rng(0), bundle.manifest.dim
    near = bundle.item_embeddings[np.sort(rng.integers(bundle.manifest.items, size=QUERIES))]
    length = np.linalg.norm(near, axis=1, keepdims=True) / np.sqrt(dim)
    return np.asarray(near + NOISE * length * rng.normal(size=near.shape), dtype=np.float32)


def recall_of(graph: Graph, queries: np.ndarray, n: int, breadth: int) -> float:
    """Measure the share of the n best items of each query that a beam of this breadth finds.

    Items of equal scores stand for each other.
    """
    least = _best_scores(graph.vectors, queries, n)[:, -1]
    shares = [
        np.mean(_beam(graph, query, max(n, breadth))[:n] >= floor - 1e-5 * abs(floor))
        for query, floor in zip(queries, least, strict=True)
    ]
    return float(np.mean(shares))


def _best_scores(vectors: np.ndarray, queries: np.ndarray, n: int) -> np.ndarray:
    """Return the n best scores of each query, the best first: float32 (queries, n)."""
    best = np.full((len(queries), n), -np.inf, dtype=np.float32)
    for begin in range(0, len(vectors), BLOCK):
        both = np.concatenate([best, queries @ vectors[begin : begin + BLOCK].T], axis=1)
        best = np.partition(both, both.shape[1] - n, axis=1)[:, -n:]
    return -np.sort(-best, axis=1)


def _beam(graph: Graph, query: np.ndarray, breadth: int) -> np.ndarray:
    """Search along the links; return the scores of the best items met, the best first."""
    seen = np.zeros(len(graph.vectors), dtype=bool)
    best: list[float] = []  # a heap, the least of the best first
    waiting: list[tuple[float, int]] = []  # a heap of negated scores and rows

    def visit(rows: np.ndarray) -> None:
        rows = np.unique(rows[rows >= 0])
        rows = rows[~seen[rows]]
        seen[rows] = True
        for score, row in zip((graph.vectors[rows] @ query).tolist(), rows.tolist(), strict=True):
            if len(best) < breadth:
                heapq.heappush(best, score)
            elif score > best[0]:
                heapq.heapreplace(best, score)
            else:
                continue
            heapq.heappush(waiting, (-score, row))

    visit(graph.entries)
    while waiting:
        negated, row = heapq.heappop(waiting)
        if len(best) == breadth and -negated < best[0]:
            break
        visit(graph.links[row])
    return np.array(sorted(best, reverse=True), dtype=np.float32)


def share_of_near(graph: Graph) -> float:
    """Return the share of a sample of items that are linked to near ones.

    Near is what is as near as the nearest of as many random items. Of a graph of this table nearly all are, of one of
    another table half. Nearness is that of hnsw.py, which makes all vectors equally long by one more dimension.
    """
    rng, items = np.random.default_rng(0), len(graph.vectors)
    if items == 1:
        return 1.0  # there is no other
    rows = np.sort(rng.choice(items, size=min(ROWS, items), replace=False))
    longest = _squares(graph.vectors).max()
    is_near = []
    for row in rows.tolist():
        linked = graph.links[row]
        linked = linked[(linked >= 0) & (linked != row)]
        random = (row + 1 + rng.choice(items - 1, size=min(len(linked), items - 1), replace=False)) % items
        nearest = [_distances(graph.vectors, row, some, longest).min(initial=np.inf) for some in (linked, random)]
        is_near.append(len(linked) > 0 and nearest[0] <= nearest[1])
    return float(np.mean(is_near))


def _squares(vectors: np.ndarray) -> np.ndarray:
    """Return the squared length of each vector, float64 (n,)."""
    return np.asarray(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))


def _distances(vectors: np.ndarray, row: int, others: np.ndarray, longest: float) -> np.ndarray:
    """Return the squared distances of a row to others, once all are as long as the longest."""
    one, many = vectors[row].astype(np.float64), vectors[others].astype(np.float64)
    added = np.sqrt(np.maximum(longest - one @ one, 0)) - np.sqrt(np.maximum(longest - _squares(many), 0))
    return np.asarray(((many - one) ** 2).sum(1) + added**2)
