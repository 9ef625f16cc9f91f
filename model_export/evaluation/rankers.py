"""The interface of rankers, which rank items for a history, and the least one to beat: most popular."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from model_export.evaluation.cases import Cases
from model_export.evaluation.metrics import metrics_per_case

__all__ = [
    "BATCH",
    "TUNING_CASES",
    "Popular",
    "Ranker",
    "pad_columns",
    "rank_by_scores",
    "top_columns",
    "tuning_recall",
]

BATCH = 512  # cases ranked at a time, at most
SCORES = 1 << 19  # scores at a time, or one case's: more than the processor's caches hold take twice as long
TUNED_AT = 50  # N of the recall that tuning looks at
TUNING_CASES = 3_000  # validation cases that it looks at, at most


class Ranker(Protocol):
    """Anything that ranks all items for each case."""

    @property
    def name(self) -> str:
        """Return the name that people see."""

    def top(self, cases: Cases, n: int, unseen_only: bool) -> np.ndarray:
        """Return the n best item rows of each case, best first: int64 (C, n).

        -1 stands at the end if fewer than n exist.

        With `unseen_only` the items of a case's history are left out.
        """


class Popular:
    """The most popular items, the same for everybody.

    Parameters
    ----------
    counts : (items,), behaviours with each item.
    """

    name = "most popular"

    def __init__(self, counts: np.ndarray) -> None:
        self.order = np.argsort(-counts, kind="stable")

    def top(self, cases: Cases, n: int, unseen_only: bool) -> np.ndarray:
        """Return the n most popular item rows for each case; see Ranker.top."""
        if not unseen_only:
            return np.tile(pad_columns(self.order[None, :n], n), (len(cases), 1))
        return np.concatenate(
            [np.zeros((0, n), dtype=np.int64), *(self._top_unseen(c, n) for c in cases.batches(BATCH))]
        )

    def _top_unseen(self, cases: Cases, n: int) -> np.ndarray:
        """Return the n most popular items that are not in each history: int64 (C, n)."""
        candidates = self.order[: n + cases.history.shape[1]]  # a history of L items can hide no more than L
        seen = ((candidates[:, None] == cases.history[:, None, :]) & cases.mask[:, None, :]).any(2)
        places = np.argsort(seen, axis=1, kind="stable")[:, :n]
        return pad_columns(np.where(np.take_along_axis(seen, places, 1), -1, candidates[places]), n)


def rank_by_scores(
    scores: Callable[[Cases], np.ndarray], num_items: int, cases: Cases, n: int, unseen_only: bool
) -> np.ndarray:
    """Return the n best item rows of each case by a function that scores every item.

    Parameters
    ----------
    scores : of C cases, float (C, items).
    num_items : number of items; the more there are the fewer cases are scored at a time.
    unseen_only : leave out the items of a case's history.

    Returns
    -------
    int64 (C, n), see Ranker.top
    """
    found = [np.zeros((0, n), dtype=np.int64)]
    for some in cases.batches(min(BATCH, max(1, SCORES // max(1, num_items)))):
        scored = scores(some)
        if unseen_only:
            rows, _ = np.nonzero(some.mask)
            scored[rows, some.history[some.mask]] = -np.inf
        found.append(top_columns(scored, n))
    return np.concatenate(found)


def tuning_recall(ranker: Ranker, cases: Cases) -> float:
    """Return the mean recall@50, by which settings are chosen."""
    found = metrics_per_case(ranker.top(cases, TUNED_AT, unseen_only=False), cases.labels, at=(TUNED_AT,))
    return float(found[f"recall@{TUNED_AT}"].mean())


def top_columns(scores: np.ndarray, n: int) -> np.ndarray:
    """Return the columns of the n largest scores of each row, best first.

    Scores of -inf are never among them.

    Parameters
    ----------
    scores : float (C, items).

    Returns
    -------
    int64 (C, n), -1 if there are fewer
    """
    others = max(0, scores.shape[1] - n)
    unsorted = np.argpartition(scores, others, axis=1)[:, others:]  # several times as fast as from the other end
    found = np.take_along_axis(scores, unsorted, 1)
    order = np.lexsort((unsorted, -found), axis=1)  # equal scores: in the order of the items
    top, found = np.take_along_axis(unsorted, order, 1), np.take_along_axis(found, order, 1)
    return pad_columns(np.where(np.isneginf(found), -1, top), n)


def pad_columns(top: np.ndarray, n: int) -> np.ndarray:
    """Pad int64 (C, up to n) with -1 to n columns."""
    return np.pad(top, ((0, 0), (0, n - top.shape[1])), constant_values=-1)
