"""Dense side features beside a log: a table with a vector an item, or an .npz (--item-vectors)."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mindstream.mapping import Mapping
from mindstream.parsing.ids import clean_id
from model_export.data.dense_features import DenseFeatures
from model_export.readers.catalogue import key_column
from model_export.readers.columns import LISTS, Column, Unnesting, text_of
from model_export.readers.fields import Fields, listed
from model_export.readers.opening import open_beside
from model_export.readers.rows.staging import Workplace
from model_export.readers.tables.open_table import OpenTable
from model_export.readers.tables.query import arrow_table, one_row

__all__ = ["item_vectors"]

ARRAYS = ("item_ids", "vectors")  # of an .npz
MOST_NUMBERS = 4_096  # of a vector, as of a new item that is put while a model is served
NESTED = ("struct", *LISTS)
MOST_SHOWN = 20  # characters of a cell in an error
RIGHT = 'right is one column with a list of numbers a row, such as "[0.1, 0.2]", beside that of the items'


def item_vectors(
    place: Workplace, mapping: Mapping, fields: Fields, ids: pd.Index, notes: list[str]
) -> DenseFeatures | None:
    """Read the vectors of a log's items; None if no file of them is given.

    Parameters
    ----------
    fields : of the log: its column of items is called so beside it too, mostly.
    ids : the items of the log.
    notes : sentences on what was noticed; added to in place.

    Raises
    ------
    FileNotFoundError
        If the file is not there.
    ValueError
        If it is of no form that is read, vectors differ in length or hold NaN, or no item of the log is among them.
    """
    file = mapping.item_vectors
    if file is None:
        return None
    is_npz = file.suffix.lower() == ".npz"
    found, said = _of_arrays(file, ids) if is_npz else _of_table(place, mapping, fields, ids, notes)
    if not len(found.item_ids):
        raise ValueError(f"{file} has a vector of none of the {len(ids):,} items of the log, such as {ids[0]!r}")
    without = len(ids) - np.count_nonzero(found.of(ids.tolist()).any(axis=1))
    notes.append(
        f"item vectors: {len(ids) - without:,} of {len(ids):,} items found, {found.vectors.shape[1]:,} numbers each"
        + (f"; {without:,} have none, or all zeros" if without else "")
        + said
    )
    return found


def _of_arrays(file: Path, ids: pd.Index) -> tuple[DenseFeatures, str]:
    """Read an .npz."""
    right = "right is an .npz with item_ids (n,), text or numbers, and vectors (n, D) of numbers"
    if not file.exists():
        raise FileNotFoundError(f"--item-vectors: no file at {file}")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            if missing := [name for name in ARRAYS if name not in arrays]:
                has = ", ".join(arrays) or "no array at all"
                raise ValueError(f"{' and '.join(missing)} missing, it has {has}")
            item_ids, vectors = (arrays[name] for name in ARRAYS)
    except (BadZipFile, OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read ({error}); {right}") from error
    is_right = vectors.ndim == 2 and item_ids.shape == vectors.shape[:1] and vectors.dtype.kind in "fiu"
    if not is_right or item_ids.dtype.kind not in "Uiu":
        shapes = f"item_ids {item_ids.dtype} {item_ids.shape} and vectors {vectors.dtype} {vectors.shape}"
        raise ValueError(f"{file} has {shapes}; {right}")
    cleaned = [clean_id(str(one)) for one in item_ids]
    rows = _last_rows(cleaned, ids)
    return _checked(file, [str(cleaned[row]) for row in rows], vectors[rows]), ""


def _of_table(
    place: Workplace, mapping: Mapping, fields: Fields, ids: pd.Index, notes: list[str]
) -> tuple[DenseFeatures, str]:
    """Read a table with a column of ids, and one of lists of numbers."""
    file = mapping.item_vectors
    assert file is not None
    given = [column for column in mapping.given.values() if isinstance(column, str)]
    table = open_beside(place, "item_vectors", file, given, notes)
    key, column = key_column(place.connection, "item", table, fields, ids), _column_of_vectors(place, table)
    source = Unnesting(table.name)
    key_sql, cell = text_of(source.sql(key), key.type), source.sql(column)
    found = arrow_table(
        place.connection,
        f"SELECT {key_sql} AS item_id, TRY_CAST({cell} AS DOUBLE[]) AS vector FROM {source.clause} "
        f"WHERE {cell} IS NOT NULL",
    )
    item_ids = list(map(clean_id, found["item_id"].to_pylist()))
    rows = _last_rows(item_ids, ids)
    own = [str(item_ids[row]) for row in rows]
    return _checked(file, own, _side_by_side(file, own, found["vector"].take(pa.array(rows, pa.int64())))), (
        f"; item from {key.path}, vector from {column.path}"
    )


def _column_of_vectors(place: Workplace, table: OpenTable) -> Column:
    """Return the one column whose first value is a list of numbers."""
    found = []
    for column in table.columns:
        if column.is_list and column.type.children[0][1].id in NESTED:
            continue
        if (column.is_list or column.type.id in ("varchar", "json")) and not column.path.endswith("[]"):
            source = Unnesting(table.name)
            cell = source.sql(column)
            first = f"SELECT {cell} AS cell FROM {source.clause} WHERE {cell} IS NOT NULL LIMIT 1"
            [count] = one_row(place.connection, f"SELECT count(TRY_CAST(cell AS DOUBLE[])) FROM ({first})")
            found += [column] if count else []
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{table.source} has several columns that hold vectors ({listed(found)}); {RIGHT}")
    [rows] = one_row(place.connection, f"SELECT count(*) FROM {table.name}")
    if not rows:
        raise ValueError(f"{table.source} has a header ({listed(table.columns)}) and no rows; {RIGHT}")
    raise ValueError(f"{table.source} has no column that holds vectors: {_first_cells(place, table)}; {RIGHT}")


def _first_cells(place: Workplace, table: OpenTable) -> str:
    """Return what the columns hold in the first row, for people."""
    plain = [column for column in table.columns if not column.path.endswith("[]")]
    source = Unnesting(table.name)
    cells = ", ".join(f"left(CAST({source.sql(column)} AS VARCHAR), {MOST_SHOWN})" for column in plain)
    first = one_row(place.connection, f"SELECT {cells} FROM {source.clause} LIMIT 1")
    return ", ".join(f"{column.path} has {cell!r}" for column, cell in zip(plain, first, strict=True))


def _last_rows(item_ids: list[str | None], ids: pd.Index) -> list[int]:
    """Return the last row of each item that is among the log's."""
    last = {item_id: row for row, item_id in enumerate(item_ids) if item_id is not None}
    places = ids.get_indexer(pd.Index(list(last), dtype="str"))
    return [row for row, place in zip(last.values(), places, strict=True) if place >= 0]


def _side_by_side(file: Path, item_ids: list[str], lists: pa.ChunkedArray) -> np.ndarray:
    """Return lists of equal lengths as rows, float64 (n, D)."""
    lengths = pc.fill_null(pc.list_value_length(lists), -1).to_numpy()
    if not len(lengths):
        return np.zeros((0, 1))
    if (none := np.flatnonzero(lengths < 0)).size:
        raise ValueError(f"{file}: the vector of item {item_ids[none[0]]!r} is no list of numbers, as others are")
    right = int(np.bincount(lengths).argmax())
    if (wrong := np.flatnonzero(lengths != right)).size:
        raise ValueError(
            f"{file}: the vector of item {item_ids[wrong[0]]!r} has {lengths[wrong[0]]:,} numbers, and those of "
            f"{len(wrong):,} of the log's items another length than most; right is {right:,} numbers"
        )
    flat: np.ndarray = pc.list_flatten(lists).to_numpy()  # null becomes NaN, which is refused
    return flat.astype(np.float64).reshape(-1, right)


def _checked(file: Path, item_ids: list[str], vectors: np.ndarray) -> DenseFeatures:
    """Return vectors as float32; refuse those that are empty, too long or not finite."""
    if not 1 <= vectors.shape[1] <= MOST_NUMBERS:
        raise ValueError(f"{file}: vectors have {vectors.shape[1]:,} numbers; right is 1 to {MOST_NUMBERS:,}")
    with np.errstate(over="ignore"):  # a number that float32 does not hold is refused as infinite
        found = vectors.astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(wrong):
        raise ValueError(
            f"{file}: the vector of item {item_ids[wrong[0]]!r} holds NaN or an infinite number, as do those of "
            f"{len(wrong):,} of the log's items; right are finite numbers of float32"
        )
    return DenseFeatures(item_ids, found)
