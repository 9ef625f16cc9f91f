"""The lists that a ranker learns to order: what was taken, and what was shown or would have been, and was not.

A log with impressions says what a user was shown and did not take. Where it does not, or of too few items, what the
matching stage would have brought at that moment stands for it, since that is what the ranker will be asked to order.
Some items at random are beside.
"""

from dataclasses import dataclass

import numpy as np

from model_export.data.impressions import ShownItems
from model_export.evaluation.cases import Cases
from model_export.ranking.matching import Choose

__all__ = ["ListSettings", "labels_of", "sampled_negatives"]


@dataclass(frozen=True)
class ListSettings:
    """The negatives of a training list.

    Attributes
    ----------
    brought : so many of the best that matching brings are drawn from.
    negatives : of each list, at most so many: what was shown first, then what was brought.
    at_random : share of them that are any items.
    """

    brought: int = 200
    negatives: int = 40
    at_random: float = 0.2

    def __post_init__(self) -> None:
        if self.negatives < 1:
            raise ValueError(f"negatives is {self.negatives}; it must be at least 1")
        if not 0 <= self.at_random <= 1:
            raise ValueError(f"at_random is {self.at_random}; it must be from 0 to 1")
        if self.brought < self.negatives:
            raise ValueError(f"brought is {self.brought}; it must be at least the negatives, {self.negatives}")

    @property
    def drawn(self) -> int:
        """Return how many of the negatives are any items."""
        return round(self.at_random * self.negatives)


def sampled_negatives(
    cases: Cases, num_items: int, settings: ListSettings, rng: np.random.Generator, shown: ShownItems | None = None
) -> Choose:
    """Return what makes a training list of what is brought.

    The target comes first, then its negatives.

    A target that was not brought is put in all the same. What a label of the case names is never a negative. Items that
    are drawn twice stand there once; -1 fills the places that are left.

    Parameters
    ----------
    cases : with a single label each, the target.
    num_items : number of items.
    shown : what users were shown and did not take; None: the log does not say.
    """
    hard = settings.negatives - settings.drawn

    def choose(which: slice, best: np.ndarray) -> np.ndarray:
        target = cases.labels[which][:, :1]  # (B, 1)
        seen = np.full((len(best), 0), -1) if shown is None else _seen(cases, which, shown, hard)
        order = rng.random(best.shape)
        order[(best < 0) | (best == target)] = 2
        places = np.argsort(order, axis=1)[:, :hard]
        is_wanted = np.arange(places.shape[1]) < hard - (seen >= 0).sum(1, keepdims=True)
        is_right = is_wanted & (np.take_along_axis(order, places, 1) < 2)
        some = np.where(is_right, np.take_along_axis(best, places, 1), -1)
        random = rng.integers(num_items, size=(len(best), settings.drawn))
        return without_doubles(np.concatenate([target, seen, some, random], 1))

    return choose


def _seen(cases: Cases, which: slice, shown: ShownItems, most: int) -> np.ndarray:
    """Return what users of cases were shown before, each once: int64 (B, most), -1 behind."""
    found = without_doubles(shown.before(cases.users[which], cases.asked_ms[which], most))
    order = np.argsort(found < 0, axis=1, kind="stable")
    return np.take_along_axis(found, order, 1)


def without_doubles(rows: np.ndarray) -> np.ndarray:
    """Return item rows (B, N) with -1 for those that stand further left already."""
    order = np.argsort(rows, axis=1, kind="stable")
    ascending = np.take_along_axis(rows, order, 1)
    again = np.zeros(rows.shape, dtype=bool)
    np.put_along_axis(again, order[:, 1:], ascending[:, 1:] == ascending[:, :-1], 1)
    return np.where(again, -1, rows)


def labels_of(candidates: np.ndarray, cases: Cases, task_of: np.ndarray) -> np.ndarray:
    """Return what was done with each candidate, by task: float32 (C, N, T), 1 where it was.

    Parameters
    ----------
    candidates : int64 (C, N), -1 behind the last.
    cases : with labels int64 (C, Y) and their types.
    task_of : int64 (types + 1,), the task of each row of the event types, -1 where a type is no task.
    """
    tasks = task_of[cases.label_types]  # (C, Y)
    found = np.zeros((*candidates.shape, int(task_of.max()) + 1), dtype=np.float32)
    for at in range(cases.labels.shape[1]):  # a label at a time: all at once would be (C, N, Y)
        labels, task = cases.labels[:, at], tasks[:, at]
        real = (labels >= 0) & (task >= 0)
        rows, places = np.nonzero((candidates == labels[:, None]) & real[:, None])
        found[rows, places, task[rows]] = 1
    return found
