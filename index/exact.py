"""Exact max-sim: every item is scored. The reference, and the faster way for small catalogues."""

from collections.abc import Collection

import numpy as np

from index.maxsim import NO_ROWS, Hits, best_of, check_query


class ExactIndex:
    """Scores all items with one matrix product.

    Parameters
    ----------
    items : float32 (items, d), the item table; it may be memory-mapped.
    """

    kind = "exact"

    def __init__(self, items: np.ndarray) -> None:
        self.items = items
        self.all_rows = np.arange(len(items))

    def search(self, capsules: np.ndarray, n: int, exclude: Collection[int] = NO_ROWS) -> Hits:
        """See MaxSimIndex.search."""
        check_query(capsules, n, self.items.shape[1])
        rows = self.all_rows
        if exclude:
            keep = np.ones(len(rows), dtype=bool)
            keep[list(exclude)] = False
            rows = rows[keep]
        return best_of(self.items, rows, capsules, n)
