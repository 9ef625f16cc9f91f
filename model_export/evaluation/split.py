"""The split of users into those that training learns from, and those held out for validation and test."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from model_export.models.training_config import TrainingConfig

__all__ = ["SIDES", "Split", "hash_sides", "split_of", "split_users"]

SIDES = ("train", "valid", "test")
NO_SIDES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Split:
    """Users for training, validation and test: int64 indices into Sequences.user_ids."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def split_users(
    user_ids: list[str], valid_share: float, test_share: float, sides: Mapping[str, str] = NO_SIDES
) -> Split:
    """Assign each user to training, validation or test.

    Parameters
    ----------
    user_ids : of Sequences.
    valid_share, test_share : shares of the users, if `sides` is empty. A hash of the id decides, so that a user
        stays on the same side in every log and run.
    sides : the publisher's own split, user id -> "train", "valid" or "test"; if it is given it decides.

    Raises
    ------
    ValueError
        If a user has none of the three sides in a split that is given.
    """
    places = _publisher_sides(user_ids, sides) if sides else hash_sides(user_ids, valid_share, test_share)
    return Split(*(np.flatnonzero(places == side) for side in range(len(SIDES))))


def split_of(training: TrainingConfig, user_ids: list[str], sides: Mapping[str, str] = NO_SIDES) -> Split:
    """Return the split that a training with these settings makes; see `split_users`."""
    return split_users(user_ids, training.valid_share, training.test_share, sides)


def _publisher_sides(user_ids: list[str], sides: Mapping[str, str]) -> np.ndarray:
    """Return each user's place in SIDES by the publisher's split: int64 (U,)."""
    wrong = next((user_id for user_id in user_ids if sides.get(user_id) not in SIDES), None)
    if wrong is not None:
        raise ValueError(
            f"the log's split puts user {wrong!r} on side {sides.get(wrong)!r}; expected one of: {', '.join(SIDES)}"
        )
    return np.array([SIDES.index(sides[user_id]) for user_id in user_ids], dtype=np.int64)


def hash_sides(user_ids: list[str], valid_share: float, test_share: float) -> np.ndarray:
    """Return each user's place in ("train", "valid", "test") by a hash of the id.

    Returns
    -------
    int64 (U,)
    """
    digests = (int.from_bytes(hashlib.blake2b(u.encode(), digest_size=8).digest(), "big") for u in user_ids)
    share = np.fromiter(digests, dtype=np.uint64, count=len(user_ids)) / 2.0**64
    return np.select([share < test_share, share < test_share + valid_share], [2, 1], 0)
