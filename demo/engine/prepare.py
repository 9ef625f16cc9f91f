"""From a log to a published model, once: simulate or read, train, export, index, publish; and one with one interest."""

import logging
import time
from dataclasses import replace

from demo.engine.paths import has_model, log_file, one_interest_models
from demo.engine.prepared import mark_stopped
from demo.training.outcome import outcome
from demo.training.plan import DemoPlan, plan_for
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.check import check
from model_export.bundle.homes.open_registry import open_registry
from model_export.commands.options import set_threads
from model_export.data.behaviours import behaviours_of
from model_export.data.interactions import InteractionLog
from model_export.data.simulator import simulate
from model_export.models.presets import DEFAULT, Preset, one_interest, preset
from model_export.readers import Mapping, read_log, write_table
from model_export.summary.figures import summarise
from model_export.summary.text import suspicious_text

__all__ = ["prepare", "publish", "read_or_simulate", "shown_model"]

log = logging.getLogger(__name__)

# Of the simulated shop, which is always the same; `mindstream model train` takes the time it needs.
TRAINING_SECONDS = 55.0
ONE_INTEREST_SECONDS = 20.0  # one interest is learnt sooner

MOST_CASES = 500  # of held-out users; somebody waits, and the figures are rough anyway

# On the simulated shop, where users have several interests that are far apart, MIND is the better one
# (`python -m benchmarks planted`).
SHOP_MODEL = "mind"


def prepare(
    settings: Settings, source: str | None = None, mapping: Mapping | None = None, minutes: float | None = None
) -> None:
    """Make what the demo needs; say what was understood and how good the model is.

    Progress bars are on stderr.

    Parameters
    ----------
    source : path or address of the log, None: the configured one, or the simulated shop.
    mapping : how it is to be read.
    minutes : most minutes of the model's training; None: by the size of the log.

    Raises
    ------
    ModuleNotFoundError
        If torch, which only training needs, is not installed.
    ValueError
        If the log cannot be read, or has too little to learn from.
    """
    set_threads(1)  # first: without torch nothing is left behind
    settings.home.mkdir(parents=True, exist_ok=True)
    interactions = read_or_simulate(settings, source, mapping)
    if settings.bundles and has_model(settings):
        _say(f"{settings.bundles} has a model, which is shown")  # the demo's own would replace it for everybody
        return
    behaviours = behaviours_of(interactions, settings.rule)
    plan = _plan(behaviours, settings, minutes)
    _say(plan.before())
    # The one that pages need comes last: a preparation that was stopped begins anew.
    single = replace(plan.chosen, model=one_interest(plan.chosen).model)
    started = time.monotonic()
    one = publish(behaviours, single, plan.one_seconds, settings, str(one_interest_models(settings)))
    taken = one.manifest.metrics["training"]
    rest = time.monotonic() - started - taken["seconds"]
    _say(plan.between(taken["steps"], taken["seconds"], rest))
    _say(outcome(publish(behaviours, plan.chosen, plan.seconds, settings, settings.published, plan.is_evaluated)))


def _plan(behaviours: InteractionLog, settings: Settings, minutes: float | None) -> DemoPlan:
    """Plan the training; the simulated shop's has limits of its own."""
    plan = plan_for(behaviours, shown_model(settings), minutes)
    if settings.log or minutes:
        return plan
    return replace(plan, seconds=TRAINING_SECONDS, one_seconds=ONE_INTEREST_SECONDS)


def _say(text: str) -> None:
    """Print something for whoever waits, below or above the progress bars."""
    print(text, flush=True)


def shown_model(settings: Settings) -> Preset:
    """Return the model that suits the log."""
    return preset(DEFAULT if settings.log else SHOP_MODEL)


def publish(
    behaviours: InteractionLog,
    chosen: Preset,
    seconds: float,
    settings: Settings,
    models: str,
    evaluate: bool = False,
) -> Bundle:
    """Train for so long, and make the result current in `models`, a folder or url; return it.

    With `evaluate` it is also measured on held-out users.
    """
    from mindstream import retrain  # here and not at the top: a demo that finds a model runs without torch

    training = replace(chosen.training, max_seconds=seconds)
    bundle = retrain.build_bundle(
        behaviours, chosen.model, training, settings.home, evaluate=evaluate, most_cases=MOST_CASES
    )
    published = retrain.publish(bundle, open_registry(models, settings.cache, check))
    log.info("model %s is published", published.version)
    return published


def read_or_simulate(settings: Settings, source: str | None = None, mapping: Mapping | None = None) -> InteractionLog:
    """Read the log, or simulate the shop's, and say what it is; keep it in our format."""
    where = source or settings.log
    interactions = read_log(where, mapping or Mapping()) if where else simulate().log
    _say(interactions.describe())
    if where:
        _say(suspicious_text(summarise(interactions, settings.rule)))
    mark_stopped(settings)  # from here on the log may be another one than the model's
    write_table(interactions, log_file(settings))
    return interactions
