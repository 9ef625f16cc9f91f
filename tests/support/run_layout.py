"""Layouts of presets run by DuckDB alone, for tests of what the presets say."""

from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from model_export.data.interactions import InteractionLog
from model_export.readers.layout import Layout, Table
from model_export.readers.presets import recognise
from model_export.readers.presets.peek import found_at, is_json, is_parquet
from model_export.readers.presets.sql import literal

__all__ = ["run_layout"]


def run_layout(path: Path) -> InteractionLog:
    found = found_at(path)
    preset = recognise(found)
    assert preset is not None, path
    layout = preset.layout(found)
    connection = duckdb.connect()
    for key, table in {"events": layout.events, **layout.beside}.items():
        connection.execute(f"CREATE VIEW {key} AS SELECT *, row_number() OVER () AS row_number FROM {_source(table)}")
    connection.execute(f"CREATE TABLE result AS {layout.sql or 'SELECT * FROM events'}")
    rows = connection.sql("SELECT * FROM result ORDER BY row_number").df()
    dropped = {}
    for reason, condition in layout.left_out.items():
        bad = connection.sql(f"SELECT coalesce({condition}, false) AS bad FROM result ORDER BY row_number").df().bad
        dropped[reason] = int(bad.sum())
        connection.execute(f"DELETE FROM result WHERE coalesce({condition}, false)")
        rows = rows[~bad.to_numpy()].reset_index(drop=True)
    return _log(connection, layout, rows, dropped)


def _source(table: Table) -> str:
    paths = "[" + ", ".join(literal(path) for path in table.paths) + "]"
    first = Path(table.paths[0])
    if is_parquet(first):
        return f"read_parquet({paths})"
    if table.lines:
        return (
            f"read_csv({paths}, header=false, delim='\x01', quote='', columns={{'line': 'VARCHAR'}}, auto_detect=false)"
        )
    if is_json(first):
        whole = "sample_size=-1, maximum_depth=-1, map_inference_threshold=-1"
        return f"read_json({paths}, format='newline_delimited', {whole})"
    options: dict[str, Any] = {"all_varchar": "true", "header": "false" if table.columns else "true"}
    if table.columns:
        options["names"] = "[" + ", ".join(literal(one) for one in table.columns) + "]"
    known = {"delim": table.delimiter, "quote": table.quote, "encoding": table.encoding, "escape": table.escape}
    options |= {key: literal(value) for key, value in known.items() if value is not None}
    return f"read_csv({paths}, {', '.join(f'{key}={value}' for key, value in options.items())})"


def _text(column: pd.Series) -> pd.Series:
    return column.map(lambda one: "" if pd.isna(one) else f"{one:.0f}" if isinstance(one, float) else str(one)).astype(
        "str"
    )


def _log(connection: Any, layout: Layout, rows: pd.DataFrame, dropped: dict[str, int]) -> InteractionLog:
    mapping = layout.mapping
    assert mapping.user
    assert mapping.item
    users = rows[mapping.user.split(",")].bfill(axis=1).iloc[:, 0]
    events = pd.DataFrame({"user_id": _text(users), "item_id": _text(rows[mapping.item])})
    events["event_type"] = _text(rows[mapping.type]) if mapping.type else "interaction"
    events["event_time_ms"] = _times(rows, mapping.time, mapping.time_format, mapping.untimed)
    events = events.sort_values("event_time_ms", kind="stable", ignore_index=True)
    kinds = {"title": mapping.title, "category": mapping.category, "price": mapping.price}
    known = pd.DataFrame({"item_id": _text(rows[mapping.item])})
    for field, column in kinds.items():
        known[field] = rows[column] if column else None
    for column in (str(one) for one in rows if str(one).startswith("feature_")):
        known[column] = rows[column]
    items = known.groupby("item_id").last()
    if layout.items:
        beside = connection.sql(layout.items).df().assign(item_id=lambda frame: _text(frame.item_id))
        items = beside.set_index("item_id").groupby(level=0).last().combine_first(items)
    items = (
        items.loc[sorted(set(events.item_id))].reset_index().rename(columns=lambda one: one.removeprefix("feature_"))
    )
    items["title"] = items.title.where(items.title.notna(), items.item_id)
    items["price"] = items.price.astype(str).str.strip("$").astype(float, errors="ignore")
    profiles = pd.DataFrame({"user_id": sorted(set(events.user_id))})
    if layout.users:
        profiles = profiles.merge(connection.sql(layout.users).df(), on="user_id", how="left")
    return InteractionLog(events, items, profiles, "", dropped, timed=not mapping.untimed, notes=layout.notes)


def _times(rows: pd.DataFrame, column: str | None, format: str | None, untimed: bool) -> Any:
    if column is None:
        return range(len(rows))
    cells = rows[column]
    units = {"seconds": 1000, "milliseconds": 1, "microseconds": 0.001}
    if format in units:
        return (cells.astype(float) * units[format]).astype("int64")
    numbers = pd.Series() if format or cells.dtype.kind == "M" else pd.to_numeric(cells, errors="coerce").astype(float)
    if len(numbers) and numbers.notna().all():
        return (numbers if numbers.iloc[0] > 1e11 or untimed else numbers * 1000).astype("int64")
    parsed = pd.to_datetime(cells, format=format or "ISO8601", utc=True)
    return parsed.astype("int64") // {"ns": 10**6, "us": 10**3, "ms": 1}[parsed.dt.unit]
