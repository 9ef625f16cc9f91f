"""What a history adds to max-sim: the bonus of the user's own items, and that of their neighbours."""

from collections.abc import Sequence

import numpy as np

from model_export.bundle.bundle import Bundle
from model_export.bundle.scoring.own_items import own_items
from model_export.bundle.scoring.raised_items import RaisedItems, together

__all__ = ["raised_by"]


def raised_by(bundle: Bundle, history: Sequence[int]) -> RaisedItems:
    """Return the items that a history raises, with the bonus of each.

    Parameters
    ----------
    history : rows of the items that the bundle knows (`bundle.rows.known`), oldest first.
    """
    own = own_items(bundle, history)
    if bundle.neighbours is None or not history:
        return own
    return together(own, bundle.neighbours.raised(np.array(history)))
