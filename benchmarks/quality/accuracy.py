"""Accuracy of the models beside the baselines, on the same users: the ComiRec protocol."""

from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from tqdm import tqdm

from benchmarks.quality.accuracy_report import print_report
from benchmarks.quality.ranker_results import RankerResult, TrainingResult, measure_ranker
from benchmarks.quality.wals import tune_wals
from model_export.commands.behaviours import read_behaviours
from model_export.commands.options import Switches
from model_export.data.cooccurrence import co_occurrence, similarity_matrix, svd_item_vectors
from model_export.data.dataset import Sequences, Vocabulary, build_sequences, build_vocabulary, item_counts
from model_export.data.interactions import InteractionLog
from model_export.evaluation.cases import Cases, comirec_cases
from model_export.evaluation.cosines import measure_cosines
from model_export.evaluation.evaluate import COMIREC_LENGTH, cases_of_test_users
from model_export.evaluation.item_knn import tune_item_knn
from model_export.evaluation.model_ranker import ModelRanker
from model_export.evaluation.rankers import Popular, Ranker
from model_export.evaluation.split import Split, split_of
from model_export.models.presets import DEFAULT, PRESETS, Preset, one_interest, preset
from model_export.models.switches import apply_settings
from model_export.training.train import train

__all__ = ["main"]

ALL = "all"
WORKERS = 2  # trainings at a time, each on one thread
VECTORS = 64  # dimensions of the space in which candidates are compared

DataPath = Annotated[Path, typer.Option("--data", help="Interaction log; a publisher's file or folder.")]


def main(
    data: DataPath,
    model: Annotated[str, typer.Option(help=f"Which model, or {ALL} of them: {', '.join(PRESETS)}.")] = DEFAULT,
    ids_only: Annotated[bool, typer.Option("--ids-only", help="Leave out the side features of items.")] = False,
    seeds: Annotated[int, typer.Option(help="Trainings of each model; figures are their means.", min=1)] = 1,
    steps: Annotated[int | None, typer.Option(help="Most training steps.", min=1, show_default="the model's")] = None,
    switches: Switches = None,
) -> None:
    """Measure Recall, HR and NDCG of models and baselines on users held out."""
    main_model = DEFAULT if model == ALL else model
    chosen = dict(PRESETS) if model == ALL else {model: preset(model)}
    chosen = {name: apply_settings(settings, switches or []) for name, settings in chosen.items()}
    single_interest = f"{main_model}, one interest"
    if chosen[main_model].model.num_interests > 1:
        chosen[single_interest] = one_interest(chosen[main_model])
    log = read_behaviours(data)
    log = log.without_side_features() if ids_only else log
    print(log.describe())
    vocabulary = build_vocabulary(log)
    held_out = _held_out_cases(
        log, chosen[main_model], vocabulary
    )  # before anything is trained: is there anybody to ask?
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        baselines = pool.submit(_measure_baselines, log, chosen[main_model], model == ALL)
        trainings = {
            name: [
                pool.submit(_train_and_measure, name, _with_settings(settings, seed, steps), log)
                for seed in range(1, seeds + 1)
            ]
            for name, settings in chosen.items()
        }
        _wait_for([baselines, *(training for runs in trainings.values() for training in runs)])
    models = {name: [training.result() for training in runs] for name, runs in trainings.items()}
    print_report(
        models,
        baselines.result(),
        main_model,
        single_interest,
        held_out.test,
        _item_vectors(held_out, len(vocabulary.item_ids)),
    )


@dataclass(frozen=True)
class _HeldOutCases:
    """The behaviours, a training's split of the users, and the cases of those held out."""

    sequences: Sequences
    split: Split
    test: Cases
    valid: Cases


def _held_out_cases(log: InteractionLog, settings: Preset, vocabulary: Vocabulary) -> _HeldOutCases:
    """Make the cases that a model with these settings is measured on.

    Raises
    ------
    ValueError
        If there is no test user to ask.
    """
    sequences = build_sequences(log, vocabulary)
    split = split_of(settings.training, sequences.user_ids, log.sides)
    test = cases_of_test_users(sequences, split, COMIREC_LENGTH, log.source)
    return _HeldOutCases(sequences, split, test, comirec_cases(sequences, split.valid, COMIREC_LENGTH))


def _item_vectors(held_out: _HeldOutCases, num_items: int) -> np.ndarray:
    """Place items by co-occurrence, float32 (items, d): the same for all rankers."""
    pairs = co_occurrence(held_out.sequences, held_out.split.train, num_items)
    counts = item_counts(held_out.sequences, held_out.split.train, num_items)
    return svd_item_vectors(similarity_matrix(pairs, counts), VECTORS, np.random.default_rng(7))


def _with_settings(settings: Preset, seed: int, steps: int | None) -> Preset:
    """Return the settings with this seed, and with so many steps if they are given."""
    return replace(settings, training=replace(settings.training, seed=seed, steps=steps or settings.training.steps))


def _wait_for(futures: list[Future[Any]]) -> None:
    """Show the number of futures that are done, until all are."""
    for _ in tqdm(as_completed(futures), total=len(futures), desc="training and judging", unit="model"):
        pass


def _train_and_measure(name: str, settings: Preset, log: InteractionLog) -> TrainingResult:
    """Train one model and measure it on the test users."""
    torch.set_num_threads(1)
    checkpoint = train(log, settings.model, settings.training, progress=False)
    held_out = _held_out_cases(log, settings, checkpoint.vocabulary)
    model, speed = checkpoint.model, 1_000 * checkpoint.seconds / checkpoint.steps
    result = measure_ranker(ModelRanker(name, model, checkpoint.neighbours), held_out.test, held_out.valid)
    redrawn = ModelRanker(f"{name}, fresh logits", model, checkpoint.neighbours, True)
    fresh = measure_ranker(redrawn, held_out.test, held_out.valid) if settings.model.draws_logits else None
    return TrainingResult(result, fresh, measure_cosines(model, held_out.test), speed)


def _measure_baselines(log: InteractionLog, settings: Preset, with_wals: bool) -> list[RankerResult]:
    """Measure most popular, item-kNN and WALS.

    They learn from the training users and are tuned on the validation users.
    """
    vocabulary = build_vocabulary(log)
    held_out, num_items = _held_out_cases(log, settings, vocabulary), len(vocabulary.item_ids)
    learned_from = held_out.sequences, held_out.split.train, num_items
    rankers: list[Ranker] = [Popular(item_counts(*learned_from))]
    if with_wals:
        rankers.append(tune_wals(*learned_from, held_out.valid, progress=False))
    rankers.append(tune_item_knn(*learned_from, held_out.valid, COMIREC_LENGTH, progress=False))
    return [measure_ranker(ranker, held_out.test, held_out.valid) for ranker in rankers]
