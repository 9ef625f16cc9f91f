"""A trained model on disk, with the settings that made it and all that export needs to know of its data."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model_export.dataset import Vocabulary
from model_export.mind import Mind, MindConfig


@dataclass(frozen=True)
class TrainingConfig:
    """How to train; the model's dimensions are in MindConfig.

    Attributes
    ----------
    steps : most steps; early stopping may end sooner.
    batch_size : (history, target) pairs a step.
    negatives : sampled negatives, shared by the pairs of a step.
    learning_rate : of Adam, falling to zero along a cosine over `steps`.
    validate_every : steps between two looks at the validation users.
    patience : looks without a better HR@50 before training stops.
    valid_share, test_share : shares of the users that are held out of training.
    seed : of everything that is drawn.
    max_seconds : training ends after this time at the latest. Only without it is the result the same on every machine.
    """

    steps: int = 3_000
    batch_size: int = 256
    negatives: int = 1_024
    learning_rate: float = 3e-3
    validate_every: int = 250
    patience: int = 4
    valid_share: float = 0.1
    test_share: float = 0.1
    seed: int = 7
    max_seconds: float | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A trained model with all that export and evaluation need to know of its data."""

    model: Mind
    vocabulary: Vocabulary
    popularity: np.ndarray  # int64 (items,), interactions of each item in the log
    catalogue: dict[str, list[Any]]  # title, category, price, in the order of the vocabulary's items
    data: dict[str, Any]  # source, number of events and users, first and last event
    training: TrainingConfig
    validation: dict[str, float] = field(default_factory=dict)


def new_model(config: MindConfig, vocabulary: Vocabulary) -> Mind:
    """An untrained model with the tables that the vocabulary needs (one more row for "unknown" in each)."""
    return Mind(
        config,
        torch.from_numpy(vocabulary.item_features),
        vocabulary.feature_values,
        [len(values) + 1 for values in vocabulary.profile_fields.values()],
    )


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint to one file, whole or not at all."""
    vocabulary = checkpoint.vocabulary
    content = {
        "config": asdict(checkpoint.model.config),
        "weights": checkpoint.model.state_dict(),
        "vocabulary": {**vars(vocabulary), "item_features": torch.from_numpy(vocabulary.item_features)},
        "popularity": torch.from_numpy(checkpoint.popularity),
        "catalogue": checkpoint.catalogue,
        "data": checkpoint.data,
        "training": asdict(checkpoint.training),
        "validation": checkpoint.validation,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    torch.save(content, partial)
    partial.replace(path)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint that `save` wrote.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing, or is no checkpoint.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; `python -m model_export train` writes checkpoints")
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        parts = content["vocabulary"]
        vocabulary = Vocabulary(**{**parts, "item_features": parts["item_features"].numpy()})
        model = new_model(MindConfig(**content["config"]), vocabulary)
        model.load_state_dict(content["weights"])
        return Checkpoint(
            model=model,
            vocabulary=vocabulary,
            popularity=content["popularity"].numpy(),
            catalogue=content["catalogue"],
            data=content["data"],
            training=TrainingConfig(**content["training"]),
            validation=content["validation"],
        )
    except Exception as error:  # torch raises many kinds on a file that is not one of its own, some with long advice
        raise ValueError(
            f"{path} is not a checkpoint that this version of `python -m model_export train` wrote"
        ) from error
