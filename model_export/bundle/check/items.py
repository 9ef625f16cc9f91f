"""Checks of the files of a bundle's items: every row is whole, and what finds and filters them agrees with them."""

from itertools import pairwise

import numpy as np
import pyarrow as pa

from model_export.bundle.bundle import Bundle, BundleError
from model_export.bundle.errors import bundle_errors
from model_export.bundle.items.arrow_files import FILES, postings_of
from model_export.bundle.items.item_rows import hashes_of
from model_export.bundle.items.item_table import CATEGORY, MOST_POPULARITY, ItemTable, ItemTables, array_of, lists_of
from model_export.bundle.items.text_columns import TextColumn

__all__ = ["check_catalogue", "check_ids"]


def check_ids(bundle: Bundle) -> None:
    """Check that every item is listed once, and is found by its id.

    Raises
    ------
    BundleError
        If the ids, or the table that finds them, are at fault.
    """
    if bundle.manifest.schema == 1:
        bundle.items  # noqa: B018  # what it has was checked when it was read
        return
    items, tables = bundle.manifest.items, bundle.items.tables
    for name, table in zip(FILES, tables, strict=True):
        _check_whole(bundle, name, table)
    hashes = hashes_of(bundle.item_ids)
    found, different = len(hashes), _count_different(bundle.item_ids, hashes)
    if found != items or different != items:
        raise BundleError(
            f"{bundle.path / FILES.items} has {found} items, {different} of them distinct; the manifest says {items}"
        )
    if (lengths := np.diff(bundle.item_ids.starts)).min(initial=1) == 0:
        raise BundleError(f"{bundle.path / FILES.items}: item_id of row {np.argmin(lengths)} is empty")
    if not _finds_all(tables, hashes):
        raise BundleError(
            f"{bundle.path / FILES.lookup} does not belong to {FILES.items}: right are the hashes of its ids, and its "
            "rows by popularity"
        )


def _count_different(ids: TextColumn, hashes: np.ndarray) -> int:
    """Count the different ids; only those whose hashes are equal can be the same.

    Arrow, which counts them too, loads its code for that in 0.3 s.
    """
    order = np.argsort(hashes)
    is_equal = np.diff(hashes[order]) == 0
    alike = order[np.append(is_equal, False) | np.append(False, is_equal)]
    return len(hashes) - len(alike) + len({ids[row] for row in alike.tolist()})


def _finds_all(tables: ItemTables, hashes: np.ndarray) -> bool:
    """Tell whether the lookup table has every row by its hash, and every row by popularity."""
    lookup, popularity = tables.lookup, array_of(tables.items, "popularity")
    by_hash, popular = array_of(lookup, "row"), array_of(lookup, "popular")
    rows = np.arange(len(hashes))
    if len(lookup) != len(rows) or any(not np.array_equal(np.sort(one), rows) for one in (by_hash, popular)):
        return False
    hash_of_place = array_of(lookup, "hash")
    return (
        np.array_equal(hashes[by_hash], hash_of_place)
        and _is_ordered(hash_of_place, by_hash)
        and _is_ordered(-popularity[popular], popular)
    )


def _is_ordered(keys: np.ndarray, rows: np.ndarray) -> bool:
    """Tell whether keys ascend, and where they are equal, rows."""
    before, after = keys[:-1], keys[1:]
    return bool(((before < after) | ((before == after) & (rows[:-1] < rows[1:]))).all())


def _check_whole(bundle: Bundle, name: str, table: pa.Table) -> None:
    """Check that a table has a value in every cell, and that each is what its column says."""
    with bundle_errors(bundle.path / name):
        try:
            table.validate(full=True)  # UTF-8, and where lists begin and end
        except pa.ArrowInvalid as error:
            raise BundleError(f"{bundle.path / name}: {_not_utf8(table) or error}") from error
    for column in table.column_names:
        if nulls := table.column(column).null_count:
            raise BundleError(f"{bundle.path / name}: {column} has {nulls} nulls; right is a value in every row")


def _not_utf8(table: pa.Table) -> str | None:
    """Return a sentence on the first text of a table that is no UTF-8; None: all are."""
    for name in table.column_names:
        if pa.types.is_large_string(table.schema.field(name).type):
            cells = table.column(name).cast(pa.large_binary())
            for row, cell in enumerate(cells):
                try:
                    cell.as_py().decode()
                except UnicodeDecodeError:
                    return f"{name} of row {row} is {cell.as_py()[:100]!r}; right is UTF-8, without lone surrogates"
    return None


def check_catalogue(bundle: Bundle) -> None:
    """Check what is known of the items: prices, popularity, and that values and items agree.

    Raises
    ------
    BundleError
        If the catalogue is at fault: names the file, the column and, where it is one, the item.
    """
    if bundle.manifest.schema == 1:
        return  # each cell was checked when it was read
    with bundle_errors(bundle.path / FILES.values):
        _check_values(bundle, bundle.items.tables)
    with bundle_errors(bundle.path / FILES.items):
        _check_numbers(bundle, bundle.items)


def _check_numbers(bundle: Bundle, items: ItemTable) -> None:
    """Check that prices are numbers or unknown, and popularity from 0 to 2**53."""
    price, popularity = items.catalogue.price.values, items.catalogue.popularity
    uncounted = (popularity < 0) | (popularity > MOST_POPULARITY)
    for name, column, wrong in (("price", price, np.isinf(price)), ("popularity", popularity, uncounted)):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise BundleError(f"{bundle.path / FILES.items}: {name} of {items.ids[row]!r} is {column[row]}")


def _check_values(bundle: Bundle, tables: ItemTables) -> None:
    """Check that values ascend, and that they, items and categories say the same."""
    file = bundle.path / FILES.values
    fields, values = tables.values.column("field").to_pylist(), tables.values.column("value").to_pylist()
    pairs = list(zip(fields, values, strict=True))
    if any(one >= other for one, other in pairwise(pairs)):
        raise BundleError(f"{file}: its rows do not ascend by field and value, or two are equal")
    starts, codes = lists_of(tables.items, "values")
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(pairs):
        raise BundleError(
            f"{bundle.path / FILES.items}: values names row {codes.max()} of {FILES.values}, which has not"
        )
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    posting_starts, postings = lists_of(tables.values, "rows")
    counts, right = postings_of(rows, codes, len(pairs))
    if not (np.array_equal(np.diff(posting_starts), counts) and np.array_equal(postings, right)):
        raise BundleError(f"{file}: rows are not those of the items that have the values in {FILES.items}")
    shown = np.full(len(starts) - 1, -1)
    first = fields.index(CATEGORY) if CATEGORY in fields else 0
    is_category = np.array([field == CATEGORY for field in fields], dtype=bool)[codes]
    shown[rows[is_category]] = codes[is_category] - first
    if not np.array_equal(shown, array_of(tables.items, "category")):
        raise BundleError(f"{bundle.path / FILES.items}: category is not that of the values with field {CATEGORY!r}")
