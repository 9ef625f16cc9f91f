"""A ranker on the pages of test users: beside max-sim's order and matching's own, on the same candidates."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model_export.bundle.ranking.features import FEATURES
from model_export.data.interactions import InteractionLog
from model_export.evaluation.metrics import bootstrap_intervals
from model_export.models.checkpoint import Checkpoint
from model_export.rankers.ranked_checkpoint import RankedCheckpoint
from model_export.ranking.inputs import score_lists
from model_export.ranking.losses import joined
from model_export.ranking.pages import auc, grouped_auc, page_metrics
from model_export.ranking.ranked_lists import RankedLists
from model_export.ranking.second_stage import SecondStage

__all__ = [
    "KINDS",
    "ORDERS",
    "PageResult",
    "joined_scores",
    "measure_order",
    "order_by_feature",
    "paired_gain",
    "task_figures",
    "with_page_metrics",
]

ORDERS = {"max-sim": "max_sim", "matching": "matching"}  # name -> the feature that orders so
TOP = 200
MOST_LISTS = 2_000
KINDS = ("ahead", "next")  # of questions, see SecondStage.questions


@dataclass(frozen=True)
class PageResult:
    """What an order of candidates does to the pages of test users.

    Attributes
    ----------
    per_list : NDCG@10, HR@10 and MRR of each list, float64 (C,).
    auc, gauc : over all candidates, and each list's own; see pages.py.
    """

    name: str
    per_list: Mapping[str, np.ndarray]
    auc: float
    gauc: float

    def figures(self) -> dict[str, float]:
        """Return the means over lists, and AUC and GAUC, from 0 to 1."""
        return {name: float(each.mean()) for name, each in self.per_list.items()} | {"auc": self.auc, "gauc": self.gauc}


def measure_order(name: str, lists: RankedLists, scores: np.ndarray, task: int | None = None) -> PageResult:
    """Measure an order of lists.

    Parameters
    ----------
    scores : float (C, N).
    task : only what was taken by this task counts, of lists that have such; None: all.
    """
    if task is not None:
        lists, scores = of_task(lists, scores, task)
    taken = lists.labels.max(2, initial=0)
    per_list = page_metrics(lists, scores)
    return PageResult(name, per_list, auc(scores[lists.real], taken[lists.real]), grouped_auc(lists, scores))


def of_task(lists: RankedLists, scores: np.ndarray, task: int) -> tuple[RankedLists, np.ndarray]:
    """Return the lists in which something was taken by a task among the candidates.

    With the labels of that task alone.
    """
    rows = np.flatnonzero(lists.labels[:, :, task].any(1))
    some = lists.take(rows)
    taken = some.labels[:, :, [task]]  # (C', N, 1)
    labels = np.where(taken[:, :, 0] > 0, some.brought.candidates, -1)
    cases = replace(some.cases, labels=labels, label_types=np.zeros(1, dtype=np.int64))
    return replace(some, cases=cases, labels=taken), scores[rows]


def order_by_feature(lists: RankedLists, feature: str) -> np.ndarray:
    """Return a feature of all candidates as their scores, float32 (C, N)."""
    return lists.features[..., FEATURES.index(feature)]


def paired_gain(one: PageResult, other: PageResult, metric: str = "ndcg@10") -> tuple[float, float, float]:
    """Return the gain of one order over another on the same lists.

    With its 95 % bootstrap interval over lists.
    """
    gains = np.asarray(one.per_list[metric] - other.per_list[metric])
    low, high = bootstrap_intervals({"it": gains}, seed=7)["it"]
    return float(gains.mean()), low, high


def joined_scores(ranker: RankedCheckpoint, lists: RankedLists) -> np.ndarray:
    """Return a ranker's one score of each candidate, float (C, N), by its own task weights."""
    return joined(score_lists(ranker.model, lists), np.array(ranker.task_weights, dtype=np.float32))


def with_page_metrics(checkpoint: Checkpoint, events: InteractionLog, most: int = MOST_LISTS) -> Checkpoint:
    """Return a checkpoint whose ranker has its figures on test users' pages.

    They are for the card.

    Unchanged without a ranker.

    Parameters
    ----------
    events : the behaviours that the checkpoint was trained on.
    most : most lists of each kind.
    """
    ranker = checkpoint.ranker
    if ranker is None:
        return checkpoint
    stage = SecondStage.of(checkpoint, events)
    questions = stage.questions(stage.split.test, most, TOP, checkpoint.training.seed)
    checkpoint.model.cpu()
    found = {kind: _compared(ranker, lists) for kind, lists in zip(KINDS, questions, strict=True) if len(lists)}
    metrics = ranker.metrics | {"test": found}
    return replace(checkpoint, ranker=replace(ranker, metrics=metrics))


def _compared(ranker: RankedCheckpoint, lists: RankedLists) -> dict[str, Any]:
    """Return the figures of a ranker beside max-sim's and matching's order.

    With its gains over them, and NDCG@10 by task where there are several.
    """
    mine = measure_order(ranker.model.config.name, lists, joined_scores(ranker, lists))
    others = [measure_order(name, lists, order_by_feature(lists, feature)) for name, feature in ORDERS.items()]
    return {
        "lists": len(lists),
        "orders": {one.name: one.figures() for one in (mine, *others)},
        "gains": {other.name: list(paired_gain(mine, other)) for other in others},
        "tasks": task_figures(ranker, lists),
    }


def task_figures(ranker: RankedCheckpoint, lists: RankedLists) -> dict[str, dict[str, float]]:
    """Return NDCG@10 of the joined order by task: task -> order -> figure.

    Nothing where there is one task; tasks that nobody did are left out.
    """
    tasks = ranker.model.config.tasks
    if len(tasks) == 1:
        return {}
    scores = {ranker.model.config.name: joined_scores(ranker, lists)}
    scores |= {name: order_by_feature(lists, feature) for name, feature in ORDERS.items()}
    return {
        name: {order: measure_order(order, lists, its, task).figures()["ndcg@10"] for order, its in scores.items()}
        for task, name in enumerate(tasks)
        if lists.labels[:, :, task].any()
    }
