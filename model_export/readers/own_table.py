"""Logs in one Parquet file of our own, which is read back the same: nothing is guessed and nothing cleaned."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from model_export.data.interactions import EVENT_COLUMNS, ITEM_COLUMNS, InteractionLog
from model_export.readers.names import FEATURE_PREFIX, PROFILE_PREFIX

__all__ = ["is_own_table", "read_own_table", "write_table"]

KEY = b"mindstream"  # in the file's metadata: it was written here, and says so


def write_table(log: InteractionLog, path: str | Path) -> Path:
    """Write a log as one Parquet table that `read_log` reads back the same; return its path.

    Only the sides of the users and the items' vectors are not kept: a table has no columns for them.

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
    said = json.dumps({"timed": log.timed, "columns": log.columns, "notes": log.notes})
    pq.write_table(pa.table(columns).replace_schema_metadata({KEY: said.encode()}), path)
    return path


def is_own_table(path: str | Path) -> bool:
    """Tell whether `write_table` has written a file."""
    if not Path(path).is_file() or not str(path).endswith(".parquet"):
        return False
    try:
        return KEY in (pq.read_schema(path).metadata or {})
    except pa.ArrowInvalid:
        return False


def read_own_table(path: str | Path) -> InteractionLog:
    """Read a log that `write_table` has written."""
    text = [field.name for field in pq.read_schema(path) if field.name not in ("event_time_ms", "price")]
    table = pq.read_table(path, read_dictionary=text)
    said = json.loads(table.schema.metadata[KEY])
    events = pd.DataFrame({name: _column(table, name) for name in EVENT_COLUMNS})
    own = [name for name in table.column_names if name in ITEM_COLUMNS or name.startswith(FEATURE_PREFIX)]
    items = _first_rows(table, events, "item_id", own).rename(columns=lambda name: name.removeprefix(FEATURE_PREFIX))
    items["title"] = items.title.where(items.title != "", items.item_id)  # of items that nothing was known of
    fields = [name for name in table.column_names if name.startswith(PROFILE_PREFIX)]
    profiles = _first_rows(table, events, "user_id", ["user_id", *fields])
    return InteractionLog(
        events,
        items,
        profiles.rename(columns=lambda name: name.removeprefix(PROFILE_PREFIX)),
        Path(path).name,
        timed=said["timed"],
        columns=said["columns"],
        notes=tuple(said["notes"]),
    )


def _column(table: pa.Table, name: str) -> "pd.Series[Any]":
    """Return a column; text as a categorical, with its words sorted."""
    column = table[name]
    if not pa.types.is_dictionary(column.type):
        return pd.Series(column.to_pandas())
    return pd.Series(column.unify_dictionaries().to_pandas())  # InteractionLog sorts the words


def _first_rows(table: pa.Table, events: pd.DataFrame, key: str, names: list[str]) -> pd.DataFrame:
    """Return what the table says of each key, which is the same in all of its rows."""
    _, rows = np.unique(events[key].cat.codes.to_numpy(), return_index=True)
    found = table.select(names).take(pa.array(rows)).to_pandas()
    text = [name for name in names if name != "price"]
    return pd.DataFrame(found).astype(dict.fromkeys(text, "str")).fillna(dict.fromkeys(text, ""))


def _spread(ids: pd.Series, table: pd.DataFrame, key: str, prefix: str) -> dict[str, pa.Array]:
    """Return the columns of a table of items or users, with one value for each event.

    As dictionaries: a title that a million events share is held once.
    """
    index = pd.Index(table[key])
    if len(strangers := index.difference(pd.Index(ids.unique().astype("str")))):
        raise ValueError(f"{len(strangers)} {key} without an event would be lost, e.g. {strangers[0]!r}")
    where = index.get_indexer(pd.Index(ids.astype("str")))
    codes = pa.array(where, mask=where < 0)
    return {prefix + str(name): _shared(pa.array(table[name]), codes) for name in table if name != key}


def _shared(values: pa.Array, codes: pa.Array) -> pa.Array:
    if values.null_count:  # Parquet cannot hold a dictionary with a null in it
        return values.take(codes)
    return pa.DictionaryArray.from_arrays(codes, values)
