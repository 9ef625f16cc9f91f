"""The orders of one question's candidates: each ranker's, LambdaMART's, item-kNN's, matching's own, max-sim's."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from model_export.bundle.scoring.neighbours import Blend, NeighbourScores
from model_export.rankers.ranked_checkpoint import RankedCheckpoint
from model_export.ranking.evaluation import ORDERS, PageResult, joined_scores, measure_order, order_by_feature
from model_export.ranking.lambdamart import LambdaMart
from model_export.ranking.ranked_lists import RankedLists

__all__ = ["KNN", "knn_order", "lambdamart_or_none", "mean_of_seeds", "measure_orders", "scores_by_order"]

KNN = "item-kNN"

log = logging.getLogger(__name__)


def scores_by_order(
    lists: RankedLists,
    rankers: Mapping[str, RankedCheckpoint],
    trees: LambdaMart | None,
    neighbours: NeighbourScores | None,
) -> dict[str, np.ndarray]:
    """Score the same lists by every order: name -> float (C, N), the rankers first.

    Parameters
    ----------
    trees : None: LightGBM is not installed.
    neighbours : of the checkpoint; None: it has none, and item-kNN no order.
    """
    scores = {name: joined_scores(ranker, lists) for name, ranker in rankers.items()}
    if trees is not None:
        scores[trees.name] = trees.scores(lists)
    if neighbours is not None:
        scores[KNN] = knn_order(neighbours, lists)
    return scores | {name: order_by_feature(lists, feature) for name, feature in ORDERS.items()}


def measure_orders(
    lists: RankedLists, scores: Mapping[str, np.ndarray], task: int | None = None
) -> dict[str, PageResult]:
    """Measure every order of the same lists: name -> result.

    Parameters
    ----------
    scores : see `scores_by_order`.
    task : only what was taken by this task counts; None: all.
    """
    return {name: measure_order(name, lists, one, task) for name, one in scores.items()}


def knn_order(neighbours: NeighbourScores, lists: RankedLists) -> np.ndarray:
    """Return item-kNN's scores of all candidates, float32 (C, N).

    Those that are no neighbours have 0. By the settings that were tuned for the blend, and the most similar items that
    it keeps of each.
    """
    blend = neighbours.blend
    alone = replace(neighbours, blend=Blend(1.0, blend.decay, blend.length))
    cases, candidates = lists.cases, lists.brought.candidates
    asked = zip(cases.history, cases.mask, candidates, strict=True)
    return np.array([alone.raised(rows[mask]).of(some) for rows, mask, some in asked]).reshape(candidates.shape)


def lambdamart_or_none(questions: Sequence[RankedLists], task_weights: np.ndarray, seed: int) -> LambdaMart | None:
    """Train LambdaMART on lists of validation users.

    None where LightGBM is not installed, which is said.
    """
    try:
        return LambdaMart(questions, task_weights, seed)
    except ImportError as error:
        log.warning("%s", error)
        return None


def mean_of_seeds(results: Sequence[Mapping[str, PageResult]]) -> dict[str, PageResult]:
    """Return the mean of each order over several trainings, list by list."""
    found = {}
    for name, first in results[0].items():
        of_it = [one[name] for one in results]
        per_list = {metric: np.mean([one.per_list[metric] for one in of_it], axis=0) for metric in first.per_list}
        auc, gauc = (float(np.mean([getattr(one, what) for one in of_it])) for what in ("auc", "gauc"))
        found[name] = PageResult(name, per_list, auc, gauc)
    return found
