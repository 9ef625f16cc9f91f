"""Events in the order of time, and the log that they make with what is known of items and users."""

from dataclasses import replace

import numpy as np
import pandas as pd

from mindstream.mapping import Mapping
from model_export.data.interactions import EVENT_COLUMNS, ITEM_COLUMNS, InteractionLog
from model_export.readers.rows.coding import CodedRows

__all__ = ["events_in_order", "make_log"]


def events_in_order(coded: CodedRows, mapping: Mapping) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the events in order of time, and the rows that are left out, by reason."""
    if mapping.untimed:
        coded = replace(coded, order=_positions_of_users(coded))
    if len(coded.order) > 1 and (np.diff(coded.order) < 0).any():
        coded = coded.take(np.argsort(coded.order, kind="stable"))
    dropped = dict(coded.dropped)
    if mapping.max_events_per_user is not None:
        latest = _latest_of_users(np.asarray(coded.user.codes), mapping.max_events_per_user)
        if too_many := int((~latest).sum()):
            dropped[f"beyond the latest {mapping.max_events_per_user:,} of their user"] = too_many
            coded = coded.take(latest)
    columns = (column.remove_unused_categories() for column in (coded.user, coded.item, coded.event_type))
    return pd.DataFrame(dict(zip(EVENT_COLUMNS, [*columns, coded.order], strict=True))), dropped


def _positions_of_users(rows: CodedRows) -> np.ndarray:
    """Return each row's position in its user's sequence by `order`: int64 (rows,).

    Equal ones are as in the log.
    """
    users = np.asarray(rows.user.codes)
    by_user = np.lexsort((rows.order, users))
    first = np.diff(users[by_user], prepend=-1) != 0
    places = np.arange(len(by_user))
    positions = np.empty(len(by_user), dtype=np.int64)
    positions[by_user] = places - np.maximum.accumulate(np.where(first, places, 0))
    return positions


def _latest_of_users(user: np.ndarray, most: int) -> np.ndarray:
    """Return which rows, in order of time, are among the latest of their user: bool (rows,).

    Parameters
    ----------
    user : codes (rows,).
    """
    by_user = np.argsort(user, kind="stable")
    counts = np.bincount(user)
    ends = np.cumsum(counts)
    kept = np.empty(len(user), dtype=bool)
    kept[by_user] = np.arange(len(user)) >= np.repeat(ends - np.minimum(counts, most), counts)
    return kept


def make_log(rows: pd.DataFrame, items: pd.DataFrame, profiles: pd.DataFrame, source: str) -> InteractionLog:
    """Make a log of events in order of time.

    Items and profiles are cut, or filled up, to those of the events.

    Parameters
    ----------
    items : DataFrame
        item_id, any of title, category and price, and side features.
    profiles : DataFrame
        user_id and the profile fields.
    """
    features = [name for name in items if name not in ITEM_COLUMNS]
    items = _align(items, "item_id", rows).reindex(columns=[*ITEM_COLUMNS, *features])
    unknown = dict.fromkeys(["title", "category", *features], "")
    items = items.astype({**dict.fromkeys(unknown, "str"), "price": "float64"}).fillna(unknown)
    items["title"] = items.title.where(items.title != "", items.item_id)
    profiles = _align(profiles, "user_id", rows).astype("str").fillna("")
    return InteractionLog(rows[EVENT_COLUMNS], items, profiles, source)


def _align(table: pd.DataFrame, key: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the table's rows of the ids that events have, sorted; missing ones are empty."""
    keys = pd.Index(np.sort(rows[key].unique()), name=key, dtype="str")
    return table.set_index(key).reindex(keys).reset_index()
