"""The daily retrain: data, training, evaluation, export, index, gate, publish, one after the other."""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from model_export.bundle.format import Bundle
from model_export.bundle.lock import locked
from model_export.bundle.registry import Registry
from model_export.data.interactions import InteractionLog
from model_export.evaluation.evaluation import judged
from model_export.evaluation.gate import Gate, Verdict, current_or_none, judge
from model_export.export.exporter import export
from model_export.models.checkpoint import save
from model_export.models.model_config import ModelConfig
from model_export.models.training_config import TrainingConfig
from model_export.training.train import train

__all__ = ["LOCK", "Plan", "alone", "retrain"]

LOCK = ".retrain.lock"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What a retrain does.

    Attributes
    ----------
    model, training : settings of the model and its training.
    gate : what the new bundle must show; `force`: it is published all the same.
    cold : do not begin with the current bundle's items.
    home : folder for the checkpoint (model.pt) and, below exported/, the new bundle until it is published.
    """

    model: ModelConfig
    training: TrainingConfig
    gate: Gate
    home: Path
    force: bool = False
    cold: bool = False


@dataclass(frozen=True)
class _Retrained:
    """What came out: the bundle, where it lies now, what the gate found, and whether it is the current one."""

    bundle: Bundle
    verdict: Verdict
    published: bool


@contextmanager
def alone(registry: Registry) -> Iterator[None]:
    """Hold the lock of retrains; BlockingIOError where another one works for the same registry."""

    def taken() -> None:
        raise BlockingIOError(f"another retrain works for {registry.folder}; this one ends, that one goes on")

    with locked(registry.folder / LOCK, taken):
        yield


def retrain(
    events: InteractionLog,
    plan: Plan,
    registry: Registry,
    build_index: Callable[[Path], None],
    progress: bool = True,
) -> _Retrained:
    """Train on a log and publish what came out, unless the gate objects.

    Parameters
    ----------
    build_index : adds the item index to a bundle folder; indexes are no matter of this room.
    """
    current = current_or_none(registry)
    log.info("training on %s", events.describe())
    checkpoint = train(events, plan.model, plan.training, progress, start=None if plan.cold else current)
    save(checkpoint, plan.home / "model.pt")
    log.info("evaluating, after %s steps in %.0f s", f"{checkpoint.steps:,}", checkpoint.seconds)
    checkpoint = judged(checkpoint, events, progress)
    save(checkpoint, plan.home / "model.pt")
    log.info("exporting")
    exported = export(checkpoint, plan.home / "exported", progress).path
    log.info("building the index of %s", exported)
    build_index(exported)
    log.info("comparing with %s", "nothing, it is the first" if current is None else current.version)
    bundle = Bundle(exported)
    verdict = judge(bundle, current, plan.gate, events)
    if verdict.objections and not plan.force:
        return _Retrained(bundle, verdict, published=False)
    published = registry.publish(exported)
    shutil.rmtree(exported)
    return _Retrained(published, verdict, published=True)
