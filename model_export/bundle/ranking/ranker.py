"""A bundle's ranker, run by ONNX Runtime: users with candidates in, scores by task out. No torch.

Its inputs are those of INPUTS that the graph has:

behaviours          float32 (B, L, r), rows of ranker_items.npy, the most recent last, padded in front
mask                bool (B, L), True at behaviours
gaps                int64 (B, L), the time from each behaviour to when somebody asks (time_gaps.py)
types               int64 (B, L), rows of the event types, 0 for unknown
profile             int64 (B, P), the row of the user's value in each profile field, 0 for unknown
candidates          float32 (B, N, r), rows of ranker_items.npy; zeros for an item that is new since training
candidate_features  float32 (B, N, F), see features.py
capsules            float32 (B, K, d), the user's interests; zeros for those that the user has not
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from model_export.bundle.bundle import RANKER, Bundle
from model_export.bundle.errors import BundleError
from model_export.bundle.onnx_session import open_session, padded_lengths
from model_export.bundle.ranking.ranker_settings import RankerSettings
from model_export.bundle.time_gaps import gaps_until

__all__ = ["OUTPUT", "RankedUser", "Ranker", "joined"]

OUTPUT = "scores"
AT_ONCE = 20_000  # candidates of one run: what a network makes of them has to fit into memory beside other runs


@dataclass(frozen=True, eq=False)
class RankedUser:
    """One user whose candidates are to be ranked.

    Attributes
    ----------
    history_rows, times_ms : int64 (T,), the user's behaviours, oldest first, and when they were; the last L are read.
    types : event type of each, in lower case; empty: all are unknown.
    profile : profile field -> value.
    capsules, importance : float32 (K', d) and (K',).
    asked_ms : when somebody asks, Unix time in milliseconds.
    candidates : int64 (N,), rows of items; those behind the item table are new since training.
    features : float32 (N, F), see `compute_features`.
    """

    history_rows: np.ndarray
    times_ms: np.ndarray
    types: Sequence[str]
    profile: Mapping[str, str]
    capsules: np.ndarray
    importance: np.ndarray
    asked_ms: int
    candidates: np.ndarray
    features: np.ndarray

    def with_candidates(self, candidates: np.ndarray, features: np.ndarray) -> "RankedUser":
        """Return the same user with other candidates."""
        return replace(self, candidates=candidates, features=features)


def joined(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Join scores (N, T) into one for each candidate by the tasks' weights (T,): float32 (N,)."""
    return np.asarray(scores @ weights, dtype=np.float32)


class Ranker:
    """The ranking graph of one bundle with its item table.

    Parameters
    ----------
    bundle : with a ranker.
    threads : of ONNX Runtime.

    Raises
    ------
    BundleError
        If the bundle has no ranker, or ONNX Runtime cannot load it.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        if not bundle.manifest.ranker:
            raise BundleError(f"{bundle.path} has no ranker; `mindstream model train --ranker NAME` makes one with it")
        self.bundle, self.settings = bundle, RankerSettings(**bundle.manifest.ranker)
        self.session = open_session(bundle.path / RANKER, threads)
        self.reads = tuple(node.name for node in self.session.get_inputs())
        self.lengths = padded_lengths(self.session, self.settings.history_length)
        self.type_rows, self.profile_rows = bundle.manifest.type_rows(), bundle.manifest.profile_rows()

    def score(self, users: Sequence[RankedUser]) -> list[np.ndarray]:
        """Score the candidates of users.

        Those with the same number of candidates, and histories of a like length, are scored in one run.

        Returns
        -------
        float32 (N, T) for each user, in their order
        """
        alike: dict[tuple[int, int], list[int]] = {}
        for place, user in enumerate(users):
            alike.setdefault((self._length_of(user), len(user.candidates)), []).append(place)
        found: list[np.ndarray] = [np.zeros((0, len(self.settings.tasks)), dtype=np.float32)] * len(users)
        for (length, number), places in alike.items():
            at_once = max(1, AT_ONCE // max(1, number))
            for at in range(0, len(places) if number else 0, at_once):
                some = places[at : at + at_once]
                [scores] = self.session.run([OUTPUT], self.inputs([users[place] for place in some], length))
                for place, its in zip(some, scores, strict=True):
                    found[place] = its
        return found

    def _length_of(self, user: RankedUser) -> int:
        """Return the length that a user's history is padded to."""
        read = min(len(user.history_rows), self.settings.history_length)
        return self.lengths[int(np.searchsorted(self.lengths, read))]

    def inputs(self, users: Sequence[RankedUser], length: int) -> dict[str, np.ndarray]:
        """Return the graph's inputs for users with the same number of candidates.

        Parameters
        ----------
        length : of the padded histories.
        """
        makers = {
            "behaviours": self._behaviours,
            "mask": lambda users, mask: mask,
            "gaps": self._gaps,
            "types": self._types,
            "profile": self._profile,
            "candidates": self._candidates,
            "candidate_features": lambda users, mask: np.stack([user.features for user in users]),
            "capsules": self._capsules,
        }
        counts = np.array([min(len(user.history_rows), length) for user in users])
        mask = np.arange(length) >= length - counts[:, None]  # (B, L), padded in front
        return {name: makers[name](users, mask) for name in self.reads}

    def _spread(self, rows: Sequence[Sequence[int] | np.ndarray], mask: np.ndarray) -> np.ndarray:
        """Spread the last L numbers of each user over (B, L), int64; 0 at padding."""
        found = np.zeros(mask.shape, dtype=np.int64)
        found[mask] = np.concatenate([np.asarray(one[-mask.shape[1] :], dtype=np.int64) for one in rows])
        return found

    def _behaviours(self, users: Sequence[RankedUser], mask: np.ndarray) -> np.ndarray:
        """Look the behaviours up: float32 (B, L, r)."""
        rows = self._spread([user.history_rows for user in users], mask)
        found = np.take(self.bundle.ranker_items, rows, axis=0)
        found[~mask] = 0
        return found

    def _gaps(self, users: Sequence[RankedUser], mask: np.ndarray) -> np.ndarray:
        """Return the gaps (B, L)."""
        times = self._spread([user.times_ms for user in users], mask)
        return gaps_until(times, mask, np.array([user.asked_ms for user in users], dtype=np.int64))

    def _types(self, users: Sequence[RankedUser], mask: np.ndarray) -> np.ndarray:
        """Return the rows of the event types (B, L)."""
        rows = [
            [self.type_rows.get(name, 0) for name in user.types] or np.zeros(len(user.history_rows)) for user in users
        ]
        return self._spread(rows, mask)

    def _profile(self, users: Sequence[RankedUser], mask: np.ndarray) -> np.ndarray:
        """Return the rows of the profiles (B, P)."""
        fields = self.profile_rows.items()
        rows = [[its.get(user.profile.get(name, ""), 0) for name, its in fields] for user in users]
        return np.array(rows, dtype=np.int64).reshape(len(users), len(fields))

    def _candidates(self, users: Sequence[RankedUser], mask: np.ndarray) -> np.ndarray:
        """Look the candidates up: float32 (B, N, r); those that are new since training are zeros."""
        rows, items = np.stack([user.candidates for user in users]), self.bundle.manifest.items
        is_new = rows >= items
        found = np.take(self.bundle.ranker_items, np.where(is_new, 0, rows), axis=0)
        if is_new.any():
            found[is_new] = 0
        return found

    def _capsules(self, users: Sequence[RankedUser], mask: np.ndarray) -> np.ndarray:
        """Return the capsules (B, K, d), zeros for those that a user has not."""
        manifest = self.bundle.manifest
        found = np.zeros((len(users), manifest.num_interests, manifest.dim), dtype=np.float32)
        for its, user in zip(found, users, strict=True):
            its[: len(user.capsules)] = user.capsules
        return found
