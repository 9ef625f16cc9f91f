"""The files of a bundle's items: Arrow IPC, memory-mapped. They are written whole and read without being copied.

items.arrow         a row for each item, in the order of the embeddings
    item_id, title  text
    category        place of its category among the rows of item_values.arrow with that field; -1: unknown
    price           NaN: unknown
    popularity      interactions in the training log
    values          rows of item_values.arrow: the values of its attributes
item_values.arrow   a row for each value of each attribute, ascending by field and value; "category" is a field
    field, value    text
    rows            of the items that have it, ascending
item_lookup.arrow   in as many rows as there are items
    hash, row       hash of an item_id (item_rows.py) and its row, ascending
    popular         rows, the most popular first, equal ones by row

Why Arrow: offsets and UTF-8 in NumPy's files would need seventeen of them, and code of our own that checks them. These
three say what they hold, Arrow's own code checks them, and any language or DuckDB, Polars and pandas read them.
What Arrow costs is 25 MB of memory in each process.
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from model_export.bundle.errors import bundle_errors
from model_export.bundle.items.item_rows import hashes_of
from model_export.bundle.items.item_table import CATEGORY, MOST_POPULARITY, ItemTable, ItemTables
from model_export.bundle.manifest_schema import is_text

__all__ = ["FILES", "SCHEMAS", "lookup_of", "make_tables", "open_items", "postings_of", "write_items", "write_tables"]

ITEMS, VALUES, LOOKUP = "items.arrow", "item_values.arrow", "item_lookup.arrow"
MAGIC = b"ARROW1"  # at the begin and at the end of each
FILES = ItemTables(ITEMS, VALUES, LOOKUP)

SCHEMAS = ItemTables(
    items=pa.schema(
        {
            "item_id": pa.large_string(),
            "title": pa.large_string(),
            "category": pa.int32(),
            "price": pa.float64(),
            "popularity": pa.int64(),
            "values": pa.list_(pa.int32()),
        }
    ),
    values=pa.schema(
        {
            "field": pa.dictionary(pa.int32(), pa.string()),
            "value": pa.large_string(),
            "rows": pa.list_(pa.int32()),
        }
    ),
    lookup=pa.schema({"hash": pa.uint32(), "row": pa.int32(), "popular": pa.int32()}),
)


def open_items(folder: Path) -> ItemTable:
    """Open the items of a bundle of schema 2; nothing is read before it is asked for.

    Raises
    ------
    BundleError
        If a file is missing, is no Arrow file, or has other columns.
    """
    return ItemTable(ItemTables(*map(_open_table, (folder / name for name in FILES), SCHEMAS)))


def _open_table(file: Path, schema: pa.Schema) -> pa.Table:
    """Memory-map a table."""
    with bundle_errors(file):
        _check_ends(file)
        table = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
        if not table.schema.equals(schema):
            found, right = (", ".join(f"{one.name} {one.type}" for one in each) for each in (table.schema, schema))
            raise ValueError(f"its columns are {found}; right are {right}")
        return table


def _check_ends(file: Path) -> None:
    """Raise ValueError if a file begins as one of Arrow and does not end so.

    Arrow would say that it is none at all.
    """
    with file.open("rb") as stream:
        begins = stream.read(len(MAGIC)) == MAGIC
        stream.seek(-min(len(MAGIC), file.stat().st_size), os.SEEK_END)
        if begins and stream.read() != MAGIC:
            raise ValueError(
                "it begins as an Arrow file and does not end as one: it was cut short, or has bytes behind its end"
            )


def write_items(
    folder: Path,
    item_ids: Sequence[str],
    *,
    title: Sequence[str],
    category: Sequence[str],
    price: Sequence[float | None],
    popularity: Sequence[int] | np.ndarray,
    attributes: Mapping[str, Sequence[Sequence[str]]] | None = None,
) -> None:
    """Write the files of a bundle's items.

    Parameters
    ----------
    item_ids : different ones, (n,).
    title, category, price, popularity : of each; "" and None where they are unknown.
    attributes : side feature -> the values of each item. That of the category is `category`, whatever it says here.

    Raises
    ------
    ValueError
        If a text is none that UTF-8 can write, a price is infinite, or popularity is not from 0 to 2**53: names the
        item. If columns are of different lengths.
    """
    fields = {name: [[one] for one in column] for name, column in (("title", title), ("category", category))}
    _check_texts(item_ids, {"item_id": [[one] for one in item_ids], **(attributes or {}), **fields})
    _check_numbers(item_ids, price, popularity)
    write_tables(folder, make_tables(item_ids, title, category, price, popularity, attributes or {}))


def _check_texts(item_ids: Sequence[str], columns: Mapping[str, Sequence[Iterable[str]]]) -> None:
    """Raise ValueError if one of the texts of an item is none that UTF-8 can write."""
    for name, cells in columns.items():
        for item_id, texts in zip(item_ids, cells, strict=True):
            wrong = next((text for text in texts if not is_text(text)), None)
            if wrong is not None:
                right = "text that UTF-8 can write, without lone surrogates"
                raise ValueError(f"{name} of item {item_id!r} is {wrong!r}; right is {right}")


def _check_numbers(
    item_ids: Sequence[str], price: Sequence[float | None], popularity: Sequence[int] | np.ndarray
) -> None:
    """Raise ValueError if a price is infinite, or popularity no number that can be counted to."""
    for item_id, cost, count in zip(item_ids, price, popularity, strict=True):
        if cost is not None and math.isinf(cost):
            raise ValueError(f"price of item {item_id!r} is {cost}; right is a finite number, or none")
        if not 0 <= count <= MOST_POPULARITY:
            raise ValueError(f"popularity of item {item_id!r} is {count}; right is from 0 to {MOST_POPULARITY}")


def write_tables(folder: Path, tables: ItemTables) -> None:
    """Write the tables of a bundle's items.

    Each is one piece, so that it need not be copied when it is read.
    """
    for name, table in zip(FILES, tables, strict=True):
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks(), max_chunksize=None)


def make_tables(
    item_ids: Sequence[str],
    title: Sequence[str],
    category: Sequence[str],
    price: Sequence[float | None],
    popularity: Sequence[int] | np.ndarray,
    attributes: Mapping[str, Sequence[Sequence[str]]],
) -> ItemTables:
    """Make the tables of a bundle's items; see `write_items`."""
    fields = {**attributes, CATEGORY: [[one] if one else [] for one in category]}
    coded = {name: _coded(fields[name]) for name in sorted(fields)}
    sizes = [len(names) for names, _, _ in coded.values()]
    firsts = dict(zip(coded, np.cumsum([0, *sizes]).tolist(), strict=False))
    rows = np.concatenate([rows for _, rows, _ in coded.values()])
    codes = np.concatenate([codes + firsts[name] for name, (_, _, codes) in coded.items()])
    order = np.argsort(rows, kind="stable")
    of_category = np.full(len(item_ids), -1, dtype=np.int32)
    of_category[coded[CATEGORY][1]] = coded[CATEGORY][2]
    items = _table(
        SCHEMAS.items,
        item_id=list(item_ids),
        title=list(title),
        category=of_category,
        price=np.array([np.nan if one is None else one for one in price], dtype=np.float64),
        popularity=np.array(popularity, dtype=np.int64),
        values=_lists(np.bincount(rows, minlength=len(item_ids)), codes[order]),
    )
    field = pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(np.arange(len(coded)), sizes), pa.int32()), pa.array(list(coded), pa.string())
    )
    value = list(chain.from_iterable(names for names, _, _ in coded.values()))
    values = _table(SCHEMAS.values, field=field, value=value, rows=_lists(*postings_of(rows, codes, len(value))))
    return ItemTables(items, values, lookup_of(items))


def lookup_of(items: pa.Table) -> pa.Table:
    """Make the table that finds items by id and by popularity."""
    table = ItemTable(ItemTables(items, None, None))
    hashes, popularity = hashes_of(table.ids), items.column("popularity").to_numpy()
    order = np.argsort(hashes, kind="stable").astype(np.int32)
    popular = np.argsort(-popularity, kind="stable").astype(np.int32)
    return _table(SCHEMAS.lookup, hash=hashes[order], row=order, popular=popular)


def postings_of(rows: np.ndarray, codes: np.ndarray, values: int) -> tuple[np.ndarray, np.ndarray]:
    """Turn the values of items into the items of values.

    Parameters
    ----------
    rows, codes : int (C,), an item and a value that it has; any order, and a pair may come twice.
    values : how many there are.

    Returns
    -------
    How many rows each value has (values,), and the rows, int32 (R,), ascending in each.
    """
    pairs = np.sort(codes.astype(np.int64) << 32 | rows.astype(np.int64))  # np.unique takes four times as long
    pairs = pairs[np.diff(pairs, prepend=-1) != 0]
    return np.bincount(pairs >> 32, minlength=values), (pairs & 0xFFFFFFFF).astype(np.int32)


def _coded(values: Sequence[Iterable[str]]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the different values, ascending, and of each item's each its row and its place."""
    flat = list(chain.from_iterable(values))
    names = sorted(set(flat))  # by code points, which is UTF-8's order too
    places = {name: place for place, name in enumerate(names)}
    rows = np.repeat(np.arange(len(values)), np.fromiter(map(len, values), np.int64, len(values)))  # type: ignore[arg-type]
    return names, rows, np.fromiter(map(places.__getitem__, flat), np.int32, len(flat))


def _lists(counts: np.ndarray, flat: np.ndarray) -> pa.Array:
    """Make a column of lists that have so many of the numbers each."""
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(starts), pa.array(flat.astype(np.int32)))


def _table(schema: pa.Schema, **columns: Any) -> pa.Table:
    """Make a table of columns in any form."""
    arrays = [
        one if isinstance(one, pa.Array) else pa.array(one, schema.field(name).type) for name, one in columns.items()
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
