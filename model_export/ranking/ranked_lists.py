"""Lists with all that a ranker reads of them, as arrays: what is trained on, validated and evaluated."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from model_export.bundle.ranking.features import FEATURES, FeatureTables, compute_features
from model_export.evaluation.cases import Cases
from model_export.ranking.as_of import AsOf
from model_export.ranking.lists import labels_of
from model_export.ranking.matching import Brought, Choose, Matching

__all__ = ["ListMaker", "RankedLists"]


@dataclass(frozen=True)
class RankedLists:
    """The candidates of C histories, their features, and what of them was taken.

    Attributes
    ----------
    features : float32 (C, N, F), see features.py; zeros behind the last candidate.
    labels : float32 (C, N, T), 1 where the candidate was taken by that task.
    weights : float32 (C,), what each list weighs.
    """

    cases: Cases
    brought: Brought
    features: np.ndarray
    labels: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def real(self) -> np.ndarray:
        """Return where there is a candidate, bool (C, N)."""
        found: np.ndarray = self.brought.candidates >= 0
        return found

    def take(self, rows: np.ndarray | slice) -> "RankedLists":
        """Return some of the lists."""
        others = (self.features[rows], self.labels[rows], self.weights[rows])
        return RankedLists(self.cases.take(rows), self.brought.take(rows), *others)

    def first(self, n: int) -> "RankedLists":
        """Return the lists with their first n candidates only."""
        of_each = {"candidates": self.brought.candidates[:, :n], "bonus": self.brought.bonus[:, :n]}
        return replace(
            self,
            brought=replace(self.brought, **of_each),
            features=self.features[:, :n],
            labels=self.labels[:, :n],
        )


@dataclass(frozen=True)
class ListMaker:
    """What lists are made with.

    Attributes
    ----------
    tables : of the items; popularity and trend are put in as of each moment.
    task_of : int64 (types + 1,), the task of each row of the event types, -1 for none.
    type_weights : float32 (types + 1,), what a list weighs by the type of its first label.
    """

    matching: Matching
    as_of: AsOf
    tables: FeatureTables
    task_of: np.ndarray
    type_weights: np.ndarray

    def make(self, cases: Cases, n: int, choose: Choose | None = None) -> RankedLists:
        """Make the lists of cases; see `Matching.bring`."""
        brought = self.matching.bring(cases, n, choose)
        labels = labels_of(brought.candidates, cases, self.task_of)
        weights = self.type_weights[cases.label_types[:, 0]] if len(cases) else np.zeros(0, dtype=np.float32)
        return RankedLists(cases, brought, self._features(cases, brought), labels, weights)

    def _features(self, cases: Cases, brought: Brought) -> np.ndarray:
        """Compute the features of candidates as of when each history was asked: float32 (C, N, F)."""
        found = np.zeros((*brought.candidates.shape, len(FEATURES)), dtype=np.float32)
        vectors = self.matching.item_vectors
        for numbers, counts, trend in self.as_of.by_bucket(cases.asked_ms):
            tables = replace(self.tables, popularity=counts, trend=trend)
            for at in numbers.tolist():
                real, candidates = cases.mask[at], brought.candidates[at]
                some = candidates >= 0
                found[at, some] = compute_features(
                    tables,
                    vectors,
                    **_interests(brought, at),
                    history_rows=cases.history[at, real],
                    history_times_ms=cases.times[at, real],
                    asked_ms=int(cases.asked_ms[at]),
                    candidates=candidates[some],
                    bonus=brought.bonus[at, some],
                )
        return found


def _interests(brought: Brought, at: int) -> Mapping[str, np.ndarray]:
    """Return the capsules (K', d) that a user has, and their importance (K',)."""
    active = brought.active[at]
    return {"capsules": brought.capsules[at, active], "importance": brought.importance[at, active]}
