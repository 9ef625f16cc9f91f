"""What a process of its own does: train one model, baseline or anchor, and measure it on the users held out."""

from dataclasses import replace

import torch

from benchmarks.quality.anchors.choice import fit_anchor
from benchmarks.quality.held_out import held_out_cases
from benchmarks.quality.ranker_results import RankerResult, TrainingResult, measure_ranker
from benchmarks.quality.wals import tune_wals
from model_export.data.dataset import build_vocabulary, item_counts
from model_export.data.interactions import InteractionLog
from model_export.evaluation.cosines import measure_cosines
from model_export.evaluation.evaluate import COMIREC_LENGTH
from model_export.evaluation.item_knn import tune_item_knn
from model_export.evaluation.model_ranker import ModelRanker
from model_export.evaluation.rankers import Popular, Ranker
from model_export.models.presets import Preset
from model_export.training.train import train

__all__ = ["measure_anchor", "measure_baselines", "train_and_measure", "with_settings"]


def with_settings(settings: Preset, seed: int, steps: int | None) -> Preset:
    """Return the settings with this seed, and with so many steps if they are given."""
    return replace(settings, training=replace(settings.training, seed=seed, steps=steps or settings.training.steps))


def train_and_measure(name: str, settings: Preset, log: InteractionLog) -> TrainingResult:
    """Train one model and measure it on the test users."""
    torch.set_num_threads(1)
    checkpoint = train(log, settings.model, settings.training, progress=False)
    held_out = held_out_cases(log, settings, checkpoint.vocabulary)
    model, speed = checkpoint.model, 1_000 * checkpoint.seconds / checkpoint.steps
    result = measure_ranker(ModelRanker(name, model, checkpoint.neighbours), held_out.test, held_out.valid)
    redrawn = ModelRanker(f"{name}, fresh logits", model, checkpoint.neighbours, True)
    fresh = measure_ranker(redrawn, held_out.test, held_out.valid) if settings.model.draws_logits else None
    return TrainingResult(result, fresh, measure_cosines(model, held_out.test), speed)


def measure_baselines(log: InteractionLog, settings: Preset, with_wals: bool) -> list[RankerResult]:
    """Measure most popular, item-kNN and WALS.

    They learn from the training users and are tuned on the validation users.
    """
    held_out = held_out_cases(log, settings, build_vocabulary(log))
    learned_from = held_out.sequences, held_out.split.train, held_out.num_items
    rankers: list[Ranker] = [Popular(item_counts(*learned_from))]
    if with_wals:
        rankers.append(tune_wals(*learned_from, held_out.valid, progress=False))
    rankers.append(tune_item_knn(*learned_from, held_out.valid, COMIREC_LENGTH, progress=False))
    return [measure_ranker(ranker, held_out.test, held_out.valid) for ranker in rankers]


def measure_anchor(name: str, seed: int, log: InteractionLog, settings: Preset) -> RankerResult:
    """Fit an anchor on the training users and measure it on the test users.

    Parameters
    ----------
    name : see `fit_anchor`.
    settings : of the model whose split of the users it is.
    """
    torch.set_num_threads(1)
    held_out = held_out_cases(log, settings, build_vocabulary(log))
    return measure_ranker(fit_anchor(name, held_out, seed), held_out.test, held_out.valid)
