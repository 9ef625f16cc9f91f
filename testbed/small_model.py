"""A small model, trained for a moment, for tests and benchmarks that need just any real model."""

from collections.abc import Collection
from dataclasses import replace

from model_export.data.interactions import InteractionLog
from model_export.data.simulator import SimulatedShop
from model_export.models.checkpoint import Checkpoint
from model_export.models.presets import DEFAULT, preset
from model_export.training.train import train

__all__ = ["log_without_items", "small_checkpoint"]


def small_checkpoint(shop: SimulatedShop, num_interests: int = 4, without: Collection[str] = ()) -> Checkpoint:
    """Train the default model, small, for a moment on a simulated shop.

    The shop has profile fields and side features.

    Parameters
    ----------
    without : items that the model does not know.
    """
    chosen = preset(DEFAULT)
    config = replace(chosen.model, dim=16, num_interests=num_interests, history_length=20, hidden=32)
    training = replace(chosen.training, steps=20, batch_size=64, negatives=64, validate_every=10)
    return train(log_without_items(shop.log, without), config, training, progress=False)


def log_without_items(log: InteractionLog, without: Collection[str]) -> InteractionLog:
    """Return a log without some items."""
    events, items = (frame[~frame.item_id.isin(without)].reset_index(drop=True) for frame in (log.events, log.items))
    return replace(log, events=events, items=items)
