"""A trained model on disk, with its settings and all that export and evaluation need to know of its data."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model_export.bundle.bundle import draw_routing_logits
from model_export.bundle.scoring.neighbours import Blend, NeighbourScores
from model_export.data.dataset import Vocabulary
from model_export.models.interest_model import InterestModel
from model_export.models.model_config import ModelConfig
from model_export.models.training_config import TrainingConfig
from model_export.rankers.ranked_checkpoint import RankedCheckpoint, ranker_content, read_ranker

__all__ = ["Checkpoint", "KeptHistory", "load", "new_model", "save", "write"]

KeptHistory = tuple[list[str], list[int], list[str]]  # item_ids, event_times_ms and event types, (T,) each
PLAIN = ("validation", "steps", "seconds", "figures", "histories")  # parts that are kept as they are


@dataclass(frozen=True)
class Checkpoint:
    """A trained model with all that export and evaluation need to know of its data."""

    model: InterestModel
    vocabulary: Vocabulary
    popularity: np.ndarray  # int64 (items,), interactions of each item in the log
    catalogue: dict[str, list[Any]]  # title, category, price, in the order of the vocabulary's items
    data: dict[str, Any]  # source, number of events and users, first and last event
    training: TrainingConfig
    validation: dict[str, float] = field(default_factory=dict)
    steps: int = 0  # that were taken
    seconds: float = 0.0  # that they took
    figures: list[dict[str, Any]] = field(default_factory=list)  # see `with_test_metrics` in evaluate.py
    # Of some held-out users; "" where an event type is not known. An index is measured with them.
    histories: list[KeptHistory] = field(default_factory=list)
    neighbours: NeighbourScores | None = None  # that count beside max-sim
    ranker: RankedCheckpoint | None = None  # the second stage


def new_model(config: ModelConfig, vocabulary: Vocabulary) -> InterestModel:
    """Make an untrained model with the tables that the vocabulary needs.

    Each table has one more row, for "unknown".
    """
    logits = draw_routing_logits(vocabulary.item_ids, config.num_interests, config.routing_sigma)
    return InterestModel(
        config,
        torch.from_numpy(vocabulary.item_features),
        vocabulary.feature_values,
        [len(values) + 1 for values in vocabulary.profile_fields.values()],
        torch.from_numpy(logits),
        None if vocabulary.item_vectors is None else torch.from_numpy(vocabulary.item_vectors),
    )


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint to one file, whole or not at all."""
    vocabulary = checkpoint.vocabulary
    content = {
        "config": asdict(checkpoint.model.config),
        "weights": checkpoint.model.state_dict(),
        "vocabulary": {
            name: torch.from_numpy(part) if isinstance(part, np.ndarray) else part
            for name, part in vars(vocabulary).items()
        },
        "popularity": torch.from_numpy(checkpoint.popularity),
        "catalogue": checkpoint.catalogue,
        "data": checkpoint.data,
        "training": asdict(checkpoint.training),
        "neighbours": _neighbours_content(checkpoint.neighbours),
        "ranker": ranker_content(checkpoint.ranker),
        **{name: getattr(checkpoint, name) for name in PLAIN},
    }
    write(content, path)


def write(content: dict[str, Any], path: Path) -> None:
    """Write content to a file by torch.save, whole or not at all."""
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
        raise FileNotFoundError(f"{path} does not exist; `mindstream model train` writes checkpoints")
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        parts: dict[str, Any] = content["vocabulary"]
        vocabulary = Vocabulary(**{name: _as_array(part) for name, part in parts.items()})
        model = new_model(ModelConfig(**content["config"]), vocabulary)
        model.load_state_dict(content["weights"])
        return Checkpoint(
            model=model.eval(),
            vocabulary=vocabulary,
            popularity=content["popularity"].numpy(),
            catalogue=content["catalogue"],
            data=content["data"],
            training=TrainingConfig(**content["training"]),
            neighbours=_read_neighbours(content["neighbours"]),
            ranker=read_ranker(content.get("ranker"), vocabulary),  # checkpoints of before have none
            **{name: content[name] for name in PLAIN} | {"histories": list(map(_with_types, content["histories"]))},
        )
    except Exception as error:  # torch raises many kinds on a file that is not one of its own, some with long advice
        raise ValueError(f"{path} is not a checkpoint that this version of `mindstream model train` wrote") from error


def _as_array(part: Any) -> Any:
    """Return a part as `save` was given it: arrays for tensors."""
    return part.numpy() if torch.is_tensor(part) else part


def _neighbours_content(neighbours: NeighbourScores | None) -> dict[str, Any] | None:
    """Return neighbours as torch.save keeps them."""
    if neighbours is None:
        return None
    arrays = {"rows": neighbours.rows, "similarity": neighbours.similarity}
    return {"blend": asdict(neighbours.blend), **{name: torch.from_numpy(array) for name, array in arrays.items()}}


def _read_neighbours(content: dict[str, Any] | None) -> NeighbourScores | None:
    """Read what `_neighbours_content` wrote."""
    if content is None:
        return None
    return NeighbourScores(content["rows"].numpy(), content["similarity"].numpy(), Blend(**content["blend"]))


def _with_types(kept: tuple[Any, ...]) -> KeptHistory:
    """Return a kept history; checkpoints of before have no event types."""
    item_ids, times_ms, *types = kept
    return item_ids, times_ms, types[0] if types else [""] * len(item_ids)
