"""Tables of one's own: CSV, TSV (both also gzip-compressed) or Parquet, with a header."""

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from model_export.data.interactions import EVENT_COLUMNS, ITEM_COLUMNS, RESERVED, InteractionLog
from model_export.readers.cells import to_numbers, to_text, to_times_ms
from model_export.readers.delimited import read_delimited
from model_export.readers.files import column_names, delimiter, only_file
from model_export.readers.rows import in_time_order, latest_values, make_log

__all__ = ["FEATURE_PREFIX", "PROFILE_PREFIX", "REQUIRED", "find_column", "read", "write_table"]

REQUIRED = ("user_id", "item_id", "event_time_ms")
PROFILE_PREFIX = "profile_"
FEATURE_PREFIX = "feature_"
UNNAMED_EVENT = "interaction"  # the type of events if the table does not say

# If a table has several of a field's names, the first of the list counts.
ACCEPTED = {
    "user_id": ["user_id", "user", "customer_id", "customer", "visitor_id", "uid"],
    "item_id": ["item_id", "item", "product_id", "product", "sku", "article_id", "movie_id"],
    "event_time_ms": [
        *("event_time_ms", "timestamp_ms", "time_ms", "event_time", "event_timestamp", "timestamp", "time"),
        *("datetime", "date", "created_at", "ts"),
    ],
    "event_type": [
        *("event_type", "event", "behavior", "behaviour", "behavior_type", "behaviour_type", "action"),
    ],
    "category": ["category", "category_code", "category_id", "category_name"],
    "title": ["title", "name", "product_name", "item_name", "product_title", "description"],
    "price": ["price", "unit_price"],
}


def find_column(names: list[str], field: str) -> str | None:
    """Return the column that holds a field, or None.

    Upper case, blanks and underscores do not matter.
    """
    by_letters = {_only_letters(name): name for name in reversed(names)}
    return next((by_letters[_only_letters(n)] for n in ACCEPTED[field] if _only_letters(n) in by_letters), None)


def read(path: Path) -> InteractionLog:
    """Read a table with a header.

    Users, items and times are needed; event type, category, title, price and columns "profile_..." (of the user)
    and "feature_..." (side features of the item, several values joined by "|") are taken if there. Of an item
    and of a user the last known values count.

    Raises
    ------
    ValueError
        If a needed column is missing or comes twice, a side feature has a reserved name, the file cannot be
        parsed, no time can be read, or no interaction remains.
    """
    path = only_file(path)
    names = column_names(path)
    columns = _columns(path, names)
    dropped: dict[str, int] = {}
    cells = _read_cells(path, names, list(columns.values()), dropped)
    try:
        rows = _event_rows(cells, columns)
    except (ValueError, pa.ArrowException) as error:
        raise ValueError(f"{path}: {error}") from error
    rows = in_time_order(rows, path, dropped)
    known = [field for field in ("title", "category", "price") if field in rows]
    items = latest_values(rows, "item_id", known + _prefixed(rows, FEATURE_PREFIX))
    items = items.rename(columns=lambda name: name.removeprefix(FEATURE_PREFIX))
    profiles = latest_values(rows, "user_id", _prefixed(rows, PROFILE_PREFIX))
    profiles = profiles.rename(columns=lambda name: name.removeprefix(PROFILE_PREFIX))
    return make_log(rows, items, profiles, path.name, dropped)


def write_table(log: InteractionLog, path: str | Path) -> Path:
    """Write a log as one Parquet table that `read_log` reads back the same; return its path.

    Only the sides of the users are not kept: a table has no column for them.

    Raises
    ------
    ValueError
        If the path does not end in .parquet, or an item or user has no event to be kept with.
    """
    path = Path(path)
    if path.suffix != ".parquet":
        raise ValueError(f"{path}: a table is written as Parquet; the name must end in .parquet")
    columns = {name: pa.array(log.events[name]) for name in EVENT_COLUMNS}
    columns |= _spread(log.events.item_id, log.items[ITEM_COLUMNS], "item_id", "")
    columns |= _spread(log.events.item_id, log.items[["item_id", *log.side_features]], "item_id", FEATURE_PREFIX)
    columns |= _spread(log.events.user_id, log.profiles, "user_id", PROFILE_PREFIX)
    pq.write_table(pa.table(columns), path)
    return path


def _columns(path: Path, names: list[str]) -> dict[str, str]:
    """Return field -> column, profile fields and side features under their prefixed name."""
    found = {field: name for field in ACCEPTED if (name := find_column(names, field)) is not None}
    for field in REQUIRED:
        if field not in found:
            raise ValueError(
                f"{path} has no column for {field}: found {', '.join(names)}; accepted are {', '.join(ACCEPTED[field])}"
            )
    for name in names:
        for prefix in (PROFILE_PREFIX, FEATURE_PREFIX):
            if name.lower().startswith(prefix):
                found[prefix + name[len(prefix) :]] = name
    for reserved in RESERVED:
        if FEATURE_PREFIX + reserved in found:
            raise ValueError(
                f"{path} has a column {found[FEATURE_PREFIX + reserved]!r}; a side feature cannot be called "
                f"{', '.join(RESERVED)}"
            )
    for name in found.values():
        if names.count(name) > 1:
            raise ValueError(f"{path} has {names.count(name)} columns named {name!r}")
    return found


def _read_cells(path: Path, names: list[str], wanted: list[str], dropped: dict[str, int]) -> pa.Table:
    if path.suffix.lower() == ".parquet":
        return pq.read_table(path, columns=wanted)
    return read_delimited(path, names, wanted=wanted, separator=delimiter(path), dropped=dropped)


def _event_rows(cells: pa.Table, columns: dict[str, str]) -> pd.DataFrame:
    rows = {}
    for field, name in columns.items():
        if field == "event_time_ms":
            rows[field] = pd.Series(to_times_ms(cells[name], name))
        elif field == "price":
            rows[field] = pd.Series(to_numbers(cells[name]))
        else:
            rows[field] = to_text(cells[name])
    kinds = rows.get("event_type", pd.Series("", index=range(len(cells)), dtype="str"))
    return pd.DataFrame(rows | {"event_type": kinds.where(kinds != "", UNNAMED_EVENT)})


def _spread(ids: pd.Series, table: pd.DataFrame, key: str, prefix: str) -> dict[str, pa.Array]:
    """Return the columns of a table of items or users, with one value for each event.

    As dictionaries: a title that a million events share is held once.
    """
    index = pd.Index(table[key])
    if len(strangers := index.difference(ids.unique())):
        raise ValueError(f"{len(strangers)} {key} without an event would be lost, e.g. {strangers[0]!r}")
    where = index.get_indexer(ids)
    codes = pa.array(where, mask=where < 0)
    return {prefix + str(name): _shared(pa.array(table[name]), codes) for name in table if name != key}


def _shared(values: pa.Array, codes: pa.Array) -> pa.Array:
    if values.null_count:  # Parquet cannot hold a dictionary with a null in it
        return values.take(codes)
    return pa.DictionaryArray.from_arrays(codes, values)


def _prefixed(rows: pd.DataFrame, prefix: str) -> list[str]:
    return [str(name) for name in rows if str(name).startswith(prefix)]


def _only_letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
