"""What a history adds to max-sim: the bonus of the user's own items, and that of their neighbours."""

from collections.abc import Sequence

import numpy as np

from model_export.bundle.bundle import Bundle
from model_export.bundle.scoring.own_items import own_items
from model_export.bundle.scoring.raised_items import RaisedItems, together

__all__ = ["raised_by"]


def raised_by(bundle: Bundle, history: Sequence[str]) -> RaisedItems:
    """Return the items of the bundle that a history raises, with the bonus of each.

    Parameters
    ----------
    history : item ids, oldest first.
    """
    own = own_items(bundle, history)
    if bundle.neighbours is None:
        return own
    known = np.array(bundle.rows.known(history), dtype=np.int64)
    return together(own, bundle.neighbours.raised(known))
