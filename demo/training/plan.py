"""The demo's training of a log: models that fit it, and how long it takes."""

import math
from dataclasses import dataclass, replace

import numpy as np

from model_export.data.interactions import InteractionLog
from model_export.evaluation.split import split_of
from model_export.models.presets import Preset
from model_export.models.training_config import TrainingConfig
from model_export.summary.clues import count_of

__all__ = ["DemoPlan", "duration", "plan_for"]

HELD_OUT_FROM = 50  # users; of fewer, figures of the tenth that is held out are noise, and it is missed in training
SECONDS_A_STEP = 0.3  # on a slow machine
SHORTEST_S, LONGEST_S = 60.0, 600.0
ONE_INTEREST_SHARE, ONE_INTEREST_S = 1 / 3, 120.0  # one interest is learnt sooner
SEVERAL_COST = 2.0  # times what a step with one interest costs
# Times what all but the training took of the model with one interest, which is not measured: from what is the same
# for both (export) to what grows with the interests (weighing repeats).
REST_COSTS = (1.0, 2.5)


@dataclass(frozen=True)
class DemoPlan:
    """How the demo trains its models.

    Attributes
    ----------
    chosen : model and training, fitted to the log.
    steps : most steps of the training.
    seconds, one_seconds : most seconds of the training, and of that with one interest.
    is_evaluated : whether users are held out, to tell how good the model is.
    """

    chosen: Preset
    steps: int
    seconds: float
    one_seconds: float
    is_evaluated: bool

    def before(self) -> str:
        """Say how long the training takes at most, and whether users are held out of it."""
        whole = duration(self.seconds + self.one_seconds)
        said = (
            f"training two models, one with several interests and one with a single one: {self.steps:,} steps of "
            f"{self.chosen.training.batch_size:,} examples each, at most {whole} in all (--minutes sets "
            "another limit); preparing, measuring and indexing come on top, and the first model tells how long they "
            "take"
        )
        if self.is_evaluated:
            return said
        return f"{said}\nnobody is held out: fewer than {HELD_OUT_FROM} users would not tell how good the model is"

    def between(self, one_steps: int, one_seconds: float, one_rest: float) -> str:
        """Say how long the model takes, by the speed of the one with one interest.

        Parameters
        ----------
        one_steps, one_seconds : what that took.
        one_rest : seconds that it took beside, to be prepared, weighed, exported and indexed.
        """
        needed = self.steps * SEVERAL_COST * one_seconds / max(1, one_steps)
        low, high = (duration(min(needed, self.seconds) + cost * one_rest) for cost in REST_COSTS)
        parts = "preparing, measuring and indexing" if self.is_evaluated else "preparing and indexing"
        expected = f"with {parts} expect about {low} to {high}"
        if needed <= self.seconds:
            return f"training the model: about {duration(needed)}; {expected}"
        return (
            f"training the model: {duration(self.seconds)}; {expected}\n"
            f"its training has time for about {100 * self.seconds / needed:.0f} % of its "
            f"steps; --minutes {math.ceil(needed / 60)} would let it take all"
        )


def plan_for(log: InteractionLog, chosen: Preset, minutes: float | None) -> DemoPlan:
    """Fit a model and its training to a log's behaviours.

    Parameters
    ----------
    minutes : most minutes of the model's training; None: by the size of the log, from one minute to ten.

    Raises
    ------
    ValueError
        If there is nothing to learn: a single item, or no user with two behaviours.
    """
    from model_export.training.train import fitted_to_log  # here: a demo that finds a model runs without torch

    _require_enough(log)
    training = chosen.training
    held_out = len(log.profiles) >= HELD_OUT_FROM or bool(log.sides)
    if not held_out:
        training = replace(training, valid_share=0.0, test_share=0.0)
    training = fitted_to_log(training, _targets(log, training))
    steps = training.steps
    assert steps, "a training that is fitted to its log has steps"
    seconds = 60 * minutes if minutes else min(LONGEST_S, max(SHORTEST_S, SECONDS_A_STEP * steps))
    one_seconds = min(ONE_INTEREST_S, ONE_INTEREST_SHARE * seconds)
    return DemoPlan(replace(chosen, training=training), steps, seconds, one_seconds, held_out)


def _require_enough(log: InteractionLog) -> None:
    """Raise ValueError if a model could learn nothing of a log."""
    behaviours, users = count_of(len(log.events), "behaviour"), count_of(len(log.profiles), "user")
    size = f"{log.source} has {behaviours} of {users} with {count_of(len(log.items), 'item')}"
    if len(log.items) < 2:
        raise ValueError(f"{size}; right are two items or more, of which one can follow the other")
    if len(log.events) == len(log.profiles):
        raise ValueError(
            f"{size}, one of each user, so that nothing follows anything; right is a log in which users come back (is "
            "--user the column of sessions, orders or events?)"
        )


def _targets(log: InteractionLog, training: TrainingConfig) -> int:
    """Count the behaviours of training users that follow another one of the same user."""
    counts = log.events.user_id.value_counts(sort=False)
    counts = counts[counts > 0]
    users = split_of(training, [str(one) for one in counts.index], log.sides).train
    return int(np.maximum(counts.to_numpy()[users] - 1, 0).sum())


def duration(seconds: float) -> str:
    """Write a time for people: "40 s", "2 min 30 s", "12 min"."""
    if seconds < 60:
        return f"{max(1, round(seconds)):.0f} s"
    minutes, rest = divmod(round(seconds / 10) * 10, 60)
    return f"{minutes:.0f} min" + (f" {rest:.0f} s" if rest and minutes < 10 else "")
