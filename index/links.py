"""The links of hnswlib's graph, by rows: what a joint beam walks along."""

from dataclasses import dataclass
from typing import Any

import numpy as np

ENTRIES = 256  # rows that every search begins with, from the upper levels: enough that one is near each capsule
NO_LINK = -1


@dataclass(frozen=True)
class Links:
    """A graph of items.

    Attributes
    ----------
    rows : int32 (items, 2 M), the rows that each is linked to; -1 behind the last.
    entries : int32 (E,), of the upper levels, the highest first.
    """

    rows: np.ndarray
    entries: np.ndarray

    @property
    def nbytes(self) -> int:
        return int(self.rows.nbytes + self.entries.nbytes)


def links_of(graph: Any) -> Links:
    """Read the links of the lowest level from an hnswlib.Index whose labels are rows.

    hnswlib keeps of each element: uint16 number of links (in four bytes), uint32 places of the linked elements, the
    vector, and the label. Places are in the order of insertion; labels are our rows.
    """
    state = graph.__getstate__()  # what pickle writes; a tuple of one
    state = state[0] if isinstance(state, tuple) else state
    count, slots = state["cur_element_count"], state["max_M0"]
    cells = state["data_level0"].reshape(count, state["size_data_per_element"])
    head = np.ascontiguousarray(cells[:, : 4 * (1 + slots)]).view(np.int32)
    at = state["label_offset"]
    labels = np.ascontiguousarray(cells[:, at : at + 8]).view(np.int64)[:, 0].astype(np.int32)
    used = np.arange(slots) < (head[:, :1] & 0xFFFF)
    rows = np.empty((count, slots), dtype=np.int32)
    rows[labels] = np.where(used, labels[np.where(used, head[:, 1:], 0)], NO_LINK)
    order = np.lexsort((labels, -state["element_levels"]))
    return Links(rows, labels[order[:ENTRIES]])
