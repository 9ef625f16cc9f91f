"""The same comparison on small samples of a log's users, as a shop that begins has them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks.harness.report import finish
from benchmarks.quality.comparison import Comparison, Results, compare_all
from benchmarks.quality.ranker_results import (
    METRICS_COMPARED,
    RankerResult,
    TrainingResult,
    mean_result,
    mean_with_interval,
)
from model_export.data.interactions import InteractionLog
from model_export.evaluation.report import table
from model_export.evaluation.split import SIDES, hash_sides
from model_export.models.training_config import TrainingConfig

__all__ = ["draw_samples", "measure_samples", "sample_sides", "sizes_named"]

SAMPLES = 5  # of each size, no two with a user in common
LEAST = 5  # users of validation and test, each
FEWEST = 4 * LEAST  # users of a sample


def sizes_named(text: str) -> list[int]:
    """Return the sizes that a list such as "100,300" names, none if it is empty.

    Raises
    ------
    ValueError
        If one is no whole number, or too small to leave somebody on every side.
    """
    sizes = [part.strip() for part in text.split(",")] if text else []
    wrong = next((size for size in sizes if not size.isdecimal() or int(size) < FEWEST), None)
    if wrong is not None:
        raise ValueError(f"--users {text}: {wrong!r} is not a number of users; it must be at least {FEWEST}")
    return [int(size) for size in sizes]


def measure_samples(asked: Comparison, sizes: list[int]) -> None:
    """Print how models and baselines do on samples of so many users, figures at the end.

    Raises
    ------
    ValueError
        If the log has fewer users than a sample.
    """
    training = asked.models[asked.main_model].training
    samples = {size: list(draw_samples(asked.log, size, training)) for size in sizes}
    found = iter(compare_all([replace(asked, log=log) for logs in samples.values() for log in logs]))
    figures = {}
    for size, logs in samples.items():
        rankers = _pooled([next(found) for _ in logs])
        users = len(rankers[0].top)
        print(
            f"\n{size:,} users: {users} test users of {len(logs)} sample(s); in brackets the 95 % interval over them\n"
        )
        print(table(["%", *METRICS_COMPARED.values()], [(one.name, *_cells(one)) for one in rankers]))
        figures[str(size)] = {one.name: _figures(one) for one in rankers} | {"users": users, "samples": len(logs)}
    print()
    finish({"model": asked.main_model, "of_users": figures})


def draw_samples(log: InteractionLog, size: int, training: TrainingConfig) -> Iterator[InteractionLog]:
    """Yield logs of so many users, drawn by chance, at most five, without a user in common.

    Parameters
    ----------
    training : its seed draws, its shares divide the users.

    Raises
    ------
    ValueError
        If the log has fewer users.
    """
    codes, user_ids = log.events.user_id.cat.codes.to_numpy(), log.events.user_id.cat.categories.to_numpy()
    if len(user_ids) < size:
        raise ValueError(f"{log.source} has {len(user_ids):,} users, too few for a sample of {size:,} (--users)")
    order = np.random.default_rng(training.seed).permutation(len(user_ids))
    for place in range(min(SAMPLES, len(user_ids) // size)):
        drawn = order[place * size : (place + 1) * size]
        chosen = np.zeros(len(user_ids), dtype=bool)
        chosen[drawn] = True
        some = log.with_events(log.events[chosen[codes]].reset_index(drop=True))
        asked = np.bincount(codes, minlength=len(user_ids))[drawn] >= 2  # of the others nothing can be asked
        yield replace(some, sides=sample_sides(user_ids[drawn].tolist(), asked, some.sides, training))


def sample_sides(
    user_ids: list[str], askable: np.ndarray, known: dict[str, str], training: TrainingConfig
) -> dict[str, str]:
    """Divide the users of a sample as those of any log, but so that nobody is missing to ask.

    A validation or test side with fewer than five users of two behaviours or more gets the next of the training side.

    Parameters
    ----------
    user_ids : in the order in which they were drawn.
    askable : bool (U,), whether a user has two behaviours or more.
    known : the publisher's sides; if there are any they decide instead of the hash.
    training : its shares divide the users.

    Returns
    -------
    user_id -> "train", "valid" or "test"
    """
    hashed = hash_sides(user_ids, training.valid_share, training.test_share)
    sides = [known[user] for user in user_ids] if known else [SIDES[place] for place in hashed]
    for side in SIDES[1:]:
        missing = LEAST - sum(one == side and can for one, can in zip(sides, askable, strict=True))
        spare = [row for row, one in enumerate(sides) if one == "train" and askable[row]]
        for row in spare[: max(0, missing)]:
            sides[row] = side
    return dict(zip(user_ids, sides, strict=True))


def _pooled(results: list[Results]) -> list[RankerResult]:
    """Return each ranker's results on the test users of all samples together."""
    rows = [[*one.others, *map(_mean_training, one.models, one.models.values())] for one in results]
    return [_joined(list(of_ranker)) for of_ranker in zip(*rows, strict=True)]


def _mean_training(name: str, trainings: list[TrainingResult]) -> RankerResult:
    """Return each user's mean over the trainings of a model."""
    return mean_result(name, [one.result for one in trainings])


def _joined(results: list[RankerResult]) -> RankerResult:
    """Return the results of one ranker on the users of several samples as one."""
    metrics = {name: np.concatenate([one.metrics[name] for one in results]) for name in results[0].metrics}
    unseen = {name: np.concatenate([one.unseen[name] for one in results]) for name in results[0].unseen}
    top, valid = np.concatenate([one.top for one in results]), float(np.mean([one.valid for one in results]))
    return RankerResult(results[0].name, metrics, unseen, top, valid)


def _cells(ranker: RankerResult) -> Iterator[str]:
    """Yield a ranker's means in % with their intervals."""
    for metric in METRICS_COMPARED:
        mean, low, high = mean_with_interval(ranker.metrics[metric])
        yield f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def _figures(ranker: RankerResult) -> dict[str, float]:
    """Return a ranker's means in %, by names such as "recall50"."""
    return {metric.replace("@", ""): mean_with_interval(ranker.metrics[metric])[0] for metric in METRICS_COMPARED}
