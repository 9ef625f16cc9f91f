"""Repeat consumption: the score that items of a user's own history get on top of max-sim.

People come back to what they had, and how likely depends on how long ago that was (Anderson et al., "The Dynamics of
Repeat Consumption", WWW 2014). A capsule stands for a neighbourhood of items and cannot say that. So a model may learn
one number for each age a (how many behaviours came after), and the score of an item is

    max_k v_k e_i + sum of r_a over the behaviours with item i

What is learned is raised by what validation users come back to (own_item_tuning.py). Only the items of the history are
touched, so a search for max-sim without them, and then these, is exact.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from model_export.bundle.bundle import Bundle
from model_export.bundle.scoring.raised_items import NO_ITEMS, RaisedItems

__all__ = ["own_items"]


def own_items(bundle: Bundle, history: Sequence[int]) -> RaisedItems:
    """Return the items of a history with the bonus of each.

    None come back if the bundle's model has no such bonus.

    Parameters
    ----------
    history : rows of the items that the bundle knows, oldest first; the last L count, as for capsules.
    """
    if not bundle.manifest.repeat_bonus or not history:
        return NO_ITEMS
    bonus = _bonus_of(tuple(bundle.manifest.repeat_bonus))
    last = history[-len(bonus) :]
    sums: dict[int, float] = {}
    for row, its in zip(last, bonus[len(bonus) - len(last) :], strict=True):  # too few for NumPy to be quicker
        sums[row] = sums.get(row, 0.0) + its
    rows = sorted(sums)
    return RaisedItems(np.array(rows, dtype=np.int64), np.array([sums[row] for row in rows], dtype=np.float32))


@lru_cache
def _bonus_of(repeat_bonus: tuple[float, ...]) -> list[float]:
    """Return the bonus of each age in single precision, that of the last behaviour at the end."""
    numbers: list[float] = np.array(repeat_bonus, dtype=np.float32)[::-1].tolist()
    return numbers
