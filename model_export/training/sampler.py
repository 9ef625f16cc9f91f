"""Training batches: (history, target) pairs and the negatives that they share."""

from typing import Any

import numpy as np
import torch

from model_export.bundle.time_gaps import time_gaps
from model_export.data.cooccurrence import Neighbours
from model_export.data.dataset import Sequences, history_windows, mask_without_last, positions_of
from model_export.models.training_config import TrainingConfig
from model_export.training.objective import TrainingBatch

__all__ = ["Sampler", "draw_weighted"]


class Sampler:
    """A source of training batches.

    Every behaviour of a training user but the first is a target.

    Parameters
    ----------
    users : the training users, indices into sequences.user_ids.
    length : L.
    num_items : number of items.
    neighbours : the items that replace behaviours, if the settings say so.

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
        num_items: int,
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
        self.by_age = self._cumulative_ages()
        counts = np.bincount(sequences.items[positions], minlength=num_items)
        if training.negative_sampling == "uniform":
            counts = np.zeros_like(counts)
        share = (counts + 1) / (counts + 1).sum()  # + 1: an item seen by held-out users alone can be drawn too
        self.by_popularity = np.cumsum(share)
        self.log_q = torch.from_numpy(np.log(share * training.negatives).astype(np.float32)).to(device)

    def _cumulative_ages(self) -> np.ndarray:
        """Return the cumulative weights (targets,) of targets: halved with each half-life of age."""
        if self.training.recency_half_life is None:
            return np.arange(1.0, len(self.targets) + 1)
        times = self.sequences.times[self.targets]
        age = (times.max() - times) / max(times.max() - times.min(), 1)
        return np.cumsum(0.5 ** (age / self.training.recency_half_life))

    def batch(self) -> TrainingBatch:
        """Draw the next batch."""
        chosen = draw_weighted(self.by_age, self.training.batch_size, self.rng)
        ends, owners = self.targets[chosen], self.owners[chosen]
        real_history, mask, times = history_windows(self.sequences, ends, self.sequences.starts[owners], self.length)
        history = real_history.copy()
        if self.neighbours is not None and self.training.substitution:
            swapped = mask & (self.rng.random(mask.shape) < self.training.substitution)
            history[swapped] = self.neighbours.draw(history[swapped], self.rng)
        negatives = draw_weighted(self.by_popularity, self.training.negatives, self.rng)
        earlier = mask_without_last(mask)
        arrays = {
            "history": history,
            "real_history": real_history,
            "mask": mask,
            "earlier_mask": earlier,
            "gaps": time_gaps(times, mask),
            "earlier_gaps": time_gaps(times, earlier),
            "target": self.sequences.items[ends],
            "profile": self.sequences.profiles[owners],
            "negatives": negatives,
        }
        tensors = {name: torch.from_numpy(array).to(self.device) for name, array in arrays.items()}
        return TrainingBatch(**tensors, log_q=self.log_q)

    def state(self) -> dict[str, Any]:
        """Return the state of the random generator."""
        return dict(self.rng.bit_generator.state)

    def restore(self, state: dict[str, Any]) -> None:
        """Set the random generator to a state that `state` returned."""
        self.rng.bit_generator.state = state


def draw_weighted(cumulative: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Draw indices in proportion to weights.

    Parameters
    ----------
    cumulative : (n,), the cumulative sums of the weights.

    Returns
    -------
    int64 (number,)
    """
    places: np.ndarray = np.searchsorted(cumulative, rng.random(number) * cumulative[-1], side="right")
    return places
