"""Training batches: (history, target) pairs and the negatives that they share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from model_export.bundle.time_gaps import asked_gaps, time_gaps
from model_export.data.cooccurrence import Neighbours
from model_export.data.dataset import LaterBehaviours, Sequences, history_windows, item_counts, mask_without_last
from model_export.models.training_config import TrainingConfig
from model_export.training.objective import TrainingBatch

__all__ = ["Sampler", "draw_weighted"]

UNKNOWN_TYPES = 0.05  # share of the behaviours whose event type a batch hides


class Sampler:
    """A source of training batches.

    Every behaviour of a training user but the first is a target. It is drawn in proportion to the weight of its event
    type (Sequences.weights), times its recency if the settings say so; the loss takes all that are drawn alike. Its
    expectation is that of a loss whose targets weigh so much, and no step is spent on what hardly weighs.

    Where sequences have event types, some are hidden at random: so a model learns what to make of a behaviour whose
    type it does not know, as serving may have one beside others whose types it knows.

    Parameters
    ----------
    users : the training users, indices into sequences.user_ids.
    length : L.
    num_items : number of items.
    neighbours : the items that replace behaviours, if the settings say so.

    Raises
    ------
    ValueError
        If there are no targets.
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
        self.targets = LaterBehaviours(sequences, users)
        if not len(self.targets):
            raise ValueError(
                "no training user of the log has two behaviours, so nothing follows anything; right is a log in which "
                "users come back"
            )
        self.has_types = bool(sequences.types.any())
        self.by_weight = self._cumulative_weights()
        counts = item_counts(sequences, users, num_items)
        if training.negative_sampling == "uniform":
            counts = np.zeros_like(counts)
        share = (counts + 1) / (counts + 1).sum()  # + 1: an item seen by held-out users alone can be drawn too
        self.by_popularity = np.cumsum(share)
        self.log_q = torch.from_numpy(np.log(share * training.negatives).astype(np.float32)).to(device)

    def _cumulative_weights(self) -> np.ndarray:
        """Return the cumulative weights (targets,) of targets: type times recency."""
        cumulative, total, done = np.empty(len(self.targets)), 0.0, 0
        recency = self._recency()
        for positions in self.targets.blocks():
            weights = self.sequences.weights[positions] * recency(self.sequences.times[positions])
            weights[0] += total
            part = np.cumsum(weights, out=cumulative[done : done + len(weights)])
            total, done = part[-1], done + len(weights)
        return cumulative

    def _recency(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return the function from times (n,) of targets to what they weigh for their age, (n,)."""
        half_life = self.training.recency_half_life
        if half_life is None:
            return lambda times: np.ones(len(times))
        ends = [(times.min(), times.max()) for times in map(self.sequences.times.__getitem__, self.targets.blocks())]
        oldest, newest = min(first for first, _ in ends), max(last for _, last in ends)
        return lambda times: 0.5 ** ((newest - times) / max(newest - oldest, 1) / half_life)

    def batch(self) -> TrainingBatch:
        """Draw the next batch."""
        ends, owners = self.targets.at(draw_weighted(self.by_weight, self.training.batch_size, self.rng))
        first = self.sequences.starts[owners]
        real_history, mask, times, types = history_windows(self.sequences, ends, first, self.length)
        history = real_history.copy()
        if self.neighbours is not None and self.training.substitution:
            swapped = mask & (self.rng.random(mask.shape) < self.training.substitution)
            history[swapped] = self.neighbours.draw(history[swapped], self.rng)
        if self.has_types:
            types[self.rng.random(types.shape) < UNKNOWN_TYPES] = 0
        negatives = draw_weighted(self.by_popularity, self.training.negatives, self.rng)
        earlier = mask_without_last(mask)
        arrays = {
            "history": history,
            "real_history": real_history,
            "mask": mask,
            "earlier_mask": earlier,
            "gaps": time_gaps(times, mask),
            "earlier_gaps": time_gaps(times, earlier),
            "types": types,
            "asked_gap": asked_gaps(times, mask, self.sequences.times[ends]),
            "target": self.sequences.items[ends].astype(np.int64),
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
