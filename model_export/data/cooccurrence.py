"""Co-occurrence: items that stand close to each other in users' sequences, and what is made of it."""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.linalg import eigsh, svds

from model_export.data.dataset import Sequences, positions_of, user_blocks
from model_export.data.interactions import BLOCK

__all__ = ["Neighbours", "co_occurrence", "most_similar", "similarity_matrix", "svd_item_vectors"]

EXACT_UP_TO, TOLERANCE = 10_000_000, 0.05  # pairs of which start vectors are exact; how far they may be off else
REACH = 10  # positions
NEIGHBOURS = 50
MOST_BEHAVIOURS = 5_000_000  # that are paired; the pairs of more would not fit where the behaviours do


def co_occurrence(
    sequences: Sequences, users: np.ndarray, num_items: int, reach: int = REACH, distance_weight: str = "inverse"
) -> csr_matrix:
    """Count how often two items stand within `reach` positions of each other.

    An item that follows itself counts twice, once in each direction, like any other pair. Of a large log some users,
    drawn by chance, speak for all: those with the first `MOST_BEHAVIOURS` behaviours. A behaviour makes up to 2 *
    `reach` pairs of 12 bytes; fewer behaviours tell as much of what often goes together.

    Parameters
    ----------
    users : int64, whose behaviours count.
    distance_weight : "inverse" counts a pair as 1 / the positions between them, "constant" as 1.

    Returns
    -------
    symmetric, float64 (items, items)
    """
    pairs = csr_matrix((num_items, num_items), dtype=np.float64)
    for some in user_blocks(sequences, _some_users(sequences, users)):
        pairs += _followers(sequences, some, num_items, reach, distance_weight)
    return pairs + pairs.T


def _followers(sequences: Sequences, users: np.ndarray, num_items: int, reach: int, distance_weight: str) -> csr_matrix:
    """Count how often one item stands up to `reach` positions before another."""
    positions, owners = positions_of(sequences, users)
    rows = sequences.items[positions]
    pairs = csr_matrix((num_items, num_items), dtype=np.float64)
    for step in range(1, reach + 1):
        together = owners[step:] == owners[:-step]
        left, right = rows[:-step][together], rows[step:][together]
        weight = 1 / step if distance_weight == "inverse" else 1.0
        pairs += coo_matrix((np.full(len(left), weight), (left, right)), shape=pairs.shape).tocsr()
    return pairs


def _some_users(sequences: Sequences, users: np.ndarray) -> np.ndarray:
    """Return the users; of a large log some by chance, who have `MOST_BEHAVIOURS`."""
    if sequences.lengths[users].sum() <= MOST_BEHAVIOURS:
        return users
    drawn = np.random.default_rng(len(users)).permutation(users)
    number = np.searchsorted(np.cumsum(sequences.lengths[drawn]), MOST_BEHAVIOURS, side="right")
    return np.sort(drawn[: max(1, number)])


def similarity_matrix(pairs: csr_matrix, counts: np.ndarray, popularity_power: float = 0.5) -> csr_matrix:
    """Divide co-occurrence by (count of one item * count of the other) to a power.

    At 0.5 it is a cosine.

    Parameters
    ----------
    pairs : (items, items), see `co_occurrence`.
    counts : (items,), behaviours with each item.

    Returns
    -------
    (items, items)
    """
    scale = np.maximum(counts, 1) ** -popularity_power
    similarity = csr_matrix(pairs, copy=True)  # and no products with diagonal matrices, which make two more copies
    for some, rows in _row_blocks(similarity):
        similarity.data[some] *= scale[rows]
        similarity.data[some] *= scale[similarity.indices[some]]
    return similarity


def _row_blocks(matrix: csr_matrix) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the entries of whole rows, about `BLOCK` at a time, and the row of each entry."""
    first, ends = 0, matrix.indptr[1:]
    while first < len(ends):
        last = max(first + 1, int(np.searchsorted(ends, matrix.indptr[first] + BLOCK, side="right")))
        rows = np.repeat(np.arange(first, last), np.diff(matrix.indptr[first : last + 1]))
        yield slice(matrix.indptr[first], matrix.indptr[last]), rows
        first = last


def svd_item_vectors(similarity: csr_matrix, dim: int, rng: np.random.Generator) -> np.ndarray:
    """Return unit-length item vectors by truncated SVD of the similarity, as a start.

    So training starts from what item-kNN knows. Of many pairs the vectors are approximate: a start is good enough, and
    exact ones take four times as long.

    Items that go with nothing get random directions.

    Returns
    -------
    float32 (items, dim)
    """
    num_items = similarity.shape[0]
    rank = min(dim, num_items - 1) if similarity.nnz else 0  # ARPACK can do nothing with zeros
    start = rng.normal(size=num_items)
    vectors = rng.normal(size=(num_items, dim)) * 1e-6
    if rank:
        if similarity.nnz <= EXACT_UP_TO:
            left, strengths, _ = svds(similarity, k=rank, v0=start)
        else:  # of a symmetric matrix singular values are the magnitudes of eigenvalues
            strengths, left = eigsh(similarity, k=rank, v0=start, tol=TOLERANCE)
            strengths = np.abs(strengths)
        vectors[:, :rank] += left * np.sqrt(strengths)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32)


def most_similar(similarity: csr_matrix, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the most similar items of each item, and how similar they are.

    Parameters
    ----------
    similarity : csr (items, items), not negative.
    most : M, at most so many of each.

    Returns
    -------
    int32 (items, M), the most similar first, -1 behind the last; and float32 (items, M), 0 behind the last
    """
    items = np.full((similarity.shape[0], most), -1, dtype=np.int32)  # the smaller types, for catalogues are large
    found = np.zeros(items.shape, dtype=np.float32)
    for some, rows in _row_blocks(similarity):
        order = np.lexsort((-similarity.data[some], rows))  # by row, the most similar first
        rank = np.arange(some.start, some.stop) - similarity.indptr[rows]
        kept = rank < most
        items[rows[kept], rank[kept]] = similarity.indices[some][order][kept]
        found[rows[kept], rank[kept]] = similarity.data[some][order][kept]
    return items, found


class Neighbours:
    """The most similar items of each item, to draw from.

    Parameters
    ----------
    similarity : csr (items, items), not negative.
    most : neighbours kept for each item.
    """

    def __init__(self, similarity: csr_matrix, most: int = NEIGHBOURS) -> None:
        items, weights = most_similar(similarity, most)
        itself = np.arange(len(items), dtype=np.int32)[:, None]
        self.items = np.where(items < 0, itself, items)  # who has none is its own
        weights[:, 0] += 1e-12
        self.cumulative = np.cumsum(weights, 1)

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw one neighbour for each item row, in proportion to the similarity.

        Parameters
        ----------
        rows : int64 (n,), item rows.

        Returns
        -------
        int32 (n,)
        """
        aims = rng.random(len(rows))[:, None] * self.cumulative[rows, -1:]
        place = (self.cumulative[rows] <= aims).sum(1)
        drawn: np.ndarray = self.items[rows, place]
        return drawn
