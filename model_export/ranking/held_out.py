"""What the features weigh beside the network, fitted on users whom no part of the model has seen.

The matching model has seen the targets of the training users, so what it says of them is too good, and a network that
read it in training would trust it too much. Validation users fit the few weights that join it to the network's score.
The features that the network has read get a weight there too: beside matching's they count otherwise than without.
"""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model_export.bundle.ranking.features import FEATURES
from model_export.rankers.ranking_model import RankingModel
from model_export.ranking.inputs import score_lists
from model_export.ranking.losses import joined, listwise_softmax
from model_export.ranking.pages import page_metrics
from model_export.ranking.ranked_lists import RankedLists

__all__ = ["fit_held_out", "mean_ndcg"]

MATCHING = FEATURES.index("matching")
ITERATIONS = 100

log = logging.getLogger(__name__)


def fit_held_out(
    model: RankingModel, questions: Sequence[RankedLists], task_weights: np.ndarray, ridge: float
) -> dict[str, float]:
    """Fit the scale of a trained network and the weights of the features beside it.

    By the softmax over each list with a ridge, on lists of the matching stage. Of that, the network alone and
    matching's own order the one with the best NDCG@10 is kept; so the order is never behind matching's on these lists.

    Parameters
    ----------
    questions : lists of validation users, such as of the time ahead and the next behaviour; each counts alike.
    task_weights : float (T,).

    Returns
    -------
    name of each order that was compared -> its NDCG@10; empty without anybody to ask
    """
    questions = [some for some in questions if len(some)]
    if not questions:
        return {}
    tasks, features = model.held_out_weights.shape
    matching_alone = torch.zeros(tasks, features)
    matching_alone[:, MATCHING] = 1
    found: dict[str, float] = {}
    tried = {
        "matching": (torch.zeros(()), matching_alone),
        "network": (torch.ones(()), torch.zeros(tasks, features)),
        "both": _fitted(model, questions, task_weights, ridge),
    }
    for name, weights in tried.items():
        _set(model, *weights)
        found[name] = float(np.mean([mean_ndcg(some, score_lists(model, some), task_weights) for some in questions]))
    best = max(found, key=lambda name: found[name])
    _set(model, *tried[best])
    if best == "matching":
        log.warning("the ranker orders the validation users' lists no better than matching: its network is left out")
    return found


def mean_ndcg(lists: RankedLists, scores: np.ndarray, task_weights: np.ndarray) -> float:
    """Return the mean NDCG@10 of lists in the order of their joined scores.

    Parameters
    ----------
    scores : float (C, N, T).
    """
    return float(page_metrics(lists, joined(scores, task_weights))["ndcg@10"].mean())


@torch.no_grad()
def _set(model: RankingModel, scale: Tensor, weights: Tensor) -> None:
    """Set the scale of the network and the weights of the features beside it."""
    model.network_scale.copy_(scale)
    model.held_out_weights.copy_(weights)


def _fitted(
    model: RankingModel, questions: Sequence[RankedLists], task_weights: np.ndarray, ridge: float
) -> tuple[Tensor, Tensor]:
    """Return the scale () and the weights (T, F) that fit these lists best."""
    scale = torch.ones((), requires_grad=True)
    weights = torch.zeros(model.held_out_weights.shape, requires_grad=True)
    asked = [_tensors(model, some, task_weights) for some in questions]
    of_tasks = torch.from_numpy(task_weights)
    optimizer = torch.optim.LBFGS([scale, weights], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = ridge * ((scale - 1).square() + weights.square().sum())
        for network, features, relevance, real in asked:
            scores = joined(scale * network + features @ weights.T, of_tasks)
            total = total + listwise_softmax(scores, relevance, real, torch.ones(len(scores))) / len(asked)
        total.backward()
        return total

    optimizer.step(loss)
    return scale.detach(), weights.detach()


@torch.no_grad()
def _tensors(
    model: RankingModel, lists: RankedLists, task_weights: np.ndarray
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what the weights are fitted to.

    The network's scores (C, N, T), standardised features (C, N, F), relevance (C, N), and whether a place
    has a candidate, bool (C, N).
    """
    features = model.standardised(torch.from_numpy(lists.features).to(model.feature_mean.device)).cpu()
    relevance = torch.from_numpy(lists.labels @ task_weights)
    network = torch.from_numpy(score_lists(model, lists, network_only=True))
    return network, features, relevance, torch.from_numpy(lists.real)
