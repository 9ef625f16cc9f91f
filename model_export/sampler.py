"""Batches for training: (history, target) pairs and the negatives that they share."""

from typing import Any

import numpy as np
import torch

from model_export.cooccurrence import Neighbours
from model_export.dataset import Sequences, positions_of, windows, without_last
from model_export.objective import Batch
from model_export.time_gaps import time_gaps
from model_export.training_config import TrainingConfig

FURTHER_BACK = 0.9  # how much less each behaviour counts than the one after it, where item-kNN teaches


class Sampler:
    """Draws batches; every behaviour of a training user but the first is a target.

    Parameters
    ----------
    users : the training users, indices into sequences.user_ids.
    length : L.
    items : number of items.
    neighbours : what behaviours and targets are replaced by, where the settings say so.

    Raises
    ------
    ValueError
        If there are fewer targets than a batch has.
    """

    def __init__(
        self,
        sequences: Sequences,
        users: np.ndarray,
        length: int,
        training: TrainingConfig,
        items: int,
        device: torch.device,
        neighbours: Neighbours | None = None,
    ) -> None:
        self.sequences, self.length, self.training, self.device = sequences, length, training, device
        self.neighbours = neighbours
        self.rng = np.random.default_rng(training.seed)
        positions, owners = positions_of(sequences, users)
        later = positions > sequences.starts[owners]
        self.targets, self.owners = positions[later], owners[later]
        if len(self.targets) < training.batch_size:
            raise ValueError(
                f"the log has {len(self.targets)} behaviours that follow another one of a training user; "
                f"training needs at least {training.batch_size} (--batch-size)"
            )
        self.by_weight = np.cumsum(self.weights())
        counts = np.bincount(sequences.items[positions], minlength=items)
        if training.negative_sampling == "uniform":
            counts = np.zeros_like(counts)
        share = (counts + 1) / (counts + 1).sum()  # + 1: an item seen by held-out users alone can be drawn too
        self.by_popularity = np.cumsum(share)
        self.log_q = torch.from_numpy(np.log(share * training.negatives).astype(np.float32)).to(device)

    def weights(self) -> np.ndarray:
        """How often each target is drawn beside the others (targets,), by its age and its user's number of them."""
        weights = np.bincount(self.owners)[self.owners].astype(float) ** -self.training.user_balance
        if self.training.recency_half_life is None:
            return weights
        times = self.sequences.times[self.targets]
        age = (times.max() - times) / max(times.max() - times.min(), 1)
        return weights * 0.5 ** (age / self.training.recency_half_life)

    def batch(self) -> Batch:
        """Draw the next batch."""
        chosen = draw(self.by_weight, self.training.batch_size, self.rng)
        ends, owners = self.targets[chosen], self.owners[chosen]
        real_history, mask, times = windows(self.sequences, ends, self.sequences.starts[owners], self.length)
        history, target = real_history.copy(), self.sequences.items[ends]  # the latter a copy, as `ends` is an array
        if self.neighbours is not None and self.training.substitution:
            swapped = mask & (self.rng.random(mask.shape) < self.training.substitution)
            history[swapped] = self.neighbours.draw(history[swapped], self.rng)
        if self.neighbours is not None and self.training.distillation:
            taught = np.flatnonzero(self.rng.random(len(target)) < self.training.distillation)
            target[taught] = self.recommended(real_history[taught], mask[taught], self.neighbours)
        negatives = draw(self.by_popularity, self.training.negatives, self.rng)
        earlier = without_last(mask)
        arrays = {
            "history": history,
            "real_history": real_history,
            "mask": mask,
            "earlier_mask": earlier,
            "gaps": time_gaps(times, mask),
            "earlier_gaps": time_gaps(times, earlier),
            "target": target,
            "profile": self.sequences.profiles[owners],
            "negatives": negatives,
        }
        tensors = {name: torch.from_numpy(array).to(self.device) for name, array in arrays.items()}
        return Batch(**tensors, log_q=self.log_q)

    def recommended(self, history: np.ndarray, mask: np.ndarray, neighbours: Neighbours) -> np.ndarray:
        """What item-kNN would say, drawn as often as it is sure of it: a neighbour of a recent behaviour, int64 (B,).

        Parameters
        ----------
        history int64 (B, L), mask bool (B, L), each with one behaviour or more; padding in front.
        """
        number = mask.sum(1)
        left = 1 - self.rng.random(len(history)) * (1 - FURTHER_BACK**number)  # in (FURTHER_BACK ** number, 1]
        age = np.minimum(np.log(left) / np.log(FURTHER_BACK), number - 1).astype(np.int64)
        return neighbours.draw(history[np.arange(len(history)), self.length - 1 - age], self.rng)

    def state(self) -> dict[str, Any]:
        """Where the random numbers stand, to go on from there."""
        return dict(self.rng.bit_generator.state)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.rng.bit_generator.state = state


def draw(cumulative: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Indices drawn in proportion to weights whose cumulative sums these are: int64 (number,)."""
    return np.searchsorted(cumulative, rng.random(number) * cumulative[-1], side="right")
