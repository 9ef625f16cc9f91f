"""The peers of the retrieval benchmark: graphs of other libraries, asked once for each capsule, merged in Python.

All have the same number of links, breadth of building and distance: the inner product. `Augmented` is no peer but our
own reference: hnswlib's search along the very links that the joint beam walks along, of vectors of equal norms and with
the links of both distances (index/search/hnsw.py).
"""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from index.search import hnsw
from index.search.hnsw import HnswSettings

__all__ = ["PACKAGES", "PEERS", "Augmented", "Faiss", "Hnswlib", "Libraries", "USearch", "Way", "chosen", "merged"]

M, EF_CONSTRUCTION = HnswSettings.m, HnswSettings.ef_construction
PACKAGES = {"hnswlib": "hnswlib", "faiss": "faiss-cpu", "usearch": "usearch"}


class Way(Protocol):
    """One way to the best rows."""

    def top(self, capsules: np.ndarray, n: int, ef: int) -> np.ndarray:
        """Return the rows of the n best items for capsules (K', d), in any order."""
        ...


def chosen(names: Sequence[str]) -> "Libraries":
    """Return the peers of these names.

    Raises
    ------
    ValueError
        If there is none of a name, or it is not installed; says what is right, or how to install it.
    """
    for name in names:
        if name not in PEERS:
            raise ValueError(f"there is no peer {name!r}; it must be one of {', '.join(PEERS)}")
        module = PEERS[name].module
        if importlib.util.find_spec(module) is None:
            raise ValueError(f"the peer {name} is not installed; `pip install {PACKAGES[module]}` installs it")
    return {name: PEERS[name] for name in names}


def merged(rows: np.ndarray, scores: np.ndarray, n: int) -> np.ndarray:
    """Merge the answers of all capsules, (K', N) each, to the n rows of the best scores."""
    order = np.argsort(-scores, axis=None)
    ranked = rows.ravel()[order]
    _, first = np.unique(ranked, return_index=True)
    return np.asarray(ranked[np.sort(first)[:n]])


class Hnswlib:
    """hnswlib in its inner-product space."""

    module = "hnswlib"

    def __init__(self, items: np.ndarray) -> None:
        import hnswlib

        self.graph = hnswlib.Index("ip", items.shape[1])
        self.graph.init_index(len(items), ef_construction=EF_CONSTRUCTION, M=M)
        self.graph.add_items(items)

    def top(self, capsules: np.ndarray, n: int, ef: int) -> np.ndarray:
        """See Way.top."""
        self.graph.set_ef(max(ef, n))
        rows, distances = self.graph.knn_query(capsules, k=n, num_threads=1)
        return merged(rows, -distances, n)


class Augmented:
    """hnswlib on augmented vectors: `d^2 = R^2 + |q|^2 - 2 q x`, so the score is minus half of what varies in d^2."""

    def __init__(self, plain: hnsw.HnswIndex) -> None:
        self.graph = plain.graph

    def top(self, capsules: np.ndarray, n: int, ef: int) -> np.ndarray:
        """See Way.top."""
        self.graph.set_ef(max(ef, n))
        rows, distances = self.graph.knn_query(hnsw.queries_of(self.graph, capsules), k=n, num_threads=1)
        squares = (capsules * capsules).sum(1, keepdims=True)
        return merged(rows, (squares - distances) / 2, n)


class Faiss:
    """Faiss's IndexHNSWFlat with the inner product."""

    module = "faiss"

    def __init__(self, items: np.ndarray) -> None:
        import faiss

        self.library: Any = faiss
        self.graph: Any = faiss.IndexHNSWFlat(items.shape[1], M, faiss.METRIC_INNER_PRODUCT)
        self.graph.hnsw.efConstruction = EF_CONSTRUCTION
        self.graph.add(items)
        faiss.omp_set_num_threads(1)

    def top(self, capsules: np.ndarray, n: int, ef: int) -> np.ndarray:
        """See Way.top."""
        self.graph.hnsw.efSearch = max(ef, n)
        scores, rows = self.graph.search(capsules, n)
        return merged(rows, scores, n)


class USearch:
    """USearch with the inner product, in float32."""

    module = "usearch"

    def __init__(self, items: np.ndarray) -> None:
        from usearch.index import Index

        self.graph: Any = Index(
            ndim=items.shape[1], metric="ip", dtype="f32", connectivity=M, expansion_add=EF_CONSTRUCTION
        )
        self.graph.add(np.arange(len(items)), items)

    def top(self, capsules: np.ndarray, n: int, ef: int) -> np.ndarray:
        """See Way.top."""
        self.graph.expansion_search = max(ef, n)
        found = self.graph.search(capsules, n, threads=1)
        return merged(found.keys.astype(np.int64), -found.distances, n)


Libraries = Mapping[str, type[Hnswlib] | type[Faiss] | type[USearch]]
PEERS: Libraries = {"hnswlib": Hnswlib, "Faiss": Faiss, "USearch": USearch}
