"""Recall, HitRate and NDCG of top-N candidates: of each case, their means and the means' confidence intervals."""

import numpy as np

__all__ = ["CUTOFFS", "bootstrap_intervals", "mean_metrics", "metrics_per_case"]

CUTOFFS = (10, 20, 50)  # what people see first, what they scroll to, what a ranker is given
BATCH = 2_048  # cases; bounds the memory where users have thousands of labels


def metrics_per_case(top: np.ndarray, labels: np.ndarray, at: tuple[int, ...] = CUTOFFS) -> dict[str, np.ndarray]:
    """Return Recall@N, HR@N and NDCG@N of each case.

    Recall: the distinct labels found over all labels, repeats counted, as in the published code of ComiRec (Cen et
    al., KDD 2020). HR: 1 with at least one label among the top N. NDCG: the sum of 1 / log2(rank + 1) over the hits,
    over the best that this many distinct labels allow in N places.

    Parameters
    ----------
    top : int64 (C, n), distinct item rows, best first, -1 for a missing candidate.
    labels : int64 (C, Y), -1 at padding; every case has one or more.
    at : the N.

    Returns
    -------
    metric, such as "recall@50" -> float64 (C,), between 0 and 1
    """
    names = [f"{name}@{n}" for n in at for name in ("recall", "hr", "ndcg")]
    found = [_batch_metrics(top[i : i + BATCH], labels[i : i + BATCH], at) for i in range(0, len(top), BATCH)]
    columns = np.concatenate([*found, np.zeros((0, len(names)))])
    return dict(zip(names, columns.T, strict=True))


def _batch_metrics(top: np.ndarray, labels: np.ndarray, at: tuple[int, ...]) -> np.ndarray:
    """Return the metrics of some cases, float64 (C, 3 * len(at)): recall, hr, ndcg per N."""
    hits, distinct = _find_hits(top, labels)
    number = (labels >= 0).sum(1)  # (C,)
    discounts = 1 / np.log2(np.arange(max(at)) + 2)
    columns = []
    for n in at:
        hits_at_n = hits[:, :n]
        ideal = np.cumsum(discounts)[np.minimum(distinct, n) - 1]
        gained = hits_at_n @ discounts[: hits_at_n.shape[1]]
        columns += [hits_at_n.sum(1) / number, hits_at_n.any(1).astype(float), gained / ideal]
    return np.stack(columns, 1)


def _find_hits(top: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the candidates that are labels, bool (C, n), and each case's distinct labels.

    The latter as their number, int64 (C,).

    Pairs of case and item are looked up among sorted pairs: comparing every candidate with every label would take
    C * n * Y bytes.
    """
    span = max(top.max(initial=0), labels.max(initial=0)) + 1
    real = labels >= 0
    case = np.arange(len(labels))[:, None] * span  # (C, 1)
    wanted = np.unique((case + labels)[real])
    hits = np.isin(case + top, wanted) & (top >= 0)
    return hits, np.bincount(wanted // span, minlength=len(labels))


def mean_metrics(per_case: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the mean of each metric over the cases.

    Parameters
    ----------
    per_case : see `metrics_per_case`.
    """
    return {name: float(values.mean()) for name, values in per_case.items()}


def bootstrap_intervals(
    per_case: dict[str, np.ndarray], seed: int, draws: int = 1_000, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Return bootstrap percentile intervals of the means over cases.

    Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 1979.

    Each draw takes as many cases as there are, with replacement. All metrics share the draws, and the same seed gives
    rankers of the same cases the same draws.

    Parameters
    ----------
    per_case : see `metrics_per_case`.

    Returns
    -------
    metric -> lower and upper end
    """
    values = np.stack(list(per_case.values()), 1)  # (C, metrics)
    cases, rng = len(values), np.random.default_rng(seed)
    drawn = np.empty((draws, values.shape[1]))
    for draw in range(draws):  # one at a time: all at once would take draws * C numbers
        times = np.bincount(rng.integers(cases, size=cases), minlength=cases)
        drawn[draw] = times @ values / cases
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {name: (float(a), float(b)) for name, a, b in zip(per_case, low, high, strict=True)}
