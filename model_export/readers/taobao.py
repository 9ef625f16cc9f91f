"""Alibaba's UserBehavior (Tianchi data set 649): nine days of clicks, carts, favourites and purchases."""

from pathlib import Path

import pandas as pd

from model_export.data.interactions import InteractionLog
from model_export.readers.cells import to_numbers, to_text
from model_export.readers.delimited import read_delimited
from model_export.readers.files import only_file
from model_export.readers.rows import drop_rows, in_time_order, latest_values, make_log

__all__ = ["looks_like", "read"]

COLUMNS = ["user_id", "item_id", "category", "event_type", "seconds"]  # the file has no header
BEHAVIOURS = ("pv", "cart", "fav", "buy")

# 25 November to 3 December 2017, whole days in China (UTC+8). The file has some times far outside.
FIRST_MS = 1_511_539_200_000
END_MS = 1_512_316_800_000


def looks_like(cells: list[str]) -> bool:
    """Tell whether the first line is a row of UserBehavior."""
    if len(cells) != len(COLUMNS) or cells[3] not in BEHAVIOURS:
        return False
    return all(cell.isdigit() for cell in cells[:3] + cells[4:])


def read(path: Path) -> InteractionLog:
    """Read UserBehavior.csv or a part of it; times outside the nine days are dropped.

    Raises
    ------
    ValueError
        If the file cannot be parsed or no interaction remains.
    """
    path = only_file(path)
    dropped: dict[str, int] = {}
    cells = read_delimited(path, COLUMNS, has_header=False, quotes=False, dropped=dropped)
    rows = pd.DataFrame({name: to_text(cells[name]) for name in COLUMNS[:4]})
    rows["event_time_ms"] = to_numbers(cells["seconds"]) * 1000
    rows = drop_rows(rows, ~rows.event_type.isin(BEHAVIOURS), "with an unknown behaviour", dropped)
    outside = (rows.event_time_ms < FIRST_MS) | (rows.event_time_ms >= END_MS)
    rows = drop_rows(rows, outside, "outside 2017-11-25 to 2017-12-03 (China time)", dropped)
    rows = in_time_order(rows, path, dropped)
    items = latest_values(rows, "item_id", ["category"])
    items["title"] = "item " + items.item_id + " (category " + items.category + ")"
    return make_log(rows, items, latest_values(rows, "user_id", []), path.name, dropped)
