"""A small model, trained for a moment: what tests and benchmarks publish where any real model does."""

from dataclasses import replace

from model_export.checkpoint import Checkpoint
from model_export.presets import DEFAULT, preset
from model_export.simulator import SimulatedShop
from model_export.training import train


def small_checkpoint(shop: SimulatedShop) -> Checkpoint:
    """The default model, small, trained for a moment on a simulated shop with profile fields and side features."""
    chosen = preset(DEFAULT)
    config = replace(chosen.model, dim=16, num_interests=4, history_length=20, hidden=32)
    training = replace(chosen.training, steps=20, batch_size=64, negatives=64, validate_every=10)
    return train(shop.log, config, training, progress=False)
