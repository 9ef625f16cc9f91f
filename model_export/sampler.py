"""Batches for training: (history, target) pairs and the negatives that they share."""

import numpy as np
import torch

from model_export.checkpoint import TrainingConfig
from model_export.dataset import Sequences, windows


class Sampler:
    """Draws batches of (history, target) pairs and the negatives that they share."""

    def __init__(
        self,
        sequences: Sequences,
        users: np.ndarray,
        length: int,
        training: TrainingConfig,
        items: int,
        device: torch.device,
    ) -> None:
        self.sequences, self.length, self.training, self.device = sequences, length, training, device
        self.rng = np.random.default_rng(training.seed)
        lengths = sequences.lengths[users]
        owners = np.repeat(users, lengths)
        positions = np.concatenate(
            [np.arange(sequences.starts[u], sequences.starts[u + 1]) for u in users] + [np.zeros(0, dtype=np.int64)]
        )
        self.targets = positions[positions > sequences.starts[owners]]  # every behaviour but a user's first
        self.owners = owners[positions > sequences.starts[owners]]
        if len(self.targets) < training.batch_size:
            raise ValueError(
                f"the log has {len(self.targets)} behaviours that follow another one of a training user; "
                f"training needs at least {training.batch_size} (the batch size)"
            )
        counts = np.bincount(sequences.items[positions], minlength=items)
        share = (counts + 1) / (counts + 1).sum()  # + 1: an item seen by held-out users alone can be drawn too
        self.cumulative = np.cumsum(share)
        self.log_q = torch.from_numpy(np.log(share * training.negatives).astype(np.float32)).to(device)

    def batch(self) -> tuple[torch.Tensor, ...]:
        """history (B, L), mask (B, L), target (B,), profile (B, P), negatives (M,)."""
        chosen = self.rng.integers(len(self.targets), size=self.training.batch_size)
        ends, owners = self.targets[chosen], self.owners[chosen]
        history, mask = windows(self.sequences, ends, self.sequences.starts[owners], self.length)
        draws = self.rng.random(self.training.negatives) * self.cumulative[-1]
        arrays = (
            history,
            mask,
            self.sequences.items[ends],
            self.sequences.profiles[owners],
            np.searchsorted(self.cumulative, draws),
        )
        return tuple(torch.from_numpy(array).to(self.device) for array in arrays)
