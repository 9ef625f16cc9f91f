"""From a log to a published model, once: simulate or read, train, export, index, publish; and one with one interest."""

import logging
from dataclasses import replace
from pathlib import Path

from demo.engine.paths import log_file, one_interest_models
from mindstream.settings import Settings
from model_export.bundle.check import check
from model_export.bundle.registry import Registry
from model_export.commands.options import set_threads
from model_export.data.behaviours import behaviours_of
from model_export.data.interactions import InteractionLog
from model_export.data.simulator import simulate
from model_export.models.presets import DEFAULT, Preset, one_interest, preset
from model_export.readers import read_log, write_table

__all__ = ["prepare", "publish", "read_or_simulate", "shown_model"]

log = logging.getLogger(__name__)

TRAINING_SECONDS = 55.0  # the demo should be there soon; `mindstream model train` takes the time it needs
ONE_INTEREST_SECONDS = 20.0  # one interest is learnt sooner

# On the simulated shop, where users have several interests that are far apart, MIND is the better one
# (`python -m benchmarks planted`).
SHOP_MODEL = "mind"


def prepare(settings: Settings) -> None:
    """Make what the demo needs, with progress bars on stderr.

    Raises
    ------
    ModuleNotFoundError
        If torch, which only training needs, is not installed.
    """
    set_threads(1)  # first: without torch nothing is left behind
    settings.home.mkdir(parents=True, exist_ok=True)
    interactions = read_or_simulate(settings)
    chosen = shown_model(settings)
    # The one that pages need comes last: a preparation that was stopped begins anew.
    log.info("training a model with one interest, to compare with")
    publish(interactions, one_interest(chosen), ONE_INTEREST_SECONDS, settings, one_interest_models(settings))
    log.info("training the model")
    publish(interactions, chosen, TRAINING_SECONDS, settings, settings.models, evaluate=True)


def shown_model(settings: Settings) -> Preset:
    """Return the model that suits the log."""
    return preset(DEFAULT if settings.log else SHOP_MODEL)


def publish(
    interactions: InteractionLog,
    chosen: Preset,
    seconds: float,
    settings: Settings,
    models: Path,
    evaluate: bool = False,
) -> None:
    """Train on the behaviours of a log for so long, and make the result current in `models`.

    Parameters
    ----------
    interactions : all events of the log; the rule of the settings says which are behaviours.
    evaluate : also measure the model on held-out users.
    """
    from mindstream import retrain  # here and not at the top: a demo that finds a model runs without torch

    training = replace(chosen.training, max_seconds=seconds)
    behaviours = behaviours_of(interactions, settings.rule)
    bundle = retrain.build_bundle(behaviours, chosen.model, training, settings.home, evaluate=evaluate)
    log.info("model %s is published", retrain.publish(bundle, Registry(models, check)).version)


def read_or_simulate(settings: Settings) -> InteractionLog:
    """Read the configured log, or simulate the shop's; keep it in Mindstream's own format."""
    interactions = read_log(settings.log) if settings.log else simulate().log
    log.info("%s", interactions.describe())
    write_table(interactions, log_file(settings))
    return interactions
