"""The links of hnswlib's graph, by rows: what a joint beam walks along."""

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Links", "check_links", "joined", "links_of", "union"]

ENTRIES = 256  # rows that every search begins with, from the upper levels: enough that one is near each capsule
NO_LINK = -1
COUNT_BITS = 0xFFFF
AT_A_TIME = 10_000  # rows


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
        """Return the bytes that the links take."""
        return int(self.rows.nbytes + self.entries.nbytes)


def check_links(links: Links, items: int) -> None:
    """Raise ValueError unless all links lead to items.

    Along others, compiled code would read beyond the table.
    """
    rows, entries = links.rows, links.entries
    if rows.shape[:1] != (items,) or rows.ndim != 2 or rows.dtype != np.int32 or entries.dtype != np.int32:
        raise ValueError(f"links are {rows.dtype} {rows.shape}; right is int32 ({items}, some)")
    if rows.min(initial=0) < NO_LINK or max(rows.max(initial=0), entries.max(initial=0)) >= items or entries.min() < 0:
        raise ValueError(f"links lead from row {min(rows.min(), entries.min())} to {rows.max()}; there are {items}")


@dataclass(frozen=True)
class _Lowest:
    """The lowest level in what pickle writes of an hnswlib.Index, views of its bytes in the order of insertion.

    hnswlib keeps of each element: uint16 number of links (in four bytes), uint32 places of the linked elements, the
    vector, and the label. Places are in the order of insertion; labels are our rows.

    Attributes
    ----------
    links : int32 (items, 1 + 2 M), the number of links, and places.
    labels : int32 (items,).
    """

    links: np.ndarray
    labels: np.ndarray

    def rows(self) -> np.ndarray:
        """Return the rows that each row is linked to, int32 (items, 2 M)."""
        number, places = self.links[:, :1] & COUNT_BITS, self.links[:, 1:]
        used = np.arange(places.shape[1]) < number
        rows = np.empty(places.shape, dtype=np.int32)
        rows[self.labels] = np.where(used, self.labels[np.where(used, places, 0)], NO_LINK)
        return rows

    def set_rows(self, rows: np.ndarray) -> None:
        """Write other links; the opposite of `rows`."""
        places_of = np.empty_like(self.labels)
        places_of[self.labels] = np.arange(len(self.labels))
        mine = rows[self.labels]
        self.links[:, 0] = (self.links[:, 0] & ~COUNT_BITS) | (mine >= 0).sum(1)
        self.links[:, 1:] = np.where(mine >= 0, places_of[mine], 0)


def _state_of(graph: Any) -> dict[str, Any]:
    """Return what pickle writes of an hnswlib.Index."""
    [state] = graph.__getstate__()
    return dict(state)


def _lowest_of(state: dict[str, Any]) -> _Lowest:
    """Return the lowest level in a state."""
    cells = state["data_level0"].reshape(state["cur_element_count"], state["size_data_per_element"])
    at = state["label_offset"]
    labels = np.ascontiguousarray(cells[:, at : at + 8]).view(np.int64)[:, 0].astype(np.int32)
    return _Lowest(cells.view(np.int32)[:, : 1 + state["max_M0"]], labels)


def links_of(graph: Any) -> Links:
    """Read the links of the lowest level from an hnswlib.Index whose labels are rows."""
    state = _state_of(graph)
    lowest = _lowest_of(state)
    order = np.lexsort((lowest.labels, -state["element_levels"]))
    return Links(lowest.rows(), lowest.labels[order[:ENTRIES]])


def joined(graph: Any, other: Any) -> Any:
    """Join the links of two hnswlib indexes of the same rows.

    Returns an index like `graph`, with the links of the other in the slots that are free.
    """
    state = _state_of(graph)
    lowest = _lowest_of(state)
    lowest.set_rows(union(lowest.rows(), links_of(other).rows))
    kind: Any = type(graph)
    index = kind.__new__(kind)
    index.__setstate__((state,))
    return index


def union(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the links of `first` (items, S), then those of `second` that it lacks.

    There are as many as there are slots.
    """
    found = np.full_like(first, NO_LINK)
    for at in range(0, len(first), AT_A_TIME):
        some = slice(at, at + AT_A_TIME)
        both = np.concatenate([first[some], second[some]], axis=1)
        order = np.argsort(both, axis=1, kind="stable")
        ranked = np.take_along_axis(both, order, axis=1)
        again = np.zeros_like(ranked, dtype=bool)
        np.put_along_axis(again, order[:, 1:], ranked[:, 1:] == ranked[:, :-1], axis=1)
        wanted = (both >= 0) & ~again
        place = wanted.cumsum(1) - 1
        row, column = np.nonzero(wanted & (place < first.shape[1]))
        found[some][row, place[row, column]] = both[row, column]
    return found
