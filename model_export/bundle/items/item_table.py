"""The items of a bundle: what Arrow tables hold, behind columns that read like lists and dictionaries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from model_export.bundle.items.attribute_column import AttributeColumn, CategoryColumn
from model_export.bundle.items.item_rows import ItemRows
from model_export.bundle.items.text_columns import PriceColumn, TextColumn

__all__ = ["CATEGORY", "MOST_POPULARITY", "CatalogueColumns", "ItemTable", "ItemTables", "array_of", "lists_of"]

CATEGORY = "category"
MOST_POPULARITY = 2**53  # a larger number is another one wherever JSON has float64 only


class ItemTables(NamedTuple):
    """The Arrow tables of a bundle's items; see `SCHEMAS` in arrow_files.py for their columns."""

    items: pa.Table
    values: pa.Table
    lookup: pa.Table


@dataclass(frozen=True)
class CatalogueColumns:
    """The catalogue's columns, by row.

    Attributes
    ----------
    title, category, price : for people; "" and None where they are unknown.
    popularity : int64 (n,), the interactions of each item in the training log.
    attributes : side feature -> the values of each item, which may be none or several, and the items of each value.
        The category is one of them, as it is shown.
    """

    title: Sequence[str]
    category: CategoryColumn
    price: PriceColumn
    popularity: np.ndarray
    attributes: Mapping[str, AttributeColumn]


class ItemTable:
    """The items of a bundle by row, and their rows by id.

    Parameters
    ----------
    tables : memory-mapped, or made in memory of a bundle of schema 1.
    """

    def __init__(self, tables: ItemTables) -> None:
        self.tables = tables

    @cached_property
    def ids(self) -> TextColumn:
        """Return the id of each row's item."""
        return _texts_of(self.tables.items, "item_id")

    @cached_property
    def rows(self) -> ItemRows:
        """Return the row of each item id."""
        lookup = self.tables.lookup
        return ItemRows(self.ids, array_of(lookup, "hash"), array_of(lookup, "row"))

    @cached_property
    def popular(self) -> np.ndarray:
        """Return the rows, the most popular first, equal ones by row, int32 (n,)."""
        return array_of(self.tables.lookup, "popular")

    @cached_property
    def catalogue(self) -> CatalogueColumns:
        """Return what is known of the items."""
        items, attributes = self.tables.items, self._attributes()
        category = attributes[CATEGORY].values
        return CatalogueColumns(
            _texts_of(items, "title"),
            CategoryColumn(category, array_of(items, "category")),
            PriceColumn(array_of(items, "price")),
            array_of(items, "popularity"),
            attributes,
        )

    def _attributes(self) -> dict[str, AttributeColumn]:
        """Return the column of each attribute; the values of one stand together."""
        values = self.tables.values
        fields = _chunk(values, "field")
        names = fields.dictionary.to_pylist()
        bounds = np.searchsorted(_numbers_of(fields.indices), np.arange(len(names) + 1))
        texts = _texts_of(values, "value")
        shared = (*lists_of(self.tables.items, "values"), *lists_of(values, "rows"))
        parts = dict(zip(names, zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True), strict=True))
        parts.setdefault(CATEGORY, (0, 0))  # without any value there is no row that would name it
        return {name: AttributeColumn(texts.part(first, end), first, *shared) for name, (first, end) in parts.items()}


def array_of(table: pa.Table, name: str) -> np.ndarray:
    """Return a column of numbers as an array, which shares the table's memory."""
    return _numbers_of(_chunk(table, name))


def _numbers_of(array: pa.Array) -> np.ndarray:
    """Return numbers as an array; nothing is copied.

    Arrow's own `to_numpy` loads pandas, for 0.3 s and 40 MB in each process.
    """
    if array.null_count:
        raise ValueError(f"it has {array.null_count} nulls; right is a value in every row")
    dtype, values = np.dtype(str(array.type)), array.buffers()[1]
    if values is None or not len(array):
        return np.empty(0, dtype=dtype)
    return np.frombuffer(values, dtype=dtype, count=len(array), offset=array.offset * dtype.itemsize)


def _chunk(table: pa.Table, name: str) -> Any:
    """Return a column in one piece.

    Files that others wrote may have it in several, and one without rows has none.
    """
    column = table.column(name)
    if column.num_chunks > 1:
        return column.combine_chunks()
    return column.chunk(0) if column.num_chunks else pa.nulls(0, column.type)  # here Arrow would load pandas too


def _texts_of(table: pa.Table, name: str) -> TextColumn:
    """Return a column of texts, which shares the table's memory."""
    array = _chunk(table, name)
    _, starts, utf8 = array.buffers()
    begin = array.offset
    places = np.frombuffer(starts, dtype=np.int64)[begin : begin + len(array) + 1] if starts else np.zeros(1, np.int64)
    return TextColumn(places, np.frombuffer(utf8 or b"", dtype=np.uint8))


def lists_of(table: pa.Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return where each list of a column begins, and all their numbers; nothing is copied."""
    array = _chunk(table, name)
    starts = _numbers_of(array.offsets) if len(array) else np.zeros(1, dtype=np.int32)
    return starts, _numbers_of(array.values)
