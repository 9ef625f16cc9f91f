"""What the second stage says of the candidates of one user."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index.search.maxsim import Hits

__all__ = ["RankedColumns", "RankedPage"]


@dataclass(frozen=True, eq=False)
class RankedColumns:
    """What an answer says of its candidates beside their joined scores.

    Attributes
    ----------
    ranked : how many candidates were ranked; these are of them.
    tasks : names (T,).
    scores : float32 (N, T), of each candidate by task.
    matching_rank : int64 (N,), the place of each in the matching stage's own order, 0 for the first.
    reasons : of each, up to three features that spoke for it, in words; empty where nobody asked.
    """

    ranked: int
    tasks: tuple[str, ...]
    scores: np.ndarray
    matching_rank: np.ndarray
    reasons: Sequence[Sequence[str]] = ()


@dataclass(frozen=True, eq=False)
class RankedPage:
    """All candidates of one user that were ranked.

    Attributes
    ----------
    hits : best first, with the joined scores; each with the interest that brought it.
    scores, matching_rank : of each, see `RankedColumns`.
    features : float32 (N, F), of each.
    tasks : names (T,).
    """

    hits: Hits
    scores: np.ndarray
    matching_rank: np.ndarray
    features: np.ndarray
    tasks: tuple[str, ...]

    def fetch(self, n: int) -> Hits:
        """Return the n best, fewer if no more were ranked."""
        return self.hits.take(np.arange(min(n, len(self.hits.rows))))

    def places_of(self, rows: np.ndarray) -> np.ndarray:
        """Return where candidates stand in this page, int64.

        Parameters
        ----------
        rows : int64 (N,), of items that were ranked.
        """
        order = np.argsort(self.hits.rows)
        return np.asarray(order[np.searchsorted(self.hits.rows, rows, sorter=order)])

    def columns(self, rows: np.ndarray, reasons: Sequence[Sequence[str]] = ()) -> RankedColumns:
        """Return what is said of some of the candidates."""
        places = self.places_of(rows)
        return RankedColumns(len(self.hits.rows), self.tasks, self.scores[places], self.matching_rank[places], reasons)
