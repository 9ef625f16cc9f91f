"""What a bundle's ranker is; the manifest has it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model_export.bundle.ranking.feature_names import FEATURES

__all__ = ["INPUTS", "RankerSettings"]

# What a graph may read, by name.
INPUTS = ("behaviours", "mask", "gaps", "types", "profile", "candidates", "candidate_features", "capsules")


@dataclass(frozen=True)
class RankerSettings:
    """What the second stage is.

    Attributes
    ----------
    name : of the network, for people.
    dim : r, the width of its own item table.
    tasks : what each score is of, such as click and purchase.
    task_weights : by which serving joins them into one score; who asks may say others.
    history_length : L, the most recent behaviours that the graph reads.
    candidates : how many the matching stage brings, unless who asks says otherwise.
    reads : the graph's inputs, of INPUTS.
    features : the columns of candidate_features, in order.
    metrics : how good it was, for people.

    Raises
    ------
    ValueError
        Names what is not right, and what would be.
    """

    name: str
    dim: int
    tasks: list[str]
    task_weights: list[float]
    history_length: int
    candidates: int
    reads: list[str]
    features: list[str] = field(default_factory=lambda: list(FEATURES))
    metrics: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.tasks or len(set(self.tasks)) != len(self.tasks) or not all(self.tasks):
            raise ValueError(f"tasks are {self.tasks}; right are different names, at least one")
        if len(self.task_weights) != len(self.tasks):
            raise ValueError(f"task_weights are {self.task_weights}; right is one for each of {self.tasks}")
        if unknown := [name for name in self.reads if name not in INPUTS]:
            raise ValueError(f"reads {unknown[0]!r}; right are {', '.join(INPUTS)}")
        if list(self.features) != list(FEATURES):
            raise ValueError(f"features are {self.features}; this version of Mindstream computes {list(FEATURES)}")

    def weights(self, other: Mapping[str, float]) -> np.ndarray:
        """Return each task's share of the score, float32 (T,); those that are named weigh that.

        Their sizes sum to 1, so that a score is of the same size whatever the weights.

        Raises
        ------
        ValueError
            If there is no such task, or nothing weighs anything.
        """
        if unknown := [name for name in other if name not in self.tasks]:
            raise ValueError(f"tasks has {unknown[0]!r}; the ranker {self.name} has {', '.join(self.tasks)}")
        own = dict(zip(self.tasks, self.task_weights, strict=True))
        weights = np.array([other.get(name, own[name]) for name in self.tasks], dtype=np.float32)
        if not weights.any():
            raise ValueError(f"tasks are {dict(other)}, so no task of the ranker weighs anything; one at least must")
        shares: np.ndarray = weights / np.abs(weights).sum()
        return shares
