"""Item ids to rows, by hashes in an array: no dictionary of objects, and all processes of a host share it."""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise

import numpy as np

from model_export.bundle.items.text_columns import TextColumn

__all__ = ["ItemRows", "digest_of", "hashes_of"]

KEPT = 65_536  # ids whose rows are kept at hand; what people look at is a small part of a large catalogue


def digest_of(utf8: bytes) -> bytes:
    """Return the hash of an id, little-endian: BLAKE2b's digest of eight bytes."""
    return hashlib.blake2b(utf8, digest_size=8).digest()


def hashes_of(ids: TextColumn) -> np.ndarray:
    """Return the hash of each id, uint64 (n,)."""
    whole, starts = ids.utf8.tobytes(), ids.starts.tolist()
    digests = b"".join([digest_of(whole[start:end]) for start, end in pairwise(starts)])
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


class _Finder:
    """Finds rows by hashes.

    It is apart from ItemRows, so that what is kept at hand does not refer to what keeps it.
    """

    def __init__(self, ids: TextColumn, hashes: np.ndarray, rows: np.ndarray) -> None:
        self.ids, self.hashes, self.rows = ids, hashes.data, rows.data

    def find(self, item_id: str) -> int | None:
        """Return the row of an item, None if there is none.

        Ids of equal hashes are told apart by themselves.
        """
        try:
            utf8 = item_id.encode()
        except UnicodeEncodeError:  # a lone surrogate, which no id of a bundle has
            return None
        wanted = int.from_bytes(digest_of(utf8), "little")
        for place in range(bisect_left(self.hashes, wanted), len(self.hashes)):
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
    hashes : uint64 (n,), of the ids, ascending.
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
