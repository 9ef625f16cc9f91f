"""The training objective of one batch: the loss and the penalties that the settings name."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from model_export.models.interest_model import InterestModel
from model_export.models.mind import label_aware_attention, sampled_softmax
from model_export.models.training_config import TrainingConfig
from model_export.training.independence import independent_weights
from model_export.training.losses import (
    capsule_scores,
    joint_softmax,
    routing_penalty,
    separation_penalty,
    stability_penalty,
)

__all__ = ["TrainingBatch", "objective"]


@dataclass(frozen=True)
class TrainingBatch:
    """B (history, target) pairs and the M negatives that they share.

    Attributes
    ----------
    history : int64 (B, L), item rows, the most recent last, 0 at padding, which stands in front.
    real_history : likewise, without substitution.
    mask : bool (B, L), True at behaviours.
    earlier_mask : bool (B, L), the same without the last behaviour.
    gaps, earlier_gaps : int64 (B, L), see time_gaps.py, of all behaviours and of those without the last.
    types : int64 (B, L), rows of the event types, 0 at padding and where unknown.
    asked_gap : int64 (B,), from the last behaviour to the target, in the same buckets.
    target : int64 (B,).
    profile : int64 (B, P).
    negatives : int64 (M,).
    log_q : float (items,), the logarithm of each item's expected count among M negatives.
    """

    history: Tensor
    real_history: Tensor
    mask: Tensor
    earlier_mask: Tensor
    gaps: Tensor
    earlier_gaps: Tensor
    types: Tensor
    asked_gap: Tensor
    target: Tensor
    profile: Tensor
    negatives: Tensor
    log_q: Tensor

    @cached_property
    def rows_and_places(self) -> tuple[Tensor, Tensor]:
        """Return the rows of all items, each once, ascending, and each item's place there."""
        items = torch.cat([self.history.flatten(), self.target, self.negatives])
        rows, places = torch.unique(items, return_inverse=True)
        return rows, places

    @property
    def rows(self) -> Tensor:
        """Return the rows of all items of the batch, each once, ascending: int64 (rows,)."""
        return self.rows_and_places[0]


def objective(model: InterestModel, batch: TrainingBatch, training: TrainingConfig) -> Tensor:
    """Return the loss of one batch with its penalties, a tensor ()."""
    # Embedding the rows of the batch alone keeps the cost of a step independent of the size of the catalogue.
    rows, places = batch.rows_and_places
    history, target, negatives = places.split([batch.history.numel(), len(batch.target), len(batch.negatives)])
    table = model.embed(rows)  # (rows, d)
    behaviours = table[history].view(*batch.history.shape, -1)  # (B, L, d)
    logits = model.training_logits(batch.history)  # (B, K, L)
    inputs = behaviours, batch.mask, logits, batch.profile, batch.gaps, batch.types, batch.asked_gap
    capsules, active, weights = model.extract(*inputs)
    log_q = batch.log_q[rows]  # (rows,)
    if training.loss == "joint":
        repeats = _repeat_scores(rows, model, batch)
        scores = capsule_scores(model.scale * capsules, active, table, target, negatives, log_q, repeats)
        losses = joint_softmax(*scores, training.sharpness)
    else:
        user = model.scale * label_aware_attention(capsules, active, table[target], model.config.pow_p)  # (B, d)
        losses = sampled_softmax(user, table, target, negatives, log_q, training.hard_negatives)
    if training.independence_steps:
        losses = losses * independent_weights(capsules, active, training.independence_steps)
    read = _Read(behaviours, logits, capsules, active, weights)
    return losses.mean() + _penalties(model, batch, training, read)


class _Read(NamedTuple):
    """What a model makes of a batch: its inputs and outputs, see `InterestModel.extract`."""

    behaviours: Tensor
    logits: Tensor
    capsules: Tensor
    active: Tensor
    weights: Tensor


def _penalties(model: InterestModel, batch: TrainingBatch, training: TrainingConfig, read: _Read) -> Tensor:
    """Return the sum of the penalties that the settings name, a tensor ()."""
    total = torch.zeros((), device=read.capsules.device)
    if training.latent_penalty:
        total = total + training.latent_penalty * model.latent_divergence(read.behaviours, batch.mask)
    if training.routing_penalty:
        total = total + training.routing_penalty * routing_penalty(read.weights, batch.mask)
    if training.separation:
        total = total + training.separation * separation_penalty(read.capsules, read.active)
    if training.stability:
        some = slice((len(batch.target) + 3) // 4)  # a quarter tells as much, and costs a quarter
        earlier = batch.earlier_mask, read.logits, batch.profile, batch.earlier_gaps, batch.types, batch.asked_gap
        before, was_active, _ = model.extract(read.behaviours[some], *(part[some] for part in earlier))
        both = read.active[some] & was_active
        total = total + training.stability * stability_penalty(read.capsules[some], before, both)
    return total


def _repeat_scores(rows: Tensor, model: InterestModel, batch: TrainingBatch) -> Tensor | None:
    """Return `model.repeat_scores` among a step's items, times the scale: (B, rows).

    `rows` is int64, ascending.

    Histories count as they were: an item that was substituted is still one that the user has.
    """
    places = torch.searchsorted(rows, batch.real_history).clamp(max=len(rows) - 1)  # (B, L)
    repeats = model.repeat_scores(places, batch.mask & (rows[places] == batch.real_history), len(rows))
    return None if repeats is None else model.scale * repeats
