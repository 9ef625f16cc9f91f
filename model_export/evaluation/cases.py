"""Evaluation cases: histories, and the behaviours that really followed them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from model_export.data.dataset import LaterBehaviours, Sequences, history_windows

__all__ = ["Cases", "chronological_cases", "comirec_cases", "next_item_cases"]


@dataclass(frozen=True)
class Cases:
    """Histories and the behaviours that really followed.

    Attributes
    ----------
    history : int64 (C, L), item rows, most recent last, 0 at padding.
    mask : bool (C, L).
    profiles : int64 (C, P).
    labels : int64 (C, Y), item rows of every behaviour that followed, repeats kept, -1 at padding.
    times : int64 (C, L), when the behaviours of the history were, Unix time in milliseconds; all zero where unknown.
    types : int64 (C, L), rows of their event types, 0 where unknown; given as (1,) where all have one.
    asked_ms : int64 (C,), when the first of the labels was, in the same unit: the moment at which somebody asks.
    label_types : int64 (C, Y), rows of the labels' event types; what stands at padding has no meaning.
    users : int64 (C,), indices into the user_ids of the sequences that the histories are of; -1 where unknown.
    """

    history: np.ndarray
    mask: np.ndarray
    profiles: np.ndarray
    labels: np.ndarray
    times: np.ndarray
    types: np.ndarray = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    asked_ms: np.ndarray = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    label_types: np.ndarray = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    users: np.ndarray = field(default_factory=lambda: np.full(1, -1, dtype=np.int64))

    def __post_init__(self) -> None:
        of_each = self.history.shape[:1]
        shapes = {
            "types": self.history.shape,
            "asked_ms": of_each,
            "label_types": self.labels.shape,
            "users": of_each,
        }
        for name, shape in shapes.items():
            object.__setattr__(self, name, np.broadcast_to(getattr(self, name), shape))

    def __len__(self) -> int:
        return len(self.history)

    def take(self, rows: np.ndarray | slice) -> "Cases":
        """Return some of the cases."""
        return Cases(*(part[rows] for part in vars(self).values()))

    def batches(self, size: int) -> Iterator["Cases"]:
        """Return all cases in parts of at most `size`."""
        return (self.take(slice(at, at + size)) for at in range(0, len(self), size))

    def sample(self, most: int, seed: int) -> "Cases":
        """Return at most `most` of the cases, drawn by `seed`, in their order."""
        return self.take(_drawn(len(self), most, seed))


def next_item_cases(sequences: Sequences, users: np.ndarray, length: int, most: int, seed: int) -> Cases:
    """Make cases of single behaviours, to be predicted from those before them.

    Parameters
    ----------
    users : int64, indices into sequences.user_ids.
    length : L, most behaviours of a history.
    most : at most so many cases, drawn by `seed` from all behaviours of these users that follow another one.
    """
    later = LaterBehaviours(sequences, users)
    ends, owners = later.at(np.random.default_rng(seed).permutation(len(later))[:most])
    history, mask, times, types = history_windows(sequences, ends, sequences.starts[owners], length)
    labels, label_types = (of[ends].astype(np.int64)[:, None] for of in (sequences.items, sequences.types))
    profiles, asked_ms = sequences.profiles[owners], sequences.times[ends]
    return Cases(history, mask, profiles, labels, times, types, asked_ms, label_types, owners)


def comirec_cases(
    sequences: Sequences, users: np.ndarray, length: int = 20, most: int | None = None, seed: int = 7
) -> Cases:
    """Make a case of each user: the last fifth, to be predicted from the first four.

    The protocol of Cen et al., "Controllable Multi-Interest Framework for Recommendation", KDD 2020: of n behaviours
    the first int(0.8 n) are the history, of which the last `length` are read; the rest are the labels. A user of a
    single behaviour has no history and is left out.

    Parameters
    ----------
    users : int64, indices into sequences.user_ids.
    length : L, most behaviours of a history.
    most : at most so many cases, drawn as by `Cases.sample`; None: of all users. All cases of a large log, as wide as
        the longest, take much more memory than the log.
    """
    users = users[sequences.lengths[users] >= 2]
    users = users[_drawn(len(users), most, seed)]
    starts, ends = sequences.starts[users], sequences.starts[users + 1]
    cuts = starts + (ends - starts) * 4 // 5  # whole numbers: int(0.8 n) without its rounding
    history, mask, times, types = history_windows(sequences, cuts, starts, length)
    labels, label_types = _labels_between(sequences, cuts, ends)
    profiles, asked_ms = sequences.profiles[users], sequences.times[cuts]
    return Cases(history, mask, profiles, labels, times, types, asked_ms, label_types, users)


def chronological_cases(
    past: Sequences, future: Sequences, length: int, most: int | None = None, seed: int = 7
) -> Cases:
    """Make a case of each user: behaviours after a date, to be predicted from those before.

    The last `length` behaviours before the date are read.

    Parameters
    ----------
    past, future : behaviours before and after the date; only users of both are asked for.
    most : at most so many cases, drawn as by `Cases.sample`; None: of all users.
    """
    places = pd.Index(future.user_ids).get_indexer(pd.Index(past.user_ids))  # (U,), -1 where not in the future
    both = (places >= 0) & (past.lengths > 0)
    both[both] &= future.lengths[places[both]] > 0
    users = np.flatnonzero(both)
    users = users[_drawn(len(users), most, seed)]
    later = places[users]
    history, mask, times, types = history_windows(past, past.starts[users + 1], past.starts[users], length)
    labels, label_types = _labels_between(future, future.starts[later], future.starts[later + 1])
    asked_ms = future.times[future.starts[later]]
    return Cases(history, mask, past.profiles[users], labels, times, types, asked_ms, label_types, users)


def _labels_between(sequences: Sequences, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the items at positions starts[c] up to ends[c] and their types.

    Both int64 (C, Y), the items -1 at padding.
    """
    positions = starts[:, None] + np.arange(int((ends - starts).max(initial=1)))  # (C, Y)
    real = positions < ends[:, None]
    rows, types = (of[np.where(real, positions, 0)].astype(np.int64) for of in (sequences.items, sequences.types))
    return np.where(real, rows, -1), np.where(real, types, 0)


def _drawn(number: int, most: int | None, seed: int) -> np.ndarray:
    """Draw at most `most` of 0 to `number`, in order; None: all of them."""
    if most is None:
        return np.arange(number)
    return np.sort(np.random.default_rng(seed).permutation(number)[:most])
