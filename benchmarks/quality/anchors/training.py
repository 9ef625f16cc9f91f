"""The training of models of the next item: softmax at every position, early stopping, dropout by validation users.

All of it is ours, not the papers': SASRec's draws one negative a position, here the softmax is over all items or over
a sample with the correction for how often an item is drawn.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.quality.anchors.next_item import NextItemModel, NextItemRanker, NextItemSettings
from benchmarks.quality.anchors.windows import Windows, training_windows
from model_export.data.dataset import Sequences
from model_export.evaluation.cases import Cases
from model_export.evaluation.rankers import TUNING_CASES, tuning_recall

__all__ = ["Negatives", "softmax_loss", "train_next_item", "tune_next_item"]

NewEncoder = Callable[[int, int, float], nn.Module]  # dimensions, most behaviours, dropout -> encoder

DROPOUTS = (0.2, 0.5)
ALL_ITEMS = 4_096  # items up to which the softmax is over all; more of them are sampled, which is as much work or less


@dataclass(frozen=True)
class Negatives:
    """Items that a step draws instead of all.

    Attributes
    ----------
    rows : int64 (M,), drawn with replacement.
    log_q : float, logarithm of how often each is drawn in expectation.
    """

    rows: Tensor
    log_q: float


def softmax_loss(
    states: Tensor, following: Tensor, table: Tensor, scale: float, negatives: Negatives | None = None
) -> Tensor:
    """Return the mean of -log softmax of the item that followed.

    Parameters
    ----------
    states : float (N, d).
    following : int64 (N,), item rows.
    table : float (items, d).
    scale : what inner products are multiplied by.
    negatives : what the sum over all items is estimated from; None: it is over all. An item's term is divided by how
        often it is drawn, so the expectation of the sum is that over all items.

    Returns
    -------
    ()
    """
    if negatives is None:
        return nn.functional.cross_entropy(scale * states @ table.T, following)
    positive = scale * (states * table[following]).sum(1, keepdim=True)  # (N, 1)
    others = scale * states @ table[negatives.rows].T - negatives.log_q  # (N, M)
    others = others.masked_fill(negatives.rows[None, :] == following[:, None], -torch.inf)
    return (torch.cat([positive, others], 1).logsumexp(1) - positive[:, 0]).mean()


class _Training:
    """A model, the windows that it learns from, and the state of the optimizer."""

    def __init__(self, model: NextItemModel, windows: Windows, settings: NextItemSettings) -> None:
        self.model, self.windows, self.settings = model, windows, settings
        self.rng = np.random.default_rng(settings.seed)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": model.items.parameters(), "weight_decay": settings.weight_decay},
                {"params": model.encoder.parameters(), "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
        )

    def run_to_look(self) -> None:
        """Pass over the windows until at least `least_steps` are taken."""
        self.model.train()
        steps = 0
        while steps < self.settings.least_steps:
            for rows in self._batches():
                self._step(rows)
                steps += 1

    def _batches(self) -> list[np.ndarray]:
        """Return the rows of all windows in batches of about the same length, in random order."""
        order = self.rng.permutation(len(self.windows))
        order = order[np.argsort(self.windows.mask[order].sum(1), kind="stable")]
        batches = np.split(order, range(self.settings.batch_size, len(order), self.settings.batch_size))
        return [batches[place] for place in self.rng.permutation(len(batches))]

    def _step(self, rows: np.ndarray) -> None:
        """Take one step of AdamW on some windows."""
        batch = self.windows.take(rows)
        history, mask, times = (torch.from_numpy(array) for array in (batch.history, batch.mask, batch.times))
        following = torch.from_numpy(batch.following)[mask]
        states = self.model(history, mask, times)[mask]  # (N, d)
        loss = softmax_loss(states, following, self.model.table(), self.settings.scale, self._negatives())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def _negatives(self) -> Negatives | None:
        """Draw items, all alike; None if the softmax is over all."""
        number, items = self.settings.negatives, self.model.items.num_embeddings
        if items <= ALL_ITEMS:
            return None
        return Negatives(torch.from_numpy(self.rng.integers(items, size=number)), math.log(number / items))


def train_next_item(
    sequences: Sequences,
    users: np.ndarray,
    num_items: int,
    valid_cases: Cases,
    length: int,
    new_encoder: NewEncoder,
    settings: NextItemSettings,
) -> tuple[NextItemModel, float]:
    """Train a model until the recall of the validation cases stops growing.

    Parameters
    ----------
    users : int64, whose behaviours are learned from.
    valid_cases : of other users; without any, there are `patience` looks and the last weights are kept.
    length : L, most behaviours of an input.

    Returns
    -------
    the model with the best weights, and their recall; nan without cases
    """
    torch.manual_seed(settings.seed)
    model = NextItemModel(num_items, new_encoder(settings.dim, length, settings.dropout), settings.dim)
    training = _Training(model, training_windows(sequences, users, length), settings)
    best, weights, without_gain = np.nan, {}, 0
    for _ in range(settings.looks if len(valid_cases) else settings.patience):
        training.run_to_look()
        recall = tuning_recall(NextItemRanker("", model), valid_cases) if len(valid_cases) else np.nan
        without_gain += 1
        if not recall <= best:
            best, weights, without_gain = recall, copy.deepcopy(model.state_dict()), 0
        if without_gain == settings.patience:
            break
    model.load_state_dict(weights)
    return model.eval(), best


def tune_next_item(
    name: str,
    sequences: Sequences,
    train_users: np.ndarray,
    num_items: int,
    valid_cases: Cases,
    length: int,
    new_encoder: NewEncoder,
    seed: int = 7,
) -> NextItemRanker:
    """Train with each dropout and keep the model of best recall on validation cases.

    Parameters
    ----------
    name : what people call it.
    valid_cases : of users that are not among `train_users`; at most 3,000 are drawn. Without any, nothing is tuned.
    length : L, most behaviours of an input.
    """
    cases = valid_cases.sample(TUNING_CASES, seed)
    trained = [
        train_next_item(sequences, train_users, num_items, cases, length, new_encoder, settings)
        for settings in (NextItemSettings(dropout=dropout, seed=seed) for dropout in DROPOUTS)
    ]
    best, _ = max(trained, key=lambda one: one[1])
    return NextItemRanker(name, best)
