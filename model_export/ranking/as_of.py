"""Popularity and trend of every item as of a moment, so that no example knows what came after it.

The range of the log is cut into buckets of equal length. What is known at a moment is what stands in the buckets that
were over by then. A log without times has one bucket: whoever is asked, the behaviours of the training users count.
"""

from collections.abc import Iterator

import numpy as np

from model_export.bundle.ranking.features import trend_of
from model_export.data.dataset import Sequences, item_counts

__all__ = ["BUCKETS", "AsOf"]

BUCKETS = 64
RECENT = 4  # buckets: what the trend compares with all before


class AsOf:
    """The counts of all items at the end of each bucket.

    Parameters
    ----------
    sequences : the behaviours of all users.
    users : int64, those that count where there are no times.
    num_items : number of items.
    """

    def __init__(self, sequences: Sequences, users: np.ndarray, num_items: int) -> None:
        self.num_items = num_items
        times = sequences.times
        self.first, self.last = int(times.min(initial=0)), int(times.max(initial=0))
        self.timed = self.last > self.first
        if not self.timed:
            self.whole = item_counts(sequences, users, num_items)
            return
        self.first = int(times.min())
        buckets = self.bucket_of(times)
        order = np.argsort(buckets, kind="stable")
        self.items = sequences.items[order]
        self.starts = np.searchsorted(buckets[order], np.arange(BUCKETS + 1))  # of each bucket among `items`

    def bucket_of(self, times_ms: np.ndarray) -> np.ndarray:
        """Return the bucket of each moment: int64 (n,), 0 to BUCKETS - 1.

        Parameters
        ----------
        times_ms : int64 (n,), Unix time in milliseconds.
        """
        if not self.timed:
            return np.zeros(len(times_ms), dtype=np.int64)
        length = (self.last - self.first) // BUCKETS + 1
        return ((times_ms - self.first) // length).clip(0, BUCKETS - 1)

    def at(self, bucket: int) -> tuple[np.ndarray, np.ndarray]:
        """Return counts and trends of what was over when a bucket began.

        int64 (items,) and float32 (items,).

        Parameters
        ----------
        bucket : 0 to BUCKETS; the last is the end of the log, which is what serving knows.
        """
        if not self.timed:
            return self.whole, np.zeros(self.num_items, dtype=np.float32)
        recent = max(0, bucket - RECENT)
        counts = self._count(0, recent)
        lately = self._count(recent, bucket)
        counts += lately
        return counts, trend_of(lately, counts)

    def by_bucket(self, asked_ms: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield the numbers of the moments in each bucket, and counts and trends as of it.

        Parameters
        ----------
        asked_ms : int64 (n,), Unix time in milliseconds.
        """
        buckets = self.bucket_of(asked_ms)
        for bucket in np.unique(buckets):
            yield np.flatnonzero(buckets == bucket), *self.at(int(bucket))

    def _count(self, begin: int, end: int) -> np.ndarray:
        """Count the behaviours with each item in buckets begin to end - 1: int64 (items,)."""
        return np.bincount(self.items[self.starts[begin] : self.starts[end]], minlength=self.num_items)
