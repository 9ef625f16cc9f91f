"""Results of rankers on the test users, and their comparison: means, paired gains, groups, coverage, diversity."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model_export.evaluation import metrics
from model_export.evaluation.cases import Cases
from model_export.evaluation.cosines import Cosines
from model_export.evaluation.rankers import Ranker

__all__ = [
    "METRICS_COMPARED",
    "RankerResult",
    "TrainingResult",
    "coverage",
    "diversity",
    "group_by_length",
    "mean_percent",
    "mean_result",
    "mean_with_interval",
    "measure_ranker",
    "paired_gain",
]

N = 50
METRICS_COMPARED = {"recall@50": "R@50", "recall@20": "R@20", "ndcg@10": "NDCG@10"}  # who is ahead, by each
SHORTEST = (1, 6, 11, 20)  # behaviours of an input, from which each group of users begins

MetricsPerUser = dict[str, np.ndarray]  # metric -> float64 (C,)


@dataclass(frozen=True)
class RankerResult:
    """Results of a ranker on the test users.

    Attributes
    ----------
    metrics : every metric of every user.
    unseen : likewise, with the items of the input left out.
    top : int64 (C, N), the candidates.
    valid : recall@50 of the validation users, by whom settings are chosen.
    """

    name: str
    metrics: MetricsPerUser
    unseen: MetricsPerUser
    top: np.ndarray
    valid: float


@dataclass(frozen=True)
class TrainingResult:
    """Results of one training.

    Attributes
    ----------
    fresh : what it gives with routing logits drawn anew for each behaviour; None if the model draws none.
    """

    result: RankerResult
    fresh: RankerResult | None
    cosines: Cosines
    seconds_per_1000_steps: float


def measure_ranker(ranker: Ranker, test: Cases, valid: Cases) -> RankerResult:
    """Measure a ranker on the test cases, with and without seen items, and on validation."""
    top, unseen = (ranker.top(test, N, unseen_only) for unseen_only in (False, True))
    chosen_by = metrics.metrics_per_case(ranker.top(valid, N, False), valid.labels, at=(N,))["recall@50"]
    of_all, of_unseen = (metrics.metrics_per_case(candidates, test.labels) for candidates in (top, unseen))
    return RankerResult(ranker.name, of_all, of_unseen, top, float(chosen_by.mean()) if len(valid) else np.nan)


def mean_result(name: str, results: Sequence[RankerResult]) -> RankerResult:
    """Return each user's mean over several trainings; the candidates are the first's."""
    names = results[0].metrics
    of_all = {metric: np.mean([result.metrics[metric] for result in results], axis=0) for metric in names}
    of_unseen = {metric: np.mean([result.unseen[metric] for result in results], axis=0) for metric in names}
    valid = float(np.mean([result.valid for result in results]))
    return replace(results[0], name=name, metrics=of_all, unseen=of_unseen, valid=valid)


def mean_percent(metrics_per_user: MetricsPerUser, metric: str = "recall@50") -> float:
    """Return the mean of a metric in %."""
    return 100 * float(metrics_per_user[metric].mean())


def mean_with_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Return the mean of each user's values in %, and the ends of its 95 % bootstrap interval.

    Parameters
    ----------
    values : float (C,), from 0 to 1, or differences of such.
    """
    low, high = metrics.bootstrap_intervals({"it": values}, seed=7)["it"]
    return 100 * float(values.mean()), 100 * low, 100 * high


def paired_gain(ranker: RankerResult, other: RankerResult, metric: str = "recall@50") -> tuple[float, float, float]:
    """Return the gain in a metric of one ranker over another, and its 95 % interval.

    Returns
    -------
    points, and the ends of the interval over users
    """
    return mean_with_interval(ranker.metrics[metric] - other.metrics[metric])


def group_by_length(test: Cases) -> dict[str, np.ndarray]:
    """Group users by the behaviours of their input; groups of nobody are left out.

    Returns
    -------
    name -> bool (C,)
    """
    lengths = test.mask.sum(1)
    ends = [*(start - 1 for start in SHORTEST[1:]), np.inf]
    found = {}
    for start, end in zip(SHORTEST, ends, strict=True):
        name = f"{start}-{end:.0f}" if end < np.inf else f"{start}"
        found[name] = (lengths >= start) & (lengths <= end)
    return {name: group for name, group in found.items() if group.any()}


def coverage(top: np.ndarray, num_items: int) -> float:
    """Return the share of all items that are among somebody's candidates.

    Parameters
    ----------
    top : int64 (C, N), -1 for a missing candidate.
    """
    return len(np.unique(top[top >= 0])) / num_items


def diversity(top: np.ndarray, vectors: np.ndarray) -> float:
    """Return the mean of 1 - cosine over the pairs of a user's candidates, and over users.

    Parameters
    ----------
    top : int64 (C, N), -1 for a missing candidate.
    vectors : float (items, d), of length 1, and of no model that is compared.
    """
    found = []
    for rows in top:
        some = vectors[rows[rows >= 0]]
        pairs = len(some) * (len(some) - 1)
        if pairs:
            total = np.square(some.sum(0)).sum() - np.square(some).sum()  # each pair twice, none with itself
            found.append(1 - total / pairs)
    return float(np.mean(found)) if found else np.nan
