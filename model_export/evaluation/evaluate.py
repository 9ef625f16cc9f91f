"""Evaluation of a model beside item-kNN and most popular, on the very same cases, with confidence intervals."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from tqdm import tqdm

from model_export.data.dataset import Sequences, build_sequences, item_counts
from model_export.data.interactions import InteractionLog
from model_export.evaluation import metrics
from model_export.evaluation.cases import Cases, chronological_cases, comirec_cases
from model_export.evaluation.item_knn import tune_item_knn
from model_export.evaluation.model_ranker import ModelRanker
from model_export.evaluation.rankers import TUNING_CASES, Popular, Ranker
from model_export.evaluation.report import RankerMetrics, metrics_json
from model_export.evaluation.split import Split, split_of
from model_export.models.checkpoint import Checkpoint

__all__ = [
    "COMIREC_LENGTH",
    "EvaluationData",
    "cases_of_test_users",
    "check_protocol",
    "chronological_data",
    "comirec_data",
    "evaluate",
    "evaluate_ranker",
    "summarise_metrics",
    "with_test_metrics",
]

TOP_N = 50
COMIREC_LENGTH = 20
MOST_TEST_USERS = 20_000  # where a model is evaluated: of so many an interval is 0.7 % wide, of all it is hours' work


class _NobodyToAskError(ValueError):
    """No test user has a history and something that followed it."""


def evaluate_ranker(ranker: Ranker, cases: Cases, unseen_only: bool, seed: int = 7) -> RankerMetrics:
    """Return a ranker's metrics on cases.

    Parameters
    ----------
    unseen_only : the ranker may not name items of the history, though labels may.
    seed : of the bootstrap.
    """
    name = f"{ranker.name}, unseen only" if unseen_only else ranker.name
    return summarise_metrics(name, metrics.metrics_per_case(ranker.top(cases, TOP_N, unseen_only), cases.labels), seed)


def summarise_metrics(name: str, per_case: dict[str, np.ndarray], seed: int = 7) -> RankerMetrics:
    """Return the means over cases and their bootstrap intervals.

    Parameters
    ----------
    name : of the ranker.
    per_case : see `metrics_per_case`.
    """
    return RankerMetrics(
        name, len(per_case["recall@50"]), metrics.mean_metrics(per_case), metrics.bootstrap_intervals(per_case, seed)
    )


def cases_of_test_users(sequences: Sequences, split: Split, length: int, source: str, most: int | None = None) -> Cases:
    """Return the ComiRec cases of the test users.

    Parameters
    ----------
    source : where the log comes from, for the message.
    most : at most so many, drawn by chance; None: all.

    Raises
    ------
    ValueError
        If no test user has two behaviours or more.
    """
    cases = comirec_cases(sequences, split.test, length, most)
    if not len(cases):
        raise _NobodyToAskError(f"{source}: none of the {len(split.test)} test users has two behaviours or more")
    return cases


def with_test_metrics(
    checkpoint: Checkpoint, log: InteractionLog, progress: bool = True, most_cases: int | None = None
) -> Checkpoint:
    """Return the checkpoint with its ComiRec metrics beside the baselines', for the card.

    Unchanged if no user was held out for a test.
    """
    try:
        found = evaluate(checkpoint, log, "comirec", progress=progress, most_cases=most_cases)
    except _NobodyToAskError:
        return checkpoint
    return replace(checkpoint, figures=[metrics_json(one) for one in found])


@dataclass(frozen=True)
class EvaluationData:
    """The behaviours that rankers learn from, and the cases they are evaluated on.

    Attributes
    ----------
    sequences : behaviours before the labels of `chronological`, all for `comirec`.
    split : of their users, as the checkpoint was trained with.
    length : most behaviours of a history.
    cases : what is asked.
    """

    sequences: Sequences
    split: Split
    length: int
    cases: Cases


def evaluate(
    checkpoint: Checkpoint,
    log: InteractionLog,
    protocol: str = "comirec",
    seed: int = 7,
    progress: bool = True,
    most_cases: int | None = None,
) -> list[RankerMetrics]:
    """Evaluate a model beside item-kNN and most popular, with and without seen items.

    The baselines learn from the users that the model was trained on; item-kNN is tuned on the validation users.

    Parameters
    ----------
    log : behaviours, see `behaviours_of`.
    protocol : "comirec": the last fifth of each test user (see `comirec_cases`). "chronological": what all users did
        after the last event that the checkpoint was trained on; items that came later count as missed. Of more than
        20,000 users so many are drawn.
    seed : of the bootstrap, and of the validation cases that are drawn.
    most_cases : most cases, of the test and of item-kNN's tuning; None: the usual limits.

    Returns
    -------
    A RankerMetrics of each ranker, then of the same with the items of the history left out; the model comes
    first.

    Raises
    ------
    ValueError
        If the protocol is unknown, or the log has nothing to ask.
    """
    check_protocol(protocol)
    data = PROTOCOLS[protocol](checkpoint, log)
    num_items = len(checkpoint.vocabulary.item_ids)
    counts = item_counts(data.sequences, data.split.train, num_items)
    valid_cases = comirec_cases(data.sequences, data.split.valid, data.length, most_cases or TUNING_CASES, seed)
    asked_of = data.cases if most_cases is None else data.cases.sample(most_cases, seed)
    knn = tune_item_knn(data.sequences, data.split.train, num_items, valid_cases, data.length, seed, progress)
    model = ModelRanker(checkpoint.model.config.name, checkpoint.model, checkpoint.neighbours)
    rankers: list[Ranker] = [model, knn, Popular(counts)]
    asked = [(ranker, unseen_only) for ranker in rankers for unseen_only in (False, True)]
    bar = tqdm(asked, desc="judging", disable=not progress)
    return [evaluate_ranker(ranker, asked_of, unseen_only, seed) for ranker, unseen_only in bar]


def check_protocol(protocol: str) -> None:
    """Raise ValueError if there is no such protocol; lists them."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"unknown protocol {protocol!r}; expected one of: {', '.join(PROTOCOLS)}")


def comirec_data(checkpoint: Checkpoint, log: InteractionLog) -> EvaluationData:
    """Return the cases of the test users in the checkpoint's split.

    Behaviours after the last event that the checkpoint was trained on are left out.

    Raises
    ------
    ValueError
        If no test user has two behaviours or more.
    """
    sequences = build_sequences(log.before(checkpoint.data["last_event_ms"] + 1), checkpoint.vocabulary)
    split = split_of(checkpoint.training, sequences.user_ids, log.sides)
    length = min(COMIREC_LENGTH, checkpoint.model.config.history_length)  # the same input for all rankers
    cases = cases_of_test_users(sequences, split, length, log.source, MOST_TEST_USERS)
    return EvaluationData(sequences, split, length, cases)


def chronological_data(checkpoint: Checkpoint, log: InteractionLog) -> EvaluationData:
    """Return the cases of users with behaviours up to the checkpoint's last event and later.

    Raises
    ------
    ValueError
        If the log has no times, no later events, or no such user.
    """
    if not log.timed:
        raise ValueError(f"{log.source} has no times, only an order; the chronological protocol needs times")
    last = checkpoint.data["last_event_ms"]
    later = log.after(last)
    if not len(later.events):
        raise ValueError(
            f"{log.source} ends on {_utc(log.events.event_time_ms.max())} and the model was trained on events up to "
            f"{_utc(last)}; the chronological protocol needs later ones (`train --until` leaves some)"
        )
    vocabulary, length = checkpoint.vocabulary, checkpoint.model.config.history_length
    past = build_sequences(log.before(last + 1), vocabulary)
    # Rows beyond the model's items: what nobody can name is missed, not forgotten.
    new = sorted(set(later.events.item_id.cat.categories) - set(vocabulary.item_ids))
    future = build_sequences(later, replace(vocabulary, item_ids=[*vocabulary.item_ids, *new]))
    cases = chronological_cases(past, future, length, MOST_TEST_USERS)
    if not len(cases):
        raise ValueError(f"{log.source}: no user has behaviours both up to {_utc(last)} and after it")
    return EvaluationData(past, split_of(checkpoint.training, past.user_ids, log.sides), length, cases)


PROTOCOLS: dict[str, Callable[[Checkpoint, InteractionLog], EvaluationData]] = {
    "comirec": comirec_data,
    "chronological": chronological_data,
}


def _utc(time_ms: int) -> str:
    """Return ISO date and time (UTC) of Unix milliseconds."""
    return datetime.fromtimestamp(int(time_ms) / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
