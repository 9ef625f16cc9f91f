"""Training from a log to a checkpoint: vocabulary, split, warm start, the loop, tuning on validation users."""

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model_export.bundle.bundle import Bundle
from model_export.data.cooccurrence import Neighbours, co_occurrence, similarity_matrix, svd_item_vectors
from model_export.data.dataset import (
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
from model_export.evaluation.split import Split, split_of
from model_export.models.checkpoint import Checkpoint, KeptHistory, new_model
from model_export.models.interest_model import InterestModel
from model_export.models.model_config import ModelConfig
from model_export.models.training_config import TrainingConfig
from model_export.training.loop import TrainingRun, validate
from model_export.training.own_item_tuning import tune_repeat_bonus
from model_export.training.sampler import Sampler
from model_export.training.warm_start import warm_start

__all__ = ["LEAST_STEPS", "VALIDATION_CASES", "catalogue_of", "prepare_items", "repeated_share", "steps_for", "train"]

VALIDATION_CASES = 2_000
LEAST_REPEATED = 0.01  # share of the behaviours from which on people are said to come back to items
KEPT_HISTORIES = 200  # of held-out users
EPOCHS, LEAST_STEPS = 6, 1_500  # if the settings leave the number of steps to the log


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
        If the log has too few events to train on, `state` is of another training, or the loss cannot learn `repeats`.
    """
    if config.repeats and training.loss == "label-aware":
        raise ValueError(f"repeats is True with the loss {training.loss!r}; right is joint, which learns it")
    torch.manual_seed(training.seed)  # what NumPy draws has generators of its own
    learnt = _learnt_from(log, config, training)
    run = _new_run(learnt, training, start, most_cases)
    data = _summarise_data(log)
    trained_on = data | {"fingerprint": _fingerprint(learnt.sequences, learnt.vocabulary)}
    if state is not None and state.exists():
        run.restore(state, trained_on)
    run.fit(progress, state, trained_on)
    following = next_item_cases(*learnt.valid, most_cases, training.seed)
    if tune_repeat_bonus(run.model, (run.cases, following), progress):
        run.best = validate(run.model, run.cases)
    return _checkpoint(log, learnt, run, data)


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


def _new_run(learnt: _Learnt, training: TrainingConfig, start: Bundle | None, most_cases: int) -> TrainingRun:
    """Make a new model and all that its training asks for; see `train`."""
    sequences, users = learnt.sequences, learnt.split.train
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = new_model(learnt.config, learnt.vocabulary)
    neighbours = prepare_items(model, sequences, users, training)
    if start is not None:
        warm_start(model, learnt.vocabulary, start)
    num_items = len(learnt.vocabulary.item_ids)
    sampler = Sampler(sequences, users, learnt.config.history_length, training, num_items, device, neighbours)
    training = replace(training, steps=training.steps or steps_for(len(sampler.targets), training.batch_size))
    return TrainingRun(model.to(device), sampler, comirec_cases(*learnt.valid, most_cases, training.seed), training)


def _checkpoint(log: InteractionLog, learnt: _Learnt, run: TrainingRun, data: dict[str, Any]) -> Checkpoint:
    """Return the trained model with what describes it."""
    vocabulary, sequences = learnt.vocabulary, learnt.sequences
    return Checkpoint(
        model=run.model.cpu(),
        vocabulary=vocabulary,
        popularity=item_counts(sequences, np.arange(len(sequences.user_ids)), len(vocabulary.item_ids)),
        catalogue=catalogue_of(log, vocabulary),
        data=data,
        training=run.training,
        validation=run.best,
        steps=run.step,
        seconds=run.seconds,
        histories=_kept_histories(run.cases.sample(KEPT_HISTORIES, run.training.seed), vocabulary),
    )


def steps_for(targets: int, batch_size: int) -> int:
    """Return the steps of a training: six passes over the targets, and at least LEAST_STEPS.

    More do not help; a small log needs some all the same.
    """
    return max(LEAST_STEPS, math.ceil(EPOCHS * targets / batch_size))


def prepare_items(
    model: InterestModel, sequences: Sequences, users: np.ndarray, training: TrainingConfig
) -> Neighbours | None:
    """Prepare a model's item table: noise by counts, start from co-occurrence, neighbours.

    The latter two if the settings say so. Held-out users (those not among `users`) teach nothing.

    Returns
    -------
    the items' neighbours if the settings substitute by them
    """
    num_items = len(model.item_features)
    counts = item_counts(sequences, users, num_items)
    model.scale_noise(torch.from_numpy(counts))
    if training.start == "random" and not training.substitution:
        return None
    similarity = similarity_matrix(co_occurrence(sequences, users, num_items), counts)
    if training.start == "co-occurrence":
        vectors = svd_item_vectors(similarity, model.config.dim, np.random.default_rng(training.seed))
        with torch.no_grad():
            model.items.ids.weight.copy_(torch.from_numpy(vectors))
    return Neighbours(similarity) if training.substitution else None


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
    found = hashlib.blake2b(digest_size=8)
    parts = sequences.items, sequences.times, sequences.starts, sequences.profiles, sequences.weights, sequences.types
    for part in (*parts, vocabulary.item_features):
        found.update(np.ascontiguousarray(part).data)
    return found.hexdigest()
