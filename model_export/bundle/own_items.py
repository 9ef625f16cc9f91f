"""Repeat consumption: the score that items of a user's own history get on top of max-sim.

People come back to what they had, and how likely depends on how long ago that was (Anderson et al., "The Dynamics of
Repeat Consumption", WWW 2014). A capsule stands for a neighbourhood of items and cannot say that. So a model may learn
one number for each age a (how many behaviours came after), and the score of an item is

    max_k v_k e_i + sum of r_a over the behaviours with item i

What is learned is raised by what validation users come back to (own_item_tuning.py). Only the items of the history are
touched, so a search for max-sim without them, and then these, is exact.
"""

from collections.abc import Sequence

import numpy as np

from model_export.bundle.format import Bundle

__all__ = ["own_items"]


def own_items(bundle: Bundle, history: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the bonus of each item in a history, for items that the bundle knows.

    Empty if the bundle's model has learned no bonus.

    Parameters
    ----------
    history : item ids, oldest first; the last L that the bundle knows count, as for capsules.

    Returns
    -------
    rows : int64 (R,), ascending.
    bonus : float32 (R,).
    """
    bonus = np.array(bundle.manifest.repeat_bonus, dtype=np.float32)  # (L,)
    known = [row for item_id in history if (row := bundle.rows.get(item_id)) is not None] if len(bonus) else []
    last = np.array(known[-len(bonus) :] if known else [], dtype=np.int64)
    rows, places = np.unique(last, return_inverse=True)
    sums = np.bincount(places, weights=bonus[: len(last)][::-1], minlength=len(rows))
    return rows, sums.astype(np.float32)
