"""What rankers gave on the test users, and how it compares: means, paired differences, who gains, how wide it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model_export.evaluation import metrics
from model_export.evaluation.cases import Cases
from model_export.evaluation.cosines import Cosines
from model_export.evaluation.rankers import Ranker

__all__ = [
    "RankerResult",
    "TrainingResult",
    "coverage",
    "diversity",
    "group_by_length",
    "mean_result",
    "measure_ranker",
    "paired_gain",
    "recall50",
]

N = 50
SHORTEST = (1, 6, 11, 20)  # behaviours of an input, from which each group of users begins

MetricsPerUser = dict[str, np.ndarray]  # metric -> float64 (C,)


@dataclass(frozen=True)
class RankerResult:
    """What a ranker gave on the test users.

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
    """What a training gave.

    Attributes
    ----------
    fresh : what it gives with routing logits drawn anew for each behaviour; None where the model draws none.
    """

    result: RankerResult
    fresh: RankerResult | None
    cosines: Cosines
    seconds_per_1000_steps: float


def measure_ranker(ranker: Ranker, test: Cases, valid: Cases) -> RankerResult:
    """Ask a ranker for the test cases, with and without what is in the history, and for the validation cases."""
    top, unseen = (ranker.top(test, N, unseen_only) for unseen_only in (False, True))
    chosen_by = metrics.metrics_per_case(ranker.top(valid, N, False), valid.labels, at=(N,))["recall@50"]
    of_all, of_unseen = (metrics.metrics_per_case(candidates, test.labels) for candidates in (top, unseen))
    return RankerResult(ranker.name, of_all, of_unseen, top, float(chosen_by.mean()) if len(valid) else np.nan)


def mean_result(name: str, results: Sequence[RankerResult]) -> RankerResult:
    """Each user's mean over several trainings; the candidates are those of the first."""
    names = results[0].metrics
    of_all = {metric: np.mean([result.metrics[metric] for result in results], axis=0) for metric in names}
    of_unseen = {metric: np.mean([result.unseen[metric] for result in results], axis=0) for metric in names}
    valid = float(np.mean([result.valid for result in results]))
    return replace(results[0], name=name, metrics=of_all, unseen=of_unseen, valid=valid)


def recall50(metrics_per_user: MetricsPerUser) -> float:
    """Mean recall@50 in %."""
    return 100 * float(metrics_per_user["recall@50"].mean())


def paired_gain(of: RankerResult, than: RankerResult) -> tuple[float, float, float]:
    """By how many points of recall@50 one is ahead of another, with the ends of the 95 % interval over users."""
    paired = {"recall@50": of.metrics["recall@50"] - than.metrics["recall@50"]}
    low, high = metrics.bootstrap_intervals(paired, seed=7)["recall@50"]
    return 100 * float(paired["recall@50"].mean()), 100 * low, 100 * high


def group_by_length(test: Cases) -> dict[str, np.ndarray]:
    """Users by the behaviours of their input, bool (C,); groups of nobody are left out."""
    lengths = test.mask.sum(1)
    ends = [*(start - 1 for start in SHORTEST[1:]), np.inf]
    found = {}
    for start, end in zip(SHORTEST, ends, strict=True):
        name = f"{start}-{end:.0f}" if end < np.inf else f"{start}"
        found[name] = (lengths >= start) & (lengths <= end)
    return {name: group for name, group in found.items() if group.any()}


def coverage(top: np.ndarray, items: int) -> float:
    """The share of all items that are among somebody's candidates (C, N), -1 where there is none."""
    return len(np.unique(top[top >= 0])) / items


def diversity(top: np.ndarray, vectors: np.ndarray) -> float:
    """How different a user's candidates are: mean of 1 - cosine over their pairs, and over users.

    Parameters
    ----------
    top : int64 (C, N), -1 where there is none.
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
