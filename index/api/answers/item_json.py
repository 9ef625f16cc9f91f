"""Items as JSON in pieces that are made once: what stands before and behind the numbers of an answer."""

from functools import lru_cache
from typing import NamedTuple

import msgspec

from index.catalogue.snapshot import CatalogueSnapshot, ItemSummary
from model_export.bundle.bundle import Bundle

__all__ = ["ENCODE", "ItemJson", "ItemPieces", "SnapshotJson"]

ENCODE = msgspec.json.Encoder().encode
KEPT = 65_536  # items whose pieces are kept, some 400 bytes each: what people are shown is a small part of many


class ItemPieces(NamedTuple):
    """An item in pieces.

    Attributes
    ----------
    item_id : as text.
    before : of a candidate, what stands before its score, with a comma.
    behind : of a candidate, what stands behind its interest.
    formed, title : of a behaviour, what stands before its weight and behind it.
    named : the item with its title alone.
    """

    item_id: str
    before: bytes
    behind: bytes
    formed: bytes
    title: bytes
    named: bytes


def _pieces(item_id: str, summary: ItemSummary) -> ItemPieces:
    """Write an item in pieces."""
    named = b'{"item_id":' + ENCODE(item_id)
    title = b',"title":' + ENCODE(summary.title)
    before = b"," + named + b',"score":'
    behind = title + b',"category":' + ENCODE(summary.category) + b',"price":' + ENCODE(summary.price) + b"}"
    return ItemPieces(item_id, before, behind, named + b',"weight":', title + b"}", named + title + b"}")


class ItemJson:
    """The items of one bundle in pieces; those that were asked for last are kept.

    It refers to the bundle alone, so it is gone as soon as that is not served any more.
    """

    def __init__(self, bundle: Bundle) -> None:
        catalogue, item_ids = bundle.catalogue, bundle.item_ids
        self.size, self.rows = bundle.manifest.items, bundle.rows

        def of_row(row: int) -> ItemPieces:
            summary = ItemSummary(catalogue.title[row], catalogue.category[row], catalogue.price[row])
            return _pieces(item_ids[row], summary)

        self.of_row = lru_cache(KEPT)(of_row)

    def of(self, snapshot: CatalogueSnapshot) -> "SnapshotJson":
        """Return the items of a snapshot of this bundle in pieces."""
        return SnapshotJson(self, snapshot)


class SnapshotJson:
    """The items of one snapshot in pieces: those of the bundle, and what the overlay says of them."""

    def __init__(self, of_bundle: ItemJson, snapshot: CatalogueSnapshot) -> None:
        self.of_bundle, self.snapshot = of_bundle, snapshot

    def rows(self, rows: list[int]) -> list[ItemPieces]:
        """Return the items of rows."""
        size, of_row = self.of_bundle.size, self.of_bundle.of_row
        if not self.snapshot.is_changed:
            return list(map(of_row, rows))
        found = []
        for row in rows:
            known = of_row(row) if row < size else None
            is_same = known is not None and not self.snapshot.has_entry(known.item_id)
            found.append(known if known is not None and is_same else self._put(self.snapshot.item_id(row)))
        return found

    def item(self, item_id: str) -> ItemPieces:
        """Return an item by its id, be it removed or known to nobody."""
        row = self.of_bundle.rows.find(item_id) if not self.snapshot.has_entry(item_id) else None
        return self._put(item_id) if row is None else self.of_bundle.of_row(row)

    def _put(self, item_id: str) -> ItemPieces:
        """Write an item anew, as the snapshot says it."""
        return _pieces(item_id, self.snapshot.summary(item_id))
