"""Item ids to rows, by hashes in an array: no dictionary of objects, and all processes of a host share it."""

import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import numpy as np

from model_export.bundle.items.text_columns import TextColumn

__all__ = ["ItemRows", "hash_of", "hashes_of"]

KEPT = 65_536  # ids whose rows are kept at hand; what people look at is a small part of a large catalogue
AT_ONCE = 65_536  # ids that are hashed together
LONG = 256  # bytes; longer ids are hashed one by one
START, LOW_BYTE = np.uint32(0xFFFFFFFF), np.uint32(0xFF)
# What CRC-32 makes of each byte, as zlib says it.
OF_BYTE = ~np.array([zlib.crc32(bytes([byte]), 0xFFFFFFFF) for byte in range(256)], dtype=np.uint32)


def hash_of(utf8: bytes) -> int:
    """Return the hash of an id: CRC-32.

    It can be taken quickly of one id, and of all at once.
    """
    return zlib.crc32(utf8)


def hashes_of(ids: TextColumn) -> np.ndarray:
    """Return the hash of each id, uint32 (n,)."""
    parts = [_hashes_of_some(ids.part(at, min(at + AT_ONCE, len(ids)))) for at in range(0, len(ids), AT_ONCE)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint32)


def _hashes_of_some(ids: TextColumn) -> np.ndarray:
    """Return the hash of each id: one byte of all of them after the other."""
    lengths = np.diff(ids.starts)
    order = np.argsort(-lengths)  # the longest first: those that have a byte at a place are the first ones
    begins, shorter = ids.starts[:-1][order], -lengths[order]
    state = np.full(len(order), START)
    for place in range(min(int(lengths.max()), LONG)):
        mine = state[: np.searchsorted(shorter, -place)]
        mine[:] = OF_BYTE[(mine ^ ids.utf8[begins[: len(mine)] + place]) & LOW_BYTE] ^ (mine >> np.uint32(8))
    found = np.empty_like(state)
    found[order] = ~state
    for row in np.flatnonzero(lengths > LONG).tolist():
        found[row] = zlib.crc32(ids.bytes_at(row))
    return found


class _Finder:
    """Finds rows by hashes.

    It is apart from ItemRows, so that what is kept at hand does not refer to what keeps it.

    Attributes
    ----------
    begins : int32 (65,537,), where the hashes with each upper half begin: few are left to search among.
    """

    def __init__(self, ids: TextColumn, hashes: np.ndarray, rows: np.ndarray) -> None:
        self.ids, self.hashes, self.rows = ids, hashes.data, rows.data
        starts = np.arange(1 << 16, dtype=np.uint32) << np.uint32(16)
        self.begins = np.append(np.searchsorted(hashes, starts), len(hashes)).astype(np.int32).data

    def find(self, item_id: str) -> int | None:
        """Return the row of an item, None if there is none.

        Ids of equal hashes are told apart by themselves.
        """
        try:
            utf8 = item_id.encode()
        except UnicodeEncodeError:  # a lone surrogate, which no id of a bundle has
            return None
        wanted = hash_of(utf8)
        high = wanted >> 16
        first = bisect_left(self.hashes, wanted, self.begins[high], self.begins[high + 1])
        for place in range(first, len(self.hashes)):
            if self.hashes[place] != wanted:
                return None
            row: int = self.rows[place]
            if self.ids.bytes_at(row) == utf8:
                return row
        return None


class ItemRows(Mapping[str, int]):
    """The row of each item.

    Parameters
    ----------
    ids : of the items, by row.
    hashes : uint32 (n,), of the ids, ascending.
    rows : int32 (n,), of which item each hash is.

    Attributes
    ----------
    find : row of an item id, or None; the way of the hot paths, which keeps the last 65,536 at hand.
    """

    def __init__(self, ids: TextColumn, hashes: np.ndarray, rows: np.ndarray) -> None:
        self.ids = ids
        self.find = lru_cache(KEPT)(_Finder(ids, hashes, rows).find)

    def __getitem__(self, item_id: str) -> int:
        row = self.find(item_id)
        if row is None:
            raise KeyError(item_id)
        return row

    def __contains__(self, item_id: object) -> bool:
        return isinstance(item_id, str) and self.find(item_id) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def known(self, item_ids: Iterable[str]) -> list[int]:
        """Return the rows of those of the items that there are."""
        return [row for row in map(self.find, item_ids) if row is not None]
