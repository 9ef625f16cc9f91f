"""The choice of the blend on the validation users: how much item-kNN's neighbours count beside max-sim.

The weight with the best top of the list and the best depth together is kept: by depth alone it would be too large where
own items count, by the top alone too small elsewhere. Neighbours get no weight where they do not help, and so large a
one that the list is item-kNN's where the model has learned little.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch

from model_export.bundle.scoring.neighbours import Blend, NeighbourScores
from model_export.bundle.scoring.raised_items import RaisedItems
from model_export.evaluation.cases import Cases
from model_export.evaluation.item_knn import ItemKnn
from model_export.evaluation.metrics import metrics_per_case
from model_export.evaluation.model_ranker import capsules_of, rank_by_model
from model_export.evaluation.rankers import top_columns
from model_export.models.interest_model import InterestModel

__all__ = ["POWERS", "UNTUNED", "WEIGHTS", "tune_blend"]

NEIGHBOURS = 50  # of each item
WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.8, 2.0, 5.0)  # beside cosines; with the last they come first
POWERS = (1.0, 0.5)
UNTUNED = (0.2, 0.5)  # weight and power where there is nobody to choose by
TOP_N = 50
LEAST = 1e-9  # a metric, to take the logarithm of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Candidates:
    """The items of each case that may be among its best with any weight.

    Attributes
    ----------
    labels : int64 (C, Y), of the cases.
    rows : int64 (C, R), items; -1 behind the last.
    scores : float32 (C, R), without neighbours; minus infinity behind the last.
    shares : float32 (C, R), neighbour scores as shares of each user's largest.
    """

    labels: np.ndarray
    rows: np.ndarray
    scores: np.ndarray
    shares: np.ndarray

    def quality(self, weight: float, power: float) -> float:
        """Return the mean logarithm of recall and NDCG, at depth and at the top, with this blend."""
        best = top_columns(self.scores + weight * self.shares**power, TOP_N)
        top = np.where(best >= 0, np.take_along_axis(self.rows, np.maximum(best, 0), 1), -1)
        found = metrics_per_case(top, self.labels, at=(10, 20, TOP_N))
        means = [found[name].mean() for name in ("recall@50", "recall@20", "ndcg@10")]
        return float(np.mean(np.log(np.maximum(means, LEAST))))


def tune_blend(model: InterestModel, knn: ItemKnn, questions: Sequence[Cases]) -> NeighbourScores:
    """Choose how item-kNN's neighbours count beside a model's max-sim.

    Parameters
    ----------
    knn : tuned on the same users.
    questions : what is asked of the validation users, such as the time ahead and the next behaviour; each counts alike.
        Without any the blend is UNTUNED.

    Returns
    -------
    neighbours and blend; of the same quality with a smaller weight, the smaller
    """
    settings = knn.settings
    tried = [_neighbours(knn, own) for own in dict.fromkeys((settings.own, 0.0))]
    if not all(map(len, questions)):
        weight, power = UNTUNED
        return replace(tried[0], blend=replace(tried[0].blend, weight=weight, power=power))
    best, chosen = -np.inf, tried[0]
    for neighbours in tried:
        asked = [_candidates(model, neighbours, cases) for cases in questions]
        for weight, power in product(WEIGHTS, POWERS):
            quality = float(np.mean([one.quality(weight, power) for one in asked]))
            if quality > best:
                best, chosen = quality, replace(neighbours, blend=replace(neighbours.blend, weight=weight, power=power))
    log.info("an item's best neighbour counts %g beside max-sim, by the validation users", chosen.blend.weight)
    return chosen


def _neighbours(knn: ItemKnn, own: float) -> NeighbourScores:
    """Return item-kNN's neighbours with plain shares as their scores.

    Parameters
    ----------
    own : what an item is to itself, as a share of the largest similarity.
    """
    settings = knn.settings
    return NeighbourScores(*knn.neighbours(NEIGHBOURS, own), Blend(1.0, settings.decay, settings.length))


@torch.no_grad()
def _candidates(model: InterestModel, neighbours: NeighbourScores, cases: Cases) -> _Candidates:
    """Collect the best items of each case by the model, and all neighbours of its history."""
    table = model.item_table()
    top = rank_by_model(model, cases, TOP_N)
    raised = [neighbours.raised(rows[mask]) for rows, mask in zip(cases.history, cases.mask, strict=True)]
    rows = [np.union1d(best[best >= 0], near.rows) for best, near in zip(top, raised, strict=True)]
    shape = len(cases), max(map(len, rows))
    found = _Candidates(
        cases.labels, np.full(shape, -1), np.full(shape, -np.inf, np.float32), np.zeros(shape, np.float32)
    )
    for at in range(0, len(cases), 256):
        some = cases.take(slice(at, at + 256))
        capsules, active = capsules_of(model, table, some)
        for case, mine in enumerate(rows[at : at + 256], start=at):
            place, count = case - at, len(mine)
            its = (capsules[place, active[place]] @ table[torch.from_numpy(mine)].T).amax(0).cpu().numpy()
            found.rows[case, :count] = mine
            found.scores[case, :count] = its + _own(model, some, place, mine)
            found.shares[case, :count] = _among(raised[case], mine)
    return found


def _own(model: InterestModel, cases: Cases, place: int, rows: np.ndarray) -> np.ndarray:
    """Return the repeat bonus of items (R,), ascending, for one case, float32 (R,)."""
    history, mask = cases.history[place][None], cases.mask[place][None]
    places = np.minimum(np.searchsorted(rows, history), len(rows) - 1)
    is_there = torch.from_numpy(mask & (rows[places] == history))
    bonus = model.repeat_scores(torch.from_numpy(places), is_there, len(rows))
    return np.zeros(len(rows), np.float32) if bonus is None else bonus[0].cpu().numpy()


def _among(raised: RaisedItems, rows: np.ndarray) -> np.ndarray:
    """Return what items (R,), ascending, are raised by, float32 (R,)."""
    bonus = np.zeros(len(rows), dtype=np.float32)
    bonus[np.searchsorted(rows, raised.rows)] = raised.bonus
    return bonus
