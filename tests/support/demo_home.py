"""A home that the demo finds prepared: a model, one with one interest, and the log."""

from dataclasses import replace
from pathlib import Path

from demo.engine.paths import log_file, one_interest_models
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.registry import Registry
from model_export.data.simulator import SimulatedShop
from model_export.export.bundle_writer import export
from model_export.models.presets import one_interest, preset
from model_export.readers import write_table
from model_export.training.train import train


def one_interest_bundle(shop: SimulatedShop, folder: Path) -> Bundle:
    """A small model with one interest, trained for a moment."""
    chosen = one_interest(preset("mind"))
    config = replace(chosen.model, dim=16, history_length=20, hidden=32)
    training = replace(chosen.training, steps=10, batch_size=64, negatives=64, validate_every=10)
    return export(train(shop.log, config, training, progress=False), folder, progress=False)


def home_of(bundle: Bundle, shop: SimulatedShop, home: Path, one: Bundle | None = None) -> Settings:
    """A home that is prepared; no Kafka is configured."""
    chosen = Settings(home=home, bootstrap_servers="", log=None)
    Registry(chosen.models).publish(bundle.path)
    if one is not None:
        Registry(one_interest_models(chosen)).publish(one.path)
    write_table(shop.log, log_file(chosen))
    return chosen
