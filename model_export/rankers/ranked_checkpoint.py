"""A trained ranker as a checkpoint keeps it."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from model_export.data.dataset import Vocabulary
from model_export.rankers.ranker_config import RankerConfig
from model_export.rankers.ranking_model import RankingModel

__all__ = ["RankedCheckpoint", "new_ranker", "ranker_content", "read_ranker"]

PLAIN = ("task_weights", "candidates", "metrics", "training")


@dataclass(frozen=True)
class RankedCheckpoint:
    """A trained ranker with what export needs beside it.

    Attributes
    ----------
    task_weights : of the model's tasks, as serving joins their scores.
    trend : float32 (items,), of each item at the end of the log.
    candidates : how many serving ranks by default.
    metrics : what was measured, name -> figure, for people.
    training : the settings of its training, for people.
    """

    model: RankingModel
    task_weights: list[float]
    trend: np.ndarray
    candidates: int
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


def new_ranker(config: RankerConfig, vocabulary: Vocabulary) -> RankingModel:
    """Make an untrained ranking model with the tables that the vocabulary needs."""
    return RankingModel(
        config,
        torch.from_numpy(vocabulary.item_features),
        vocabulary.feature_values,
        [len(values) + 1 for values in vocabulary.profile_fields.values()],
        None if vocabulary.item_vectors is None else torch.from_numpy(vocabulary.item_vectors),
    )


def ranker_content(ranker: RankedCheckpoint | None) -> dict[str, Any] | None:
    """Return a ranker as torch.save keeps it."""
    if ranker is None:
        return None
    return {
        "config": asdict(ranker.model.config),
        "weights": ranker.model.state_dict(),
        "trend": torch.from_numpy(ranker.trend),
        **{name: getattr(ranker, name) for name in PLAIN},
    }


def read_ranker(content: dict[str, Any] | None, vocabulary: Vocabulary) -> RankedCheckpoint | None:
    """Read what `ranker_content` wrote."""
    if content is None:
        return None
    config: dict[str, Any] = {
        name: tuple(part) if isinstance(part, list) else part for name, part in content["config"].items()
    }
    model = new_ranker(RankerConfig(**config), vocabulary)
    model.load_state_dict(content["weights"])
    return RankedCheckpoint(model.eval(), trend=content["trend"].numpy(), **{name: content[name] for name in PLAIN})
