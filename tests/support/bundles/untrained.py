"""Models that no training has touched, with all that export needs: of small dimensions and in no time."""

from typing import Any

import numpy as np
import torch

from model_export.data.dataset import Vocabulary
from model_export.models.checkpoint import Checkpoint, new_model
from model_export.models.model_config import ModelConfig
from model_export.models.training_config import TrainingConfig

ITEMS = 30


def untrained(config: ModelConfig, profile_sizes: tuple[int, ...] = (3, 2), items: int = ITEMS) -> Checkpoint:
    """A new model of items with up to two of four side-feature values; P tables of these sizes if it reads profiles."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    fields = {f"field-{number}": [*"abcdefg"[: size - 1]] for number, size in enumerate(profile_sizes)}
    vocabulary = Vocabulary(
        item_ids=[f"item-{number:03}" for number in range(items)],
        feature_fields={"category": [*"abcd"]},
        item_features=rng.integers(0, 5, (items, 2)),
        profile_fields=fields if config.reads_profile else {},
        price_edges=[],
        event_types=["buy", "cart", "view"] if config.types else [],
    )
    shown: dict[str, list[Any]] = {"title": vocabulary.item_ids, "category": [""] * items, "price": [None] * items}
    counts = np.ones(items, dtype=np.int64)
    data = {"source": "nowhere", "events": 60, "users": 6, "first_event_ms": 0, "last_event_ms": 59_000, "timed": True}
    return Checkpoint(new_model(config, vocabulary), vocabulary, counts, shown, data, TrainingConfig())
