"""Windows over the behaviours of users: what a model of the next item is trained on."""

from dataclasses import dataclass

import numpy as np

from model_export.data.dataset import Sequences, history_windows

__all__ = ["Windows", "training_windows"]


@dataclass(frozen=True)
class Windows:
    """Inputs and, at every position, the item that came next.

    Attributes
    ----------
    history : int64 (W, L), item rows, most recent last, 0 at padding.
    mask : bool (W, L), True at behaviours.
    times : int64 (W, L), Unix time in milliseconds, meaningless at padding.
    following : int64 (W, L), row of the item after each behaviour, 0 at padding.
    """

    history: np.ndarray
    mask: np.ndarray
    times: np.ndarray
    following: np.ndarray

    def __len__(self) -> int:
        return len(self.history)

    def take(self, rows: np.ndarray) -> "Windows":
        """Return some of the windows, as wide as the longest of them."""
        wide = slice(self.mask.shape[1] - int(self.mask[rows].sum(1).max(initial=0)), None)
        return Windows(
            self.history[rows, wide], self.mask[rows, wide], self.times[rows, wide], self.following[rows, wide]
        )


def training_windows(sequences: Sequences, users: np.ndarray, length: int) -> Windows:
    """Cut users' behaviours into windows: each behaviour but the first is a target once.

    Parameters
    ----------
    users : int64, indices into sequences.user_ids; those with one behaviour have no window.
    length : L, most behaviours of an input.
    """
    targets = sequences.lengths[users] - 1
    per_user = -(-np.maximum(targets, 0) // length)  # rounded up
    owners = np.repeat(users, per_user)
    before = np.cumsum(per_user) - per_user
    places = np.arange(len(owners)) - np.repeat(before, per_user)  # 0 at the most recent window of each user
    ends = sequences.starts[owners + 1] - places * length
    rows, mask, times, _ = history_windows(sequences, ends, sequences.starts[owners], length + 1)
    real = mask[:, :-1]
    return Windows(rows[:, :-1], real, times[:, :-1], np.where(real, rows[:, 1:], 0))
