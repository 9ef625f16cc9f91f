"""Steps that all readers share: drop and count rows, put them into time order, make the log."""

from pathlib import Path

import numpy as np
import pandas as pd

from model_export.data.interactions import EVENT_COLUMNS, ITEM_COLUMNS, InteractionLog

__all__ = ["drop_rows", "in_time_order", "latest_values", "make_log"]


def drop_rows(rows: pd.DataFrame, bad: pd.Series, reason: str, dropped: dict[str, int]) -> pd.DataFrame:
    """Return the rows that are not bad, and count the others under the reason.

    Parameters
    ----------
    bad : bool, one a row.
    dropped : reason -> count; changed in place.
    """
    dropped[reason] = int(bad.sum())
    return rows[~bad] if dropped[reason] else rows


def in_time_order(rows: pd.DataFrame, path: Path, dropped: dict[str, int]) -> pd.DataFrame:
    """Return the rows with user, item and time, sorted by time; equal times keep their order.

    Parameters
    ----------
    rows : DataFrame
        user_id and item_id ("" where missing), event_time_ms (float, NaN where missing) and others.

    Raises
    ------
    ValueError
        If no row remains; names the path and the reasons.
    """
    read = len(rows) + sum(dropped.values())
    rows = drop_rows(rows, rows.user_id == "", "without a user", dropped)
    rows = drop_rows(rows, rows.item_id == "", "without an item", dropped)
    rows = drop_rows(rows, rows.event_time_ms.isna(), "without a readable time", dropped)
    if rows.empty:
        reasons = "; ".join(f"{count:,} {reason}" for reason, count in dropped.items() if count)
        raise ValueError(f"{path}: no interaction remains of {read:,} rows; dropped: {reasons or 'none'}")
    rows = rows.assign(event_time_ms=rows.event_time_ms.astype("int64"))
    if rows.event_time_ms.is_monotonic_increasing:
        return rows.reset_index(drop=True)
    return rows.sort_values("event_time_ms", kind="stable", ignore_index=True)


def latest_values(rows: pd.DataFrame, key: str, fields: list[str]) -> pd.DataFrame:
    """Return a row for each value of the key, with the last known value of every field.

    Rows are in the order of the key.

    Parameters
    ----------
    rows : DataFrame
        In time order; a field's value is unknown where it is "" or NaN.
    """
    codes, keys = pd.factorize(rows[key], sort=True)
    table = {key: pd.Series(keys, dtype="str")}
    for field in fields:
        known = np.flatnonzero(rows[field].notna() & (rows[field] != ""))
        last = np.full(len(keys), -1)
        last[codes[known]] = known  # of repeated indices numpy keeps the last assignment
        table[field] = rows[field].reindex(last).reset_index(drop=True)
        if rows[field].dtype == "str":
            table[field] = table[field].fillna("")
    return pd.DataFrame(table)


def make_log(
    rows: pd.DataFrame,
    items: pd.DataFrame,
    profiles: pd.DataFrame,
    source: str,
    dropped: dict[str, int],
    sides: dict[str, str] | None = None,
) -> InteractionLog:
    """Make a log of rows in time order.

    Items and profiles are cut, or filled up, to those of the rows.

    Parameters
    ----------
    items : DataFrame
        item_id, any of title, category and price, and side features; the last row counts where an item has several.
    profiles : DataFrame
        user_id and the profile fields; the last row counts where a user has several.
    sides : dict, optional
        user_id -> "train", "valid" or "test", of the users of the rows.
    """
    features = [name for name in items if name not in ITEM_COLUMNS]
    items = _align(items, "item_id", rows).reindex(columns=[*ITEM_COLUMNS, *features])
    unknown = dict.fromkeys(["title", "category", *features], "")
    items = items.astype({**dict.fromkeys(unknown, "str"), "price": "float64"}).fillna(unknown)
    items["title"] = items.title.where(items.title != "", items.item_id)
    profiles = _align(profiles, "user_id", rows).astype("str").fillna("")
    return InteractionLog(rows[EVENT_COLUMNS], items, profiles, source, dropped, sides or {})


def _align(table: pd.DataFrame, key: str, rows: pd.DataFrame) -> pd.DataFrame:
    keys = pd.Index(np.sort(rows[key].unique()), name=key, dtype="str")
    return table.drop_duplicates(key, keep="last").set_index(key).reindex(keys).reset_index()
