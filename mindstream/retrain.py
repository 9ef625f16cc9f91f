"""The pipeline from a log to the current bundle: train, evaluate, export, index, gate, publish.

It stands once, above the rooms that it calls: the daily retrain and the demo run the same steps.
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from index.search.hnsw import HnswSettings
from index.search.index_files import build_index
from model_export.bundle.bundle import Bundle
from model_export.bundle.lock import locked
from model_export.bundle.registry import Registry
from model_export.data.interactions import InteractionLog
from model_export.evaluation.evaluate import with_test_metrics
from model_export.evaluation.gate import Gate, Verdict, apply_gate, current_or_none
from model_export.export.bundle_writer import export
from model_export.models.checkpoint import save
from model_export.models.model_config import ModelConfig
from model_export.models.training_config import TrainingConfig
from model_export.rankers.ranker_config import RankerConfig
from model_export.ranking.evaluation import with_page_metrics
from model_export.ranking.second_stage import with_ranker
from model_export.training.train import VALIDATION_CASES, train

__all__ = ["LOCK", "Plan", "alone", "build_bundle", "publish", "retrain"]

LOCK = ".retrain.lock"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """Settings of one retrain.

    Attributes
    ----------
    model, training : settings of the model and its training.
    gate : what the new bundle must show; `force`: it is published all the same.
    cold : do not begin with the current bundle's items.
    home : folder for the checkpoint (model.pt) and, below exported/, the new bundle until it is published.
    ranker : settings of the second stage; None: there is none.
    """

    model: ModelConfig
    training: TrainingConfig
    gate: Gate
    home: Path
    force: bool = False
    cold: bool = False
    ranker: RankerConfig | None = None


@dataclass(frozen=True)
class Retrained:
    """Outcome of a retrain: the bundle as it lies now, the gate's verdict, and whether the bundle is current."""

    bundle: Bundle
    verdict: Verdict
    published: bool


@contextmanager
def alone(registry: Registry) -> Iterator[None]:
    """Hold the lock of retrains while the block lasts.

    Raises
    ------
    BlockingIOError
        If another retrain works for the same registry.
    """

    def taken() -> None:
        raise BlockingIOError(f"another retrain works for {registry.home.name}; this one ends, that one goes on")

    with locked(registry.folder / LOCK, taken):
        yield


def retrain(events: InteractionLog, plan: Plan, registry: Registry, progress: bool = True) -> Retrained:
    """Train on a log and publish the bundle, unless the gate objects.

    Parameters
    ----------
    events : the behaviours of a log, see `behaviours_of`.
    """
    log.info("%s", events.describe())
    current = current_or_none(registry)
    start = None if plan.cold else current
    settings = plan.model, plan.training, plan.home
    bundle = build_bundle(events, *settings, start=start, ranker=plan.ranker, progress=progress)
    log.info("comparing with %s", "nothing, it is the first" if current is None else current.version)
    verdict = apply_gate(bundle, current, plan.gate, events)
    if verdict.objections and not plan.force:
        return Retrained(bundle, verdict, published=False)
    return Retrained(publish(bundle, registry), verdict, published=True)


def build_bundle(
    events: InteractionLog,
    model: ModelConfig,
    training: TrainingConfig,
    home: Path,
    *,
    start: Bundle | None = None,
    ranker: RankerConfig | None = None,
    evaluate: bool = True,
    most_cases: int | None = None,
    progress: bool = True,
) -> Bundle:
    """Train, evaluate, export and index a model; the bundle is not published yet.

    Parameters
    ----------
    events : the behaviours of a log, see `behaviours_of`; the manifest records the rule.
    home : folder for the checkpoint (model.pt) and, below exported/, the bundle.
    start : bundle whose item embeddings training begins with; None: a cold start.
    ranker : settings of the second stage; None: there is none.
    evaluate : measure the model beside the baselines, for the model card, and keep the checkpoint.
    most_cases : most held-out cases that are asked, in training and after it; None: the usual limits.
    """
    log.info("training")
    checkpoint = train(events, model, training, progress, start=start, most_cases=most_cases or VALIDATION_CASES)
    checkpoint = with_ranker(checkpoint, events, ranker, progress)
    if evaluate:
        save(checkpoint, home / "model.pt")  # evaluating takes a while, and what was trained should not be lost
        log.info("evaluating, after %s steps in %.0f s", f"{checkpoint.steps:,}", checkpoint.seconds)
        checkpoint = with_page_metrics(with_test_metrics(checkpoint, events, progress, most_cases), events)
        save(checkpoint, home / "model.pt")
    log.info("exporting")
    exported = export(checkpoint, home / "exported", progress)
    log.info("building the index of %s", exported.path)
    return build_index(exported, "auto", HnswSettings(), progress)


def publish(bundle: Bundle, registry: Registry) -> Bundle:
    """Make a bundle current in a registry, and remove the folder that it was exported to."""
    published = registry.publish(bundle.path)
    shutil.rmtree(bundle.path)
    return published
