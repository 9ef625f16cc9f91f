"""Training from a log to a checkpoint: vocabulary, split, warm start, the loop, tuning on validation users."""

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from model_export.bundle.bundle import Bundle
from model_export.bundle.scoring.neighbours import NeighbourScores
from model_export.data.cooccurrence import Neighbours, co_occurrence, similarity_matrix, svd_item_vectors
from model_export.data.dataset import (
    LaterBehaviours,
    Sequences,
    Vocabulary,
    build_sequences,
    build_vocabulary,
    item_counts,
    positions_of,
    user_blocks,
)
from model_export.data.interactions import InteractionLog
from model_export.evaluation.cases import Cases, comirec_cases, next_item_cases
from model_export.evaluation.item_knn import tune_item_knn
from model_export.evaluation.split import Split, split_of
from model_export.item_tables.kgat_training import kgat_item_vectors
from model_export.item_tables.knowledge_graph import graph_of_log
from model_export.item_tables.simemb import SimilarityEmbedding, neighbour_shares
from model_export.models.checkpoint import Checkpoint, KeptHistory, new_model
from model_export.models.interest_model import InterestModel
from model_export.models.model_config import ModelConfig
from model_export.models.training_config import TrainingConfig
from model_export.training.blend_tuning import tune_blend
from model_export.training.loop import TrainingRun, validate
from model_export.training.own_item_tuning import tune_repeat_bonus
from model_export.training.sampler import Sampler
from model_export.training.warm_start import warm_start

__all__ = [
    "LEAST_STEPS",
    "VALIDATION_CASES",
    "catalogue_of",
    "fitted_to_log",
    "prepare_items",
    "repeated_share",
    "train",
]

VALIDATION_CASES = 2_000
LEAST_REPEATED = 0.01  # share of the behaviours from which on people are said to come back to items
KEPT_HISTORIES = 200  # of held-out users
KNN_LENGTH = 20  # behaviours of a history that item-kNN reads, as where models are evaluated
FEWEST_CASES, MOST_CASES = 200, 1_500  # by whom it is tuned
SCORES = 300_000_000  # of all their items, for each setting that is tried
EPOCHS, LEAST_STEPS, STEPS_OF_FEW = 6, 1_500, 300  # if the settings leave the number of steps to the log


def train(
    log: InteractionLog,
    config: ModelConfig,
    training: TrainingConfig,
    progress: bool = True,
    state: Path | None = None,
    start: Bundle | None = None,
    most_cases: int = VALIDATION_CASES,
) -> Checkpoint:
    """Train a model on a log, on a GPU if there is one.

    The step with the best validation recall@50 is kept, or with `averaging` the last running average (Run.choose).

    Targets weigh as their event types do by the log's rule (Sampler). What the behaviours of a history weigh by their
    types is learned, and not of the rule: by models with `types`. Others pool all behaviours alike, in training as in
    serving.

    Parameters
    ----------
    log : behaviours, see `behaviours_of`; the checkpoint records the rule.
    state : file where the state of the training is kept at each look at the validation users. If the file is there,
        training goes on from it and ends as if it had never stopped. Whoever keeps the checkpoint deletes it.
    start : bundle whose items the new ones begin with (warm_start.py).
    most_cases : most validation cases that are asked at a time.

    Raises
    ------
    ValueError
        If the log has too few events to train on, `state` is of another training, the loss cannot learn `repeats`, or
        the scores are no cosines that `neighbours` could be weighed beside.
    """
    if config.repeats and training.loss == "label-aware":
        raise ValueError(f"repeats is True with the loss {training.loss!r}; right is joint, which learns it")
    if training.neighbours and not config.unit_length:
        raise ValueError("neighbours is True with unit_length False; right is True: their weight stands beside cosines")
    torch.manual_seed(training.seed)  # what NumPy draws has generators of its own
    learnt = _learnt_from(log, config, training)
    run = _new_run(learnt, training, start, most_cases, progress)
    data = _summarise_data(log)
    trained_on = data | {"fingerprint": _fingerprint(learnt.sequences, learnt.vocabulary)}
    if state is not None and state.exists():
        run.restore(state, trained_on)
    run.fit(progress, state, trained_on)
    following = next_item_cases(*learnt.valid, most_cases, training.seed)
    if tune_repeat_bonus(run.model, (run.cases, following), progress):
        run.best = validate(run.model, run.cases)
    run.model.cpu()
    neighbours = _neighbours(learnt, run, (run.cases, following), progress) if training.neighbours else None
    if neighbours is not None and run.best:
        run.best = validate(run.model, run.cases, neighbours)
    return _checkpoint(log, learnt, run, data, neighbours)


@dataclass(frozen=True)
class _Learnt:
    """What a model learns from.

    Attributes
    ----------
    config : the settings of the model, without what the log says nothing of.
    """

    config: ModelConfig
    vocabulary: Vocabulary
    sequences: Sequences
    split: Split

    @property
    def valid(self) -> tuple[Sequences, np.ndarray, int]:
        """Return what validation cases are cut from: sequences, users, most behaviours."""
        return self.sequences, self.split.valid, self.config.history_length


def _learnt_from(log: InteractionLog, config: ModelConfig, training: TrainingConfig) -> _Learnt:
    """Build the vocabulary and sequences of a log, and draw the held-out users."""
    vocabulary = build_vocabulary(log)
    if not config.reads_profile:
        vocabulary = replace(vocabulary, profile_fields={})
    # What the log says nothing of would drift without reason.
    types = config.types and len(vocabulary.event_types) > 1
    if not types:
        vocabulary = replace(vocabulary, event_types=[])
    sequences = build_sequences(log, vocabulary)
    repeats = config.repeats and repeated_share(sequences) >= LEAST_REPEATED
    config = replace(config, time_gaps=config.time_gaps and log.timed, types=types, repeats=repeats)
    return _Learnt(config, vocabulary, sequences, split_of(training, sequences.user_ids, log.sides))


def _new_run(
    learnt: _Learnt, training: TrainingConfig, start: Bundle | None, most_cases: int, progress: bool
) -> TrainingRun:
    """Make a new model and all that its training asks for; see `train`."""
    sequences, users = learnt.sequences, learnt.split.train
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = new_model(learnt.config, learnt.vocabulary)
    neighbours = prepare_items(model, sequences, users, training, learnt.vocabulary, progress)
    if start is not None:
        warm_start(model, learnt.vocabulary, start)
    num_items = len(learnt.vocabulary.item_ids)
    training = fitted_to_log(training, len(LaterBehaviours(sequences, users)))
    sampler = Sampler(sequences, users, learnt.config.history_length, training, num_items, device, neighbours)
    return TrainingRun(model.to(device), sampler, comirec_cases(*learnt.valid, most_cases, training.seed), training)


def _neighbours(
    learnt: _Learnt, run: TrainingRun, questions: tuple[Cases, Cases], progress: bool
) -> NeighbourScores | None:
    """Choose the neighbours that count beside the model's max-sim; None if they do not help.

    Parameters
    ----------
    questions : the time ahead, by which item-kNN itself is tuned, and the next behaviour.
    """
    num_items = len(learnt.vocabulary.item_ids)
    most = max(FEWEST_CASES, min(MOST_CASES, SCORES // num_items))
    some = tuple(cases.sample(most, run.training.seed) for cases in questions)
    length = min(KNN_LENGTH, learnt.config.history_length)
    users = learnt.split.train
    knn = tune_item_knn(learnt.sequences, users, num_items, some[0], length, run.training.seed, progress)
    found = tune_blend(run.model, knn, some)
    return found if found.blend.weight else None


def _checkpoint(
    log: InteractionLog, learnt: _Learnt, run: TrainingRun, data: dict[str, Any], neighbours: NeighbourScores | None
) -> Checkpoint:
    """Return the trained model with what describes it."""
    vocabulary, sequences = learnt.vocabulary, learnt.sequences
    return Checkpoint(
        model=run.model,
        vocabulary=vocabulary,
        popularity=item_counts(sequences, np.arange(len(sequences.user_ids)), len(vocabulary.item_ids)),
        catalogue=catalogue_of(log, vocabulary),
        data=data,
        training=run.training,
        validation=run.best,
        steps=run.step,
        seconds=run.seconds,
        neighbours=neighbours,
        histories=_kept_histories(run.cases.sample(KEPT_HISTORIES, run.training.seed), vocabulary),
    )


def fitted_to_log(training: TrainingConfig, targets: int) -> TrainingConfig:
    """Return the settings with a batch and a number of steps that fit a log.

    A batch is no larger than all targets together, which are then passed at each step: STEPS_OF_FEW times. Otherwise
    they are passed six times, in at least LEAST_STEPS: more do not help, and a small log needs some all the same. Steps
    that the settings name stay as they are.

    Parameters
    ----------
    targets : behaviours of training users that follow another one of the same user.
    """
    if targets < training.batch_size:
        return replace(training, batch_size=max(1, targets), steps=training.steps or STEPS_OF_FEW)
    steps = max(LEAST_STEPS, math.ceil(EPOCHS * targets / training.batch_size))
    return replace(training, steps=training.steps or steps)


def prepare_items(
    model: InterestModel,
    sequences: Sequences,
    users: np.ndarray,
    training: TrainingConfig,
    vocabulary: Vocabulary,
    progress: bool = False,
) -> Neighbours | None:
    """Prepare a model's items: noise by counts, SimEmb's neighbours, start, neighbours.

    The latter three if the settings say so. Held-out users (those not among `users`) teach nothing.

    Parameters
    ----------
    progress : show a progress bar where it takes long.

    Returns
    -------
    the items' neighbours if the settings substitute by them
    """
    num_items = len(model.item_features)
    counts = item_counts(sequences, users, num_items)
    model.scale_noise(torch.from_numpy(counts))
    if training.start == "kgat":
        graph = graph_of_log(sequences, users, vocabulary, training.seed)
        _start_items(model, kgat_item_vectors(graph, model.config.dim, training.seed, progress))
    ids = model.items.ids
    if training.start != "co-occurrence" and not training.substitution and isinstance(ids, nn.Embedding):
        return None
    pairs = co_occurrence(sequences, users, num_items)
    if isinstance(ids, SimilarityEmbedding):
        ids.set_neighbours(*neighbour_shares(pairs, model.config.table_neighbours))
    similarity = similarity_matrix(pairs, counts)
    if training.start == "co-occurrence":
        _start_items(model, svd_item_vectors(similarity, model.config.dim, np.random.default_rng(training.seed)))
    return Neighbours(similarity) if training.substitution else None


def _start_items(model: InterestModel, vectors: np.ndarray) -> None:
    """Start the items' learned vectors with these, float32 (items, d)."""
    with torch.no_grad():
        model.items.ids.weight.copy_(torch.from_numpy(vectors))


def repeated_share(sequences: Sequences) -> float:
    """Return the share of the behaviours whose item the same user had before."""
    span, distinct = int(sequences.items.max(initial=0)) + 1, 0
    for some in user_blocks(sequences, np.arange(len(sequences.user_ids))):
        positions, owners = positions_of(sequences, some)
        distinct += len(np.unique(owners * span + sequences.items[positions]))
    return 1 - distinct / max(1, len(sequences.items))


def _kept_histories(cases: Cases, vocabulary: Vocabulary) -> list[KeptHistory]:
    """Return item_ids, times (Unix milliseconds) and event types of each case's history."""
    names, found = ["", *vocabulary.event_types], []
    for rows, mask, times, types in zip(cases.history, cases.mask, cases.times, cases.types, strict=True):
        item_ids = [vocabulary.item_ids[row] for row in rows[mask]]
        found.append((item_ids, times[mask].tolist(), [names[row] for row in types[mask]]))
    return found


def catalogue_of(log: InteractionLog, vocabulary: Vocabulary) -> dict[str, list[Any]]:
    """Return title, category and price of each item, in the vocabulary's order.

    Unknown prices are None.
    """
    items = log.items.set_index("item_id").loc[vocabulary.item_ids]
    prices = [None if math.isnan(price) else float(price) for price in items.price]
    return {"title": items.title.tolist(), "category": items.category.tolist(), "price": prices}


def _summarise_data(log: InteractionLog) -> dict[str, Any]:
    """Return source, counts and range of the data.

    Times are in Unix milliseconds; positions if the log is not `timed`.
    """
    return {
        "source": Path(log.source).name,
        "events": len(log.events),
        "users": len(log.events.user_id.cat.categories),
        "first_event_ms": int(log.events.event_time_ms.min()),
        "last_event_ms": int(log.events.event_time_ms.max()),
        "timed": log.timed,
        "behaviours": log.rule,
    }


def _fingerprint(sequences: Sequences, vocabulary: Vocabulary) -> str:
    """Return a hash of every behaviour, its time, weight and type, and every side feature."""
    of_items = [part for part in (vocabulary.item_features, vocabulary.item_vectors) if part is not None]
    found = hashlib.blake2b(digest_size=8)
    parts = sequences.items, sequences.times, sequences.starts, sequences.profiles, sequences.weights, sequences.types
    for part in (*parts, *of_items):
        found.update(np.ascontiguousarray(part).data)
    return found.hexdigest()
