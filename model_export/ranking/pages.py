"""What a ranker does to a page, and how well it tells what was taken: NDCG@10, HR@10, MRR, AUC and GAUC."""

import numpy as np

from model_export.evaluation.metrics import metrics_per_case
from model_export.ranking.ranked_lists import RankedLists

__all__ = ["PAGE", "auc", "grouped_auc", "ordered", "page_metrics"]

PAGE = 10


def ordered(lists: RankedLists, scores: np.ndarray) -> np.ndarray:
    """Return the candidates of each list, the best first; -1 behind the last: int64 (C, N).

    Equal scores stay in the order in which matching brought them.

    Parameters
    ----------
    scores : float (C, N).
    """
    places = np.argsort(np.where(lists.real, -scores, np.inf), axis=1, kind="stable")
    return np.take_along_axis(lists.brought.candidates, places, 1)


def page_metrics(lists: RankedLists, scores: np.ndarray) -> dict[str, np.ndarray]:
    """Return NDCG@10, HR@10 and MRR of each list in the order of its scores.

    float64 (C,) each.

    Against all labels of the cases: what matching did not bring counts as missed. MRR is 1 / the place of the first
    label among all candidates, 0 where there is none.

    Parameters
    ----------
    scores : float (C, N).
    """
    top = ordered(lists, scores)
    found = metrics_per_case(top, lists.cases.labels, at=(PAGE,))
    return {"ndcg@10": found["ndcg@10"], "hr@10": found["hr@10"], "mrr": _reciprocal_rank(top, lists.cases.labels)}


def _reciprocal_rank(top: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return 1 / the place of the first label among candidates (C, N), float64 (C,).

    0 where there is none.
    """
    hits = np.zeros(top.shape, dtype=bool)
    for at in range(labels.shape[1]):  # a label at a time: all at once would be (C, N, Y)
        hits |= (top == labels[:, [at]]) & (top >= 0)
    return np.where(hits.any(1), 1 / (1 + hits.argmax(1)), 0.0)


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of pairs of one taken and one not that are in the right order.

    Equal scores count half.

    Parameters
    ----------
    scores : float (n,).
    labels : (n,), above 0 where it was taken.

    Returns
    -------
    NaN without such a pair
    """
    taken = labels > 0
    pairs = int(taken.sum()) * int((~taken).sum())
    if not pairs:
        return float("nan")
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]  # the mean rank of equal ones, from 1
    wins = ranks[taken].sum() - taken.sum() * (taken.sum() + 1) / 2
    return float(wins / pairs)


def grouped_auc(lists: RankedLists, scores: np.ndarray) -> float:
    """Return the mean AUC of the lists, each by the number of its candidates (GAUC).

    As in Zhou et al., "Deep Interest Network for Click-Through Rate Prediction", KDD 2018, where users weigh by what
    they were shown. Lists of which all or nothing was taken have none.

    Parameters
    ----------
    scores : float (C, N).
    """
    taken, real = lists.labels.max(2, initial=0), lists.real
    each = np.array([auc(one[some], its[some]) for one, its, some in zip(scores, taken, real, strict=True)])
    sizes = real.sum(1)
    known = ~np.isnan(each)
    return float((each[known] * sizes[known]).sum() / sizes[known].sum()) if known.any() else float("nan")
