"""Sessions of shops without user ids: OTTO, yoochoose (RecSys 2015) and diginetica (CIKM Cup 2016)."""

import re
from pathlib import Path

from mindstream.mapping import Mapping
from model_export.readers.layout import Found, Layout, Preset, Table
from model_export.readers.presets.peek import first_lines, names_at, names_of, parts
from model_export.readers.presets.sql import PLACE

__all__ = ["DIGINETICA", "OTTO", "YOOCHOOSE"]

# OTTO

_OTTO_LINES = {"session", "events"}
_OTTO_ROWS = {"session", "aid", "ts", "type"}


def _is_otto(found: Found) -> bool:
    """Tell whether the first file has OTTO's columns: lists of events, or an event a row."""
    file = Path(parts(found).paths[0])
    names = set(names_of(file))
    return names == _OTTO_ROWS or (names == _OTTO_LINES and '"aid"' in "".join(first_lines(file, 1)))


def _layout_otto(found: Found) -> Layout:
    events = parts(found)
    in_lines = set(names_of(Path(events.paths[0]))) == _OTTO_LINES
    return Layout(
        format="otto",
        events=events,
        mapping=Mapping(user="session", item="aid", time="ts", type="type"),
        sql=_OTTO_OF_LINES if in_lines else _OTTO_OF_ROWS,
        notes=("each session is a user: OTTO has no ids of users",),
    )


_OTTO_OF_LINES = f"""
SELECT session, event.aid AS aid, event.ts AS ts, event.type AS type, {PLACE} AS row_number
FROM (
    SELECT log.session, log.row_number, unnest(log.events) AS event, generate_subscripts(log.events, 1) AS place
    FROM events AS log
)
"""
_OTTO_OF_ROWS = """
SELECT session, aid, ts, row_number,
    CASE CAST(type AS VARCHAR) WHEN '0' THEN 'clicks' WHEN '1' THEN 'carts' WHEN '2' THEN 'orders'
        ELSE CAST(type AS VARCHAR) END AS type
FROM events
"""

# yoochoose

_CLICKS = re.compile(r"\d+,\d{4}-\d\d-\d\dT[\d:.]+Z,\d+,\w+")
_BUYS = re.compile(r"\d+,\d{4}-\d\d-\d\dT[\d:.]+Z,\d+,\d+,\d+")
_CHOOSE = re.compile(r"(?:yoochoose[-_])?(clicks|buys|test)\.dat")


def _choose_kind(name: str, file: Path) -> str | None:
    """Return clicks, buys or test for a file of yoochoose's; None for another."""
    match, lines = _CHOOSE.fullmatch(name), first_lines(file, 1)
    if match is None or not lines:
        return None
    return match[1] if (_BUYS if match[1] == "buys" else _CLICKS).fullmatch(lines[0]) else None


def _choose_files(found: Found) -> dict[str, Path]:
    """Return kind -> file: of the folder, or the path alone."""
    files = found.files.items() if found.is_folder else [(found.name, found.path)]
    return {kind: file for one, file in files if (kind := _choose_kind(one, file)) is not None}


def _is_choose(found: Found) -> bool:
    kinds = set(_choose_files(found))
    return bool(kinds & {"clicks", "buys"}) if found.is_folder else bool(kinds)


def _layout_choose(found: Found) -> Layout:
    """Return the layout: clicks and buys together for a folder."""
    files = _choose_files(found)
    if not files:
        raise FileNotFoundError(f"yoochoose-clicks.dat and yoochoose-buys.dat are not at {found.path}")
    test = files.pop("test", None) if found.is_folder else None
    tables = {kind: _choose_table(kind, file) for kind, file in files.items()}
    first, *others = tables
    rows = [_choose_rows("events" if kind == first else kind, kind) for kind in tables]
    notes = ["each session is a user: yoochoose has no ids of users"]
    if test is not None:
        notes.append(f"{test.name}, the sessions to predict, is not read with the others; give its path to read it")
    return Layout(
        format="yoochoose",
        events=tables[first],
        mapping=Mapping(
            user="session_id", item="item_id", time="timestamp", type="event_type", category="category", price="price"
        ),
        sql=" UNION ALL ".join(rows),
        beside={kind: tables[kind] for kind in others},
        notes=tuple(notes),
    )


def _choose_table(kind: str, file: Path) -> Table:
    last = ("price", "quantity") if kind == "buys" else ("category",)
    return Table((str(file),), columns=("session_id", "timestamp", "item_id", *last), delimiter=",", quote="")


def _choose_rows(table: str, kind: str) -> str:
    """Return the statement for one file's rows.

    Categories are 1 to 12; other values are offers, brands and unknown ones.
    """
    category = "CASE WHEN TRY_CAST(category AS INTEGER) BETWEEN 1 AND 12 THEN category END"
    known = ("NULL", "nullif(price, '0')") if kind == "buys" else (category, "NULL")
    name = "buy" if kind == "buys" else "click"
    return (
        f"SELECT session_id, timestamp, item_id, '{name}' AS event_type, CAST({known[0]} AS VARCHAR) AS category, "
        f"CAST({known[1]} AS VARCHAR) AS price, row_number FROM {table}"
    )


# diginetica

_VIEWS = {"itemid", "timeframe", "eventdate"}
_GINETICA = ("sessionid", "userid", "itemid", "timeframe", "eventdate")


def _ginetica_files(found: Found) -> dict[str, Path]:
    """Return "view" and "purchase" -> file: of the folder, or the path alone."""
    files = found.files.items() if found.is_folder else [(found.name, found.path)]
    kinds = {"train-item-views.csv": "view", "train-purchases.csv": "purchase"}
    return {
        kinds.get(one, "view"): file
        for one, file in files
        if (one in kinds or not found.is_folder) and set(_columns_of(file)) >= set(_GINETICA)
    }


def _columns_of(file: Path) -> dict[str, str]:
    """Return the columns in lower case and without "_" -> as in the file.

    Later copies write session_id.
    """
    return {one.lower().replace("_", ""): one for one in names_of(file)}


def _layout_ginetica(found: Found) -> Layout:
    files = _ginetica_files(found)
    if not files:
        raise FileNotFoundError(f"diginetica's train-item-views.csv is not at {found.path}")
    first, *others = files
    rows = [
        _ginetica_rows("events" if kind == first else kind, kind, _columns_of(file)) for kind, file in files.items()
    ]
    beside = {kind: Table((str(files[kind]),), delimiter=";") for kind in others}
    prices = "itemId" in names_at(found, "products.csv") and "pricelog2" in names_at(found, "products.csv")
    categories = set(names_at(found, "product-categories.csv")) == {"itemId", "categoryId"}
    if prices:
        beside["products"] = found.table("products.csv", delimiter=";")
    if categories:
        beside["categories"] = found.table("product-categories.csv", delimiter=";")
    return Layout(
        format="diginetica",
        events=Table((str(files[first]),), delimiter=";"),
        mapping=Mapping(
            user="session_id", item="item_id", time="time_ms", time_format="milliseconds", type="event_type"
        ),
        sql=" UNION ALL ".join(rows),
        beside=beside,
        items=_ginetica_items(prices, categories),
        notes=("each session is a user: the column of users is NA in most rows",),
    )


def _ginetica_rows(table: str, kind: str, columns: dict[str, str]) -> str:
    """Return the statement for one file's rows.

    Their times are the day and the milliseconds of `timeframe`.
    """
    day = f'TRY_CAST("{columns["eventdate"]}" AS TIMESTAMP)'
    return (
        f'SELECT "{columns["sessionid"]}" AS session_id, "{columns["itemid"]}" AS item_id, '
        f'epoch_ms({day}) + coalesce(TRY_CAST("{columns["timeframe"]}" AS BIGINT), 0) AS time_ms, '
        f"'{kind}' AS event_type, row_number FROM {table}"
    )


def _ginetica_items(prices: bool, categories: bool) -> str | None:
    price = 'SELECT "itemId" AS item_id, round(pow(2, TRY_CAST(pricelog2 AS DOUBLE)), 2) AS price FROM products'
    category = 'SELECT "itemId" AS item_id, "categoryId" AS category FROM categories'
    if prices and categories:
        return f"SELECT item_id, price, category FROM ({price}) FULL JOIN ({category}) USING (item_id)"
    return price if prices else category if categories else None


OTTO = Preset("otto", "OTTO's sessions (JSON lines, or an event a row)", _is_otto, _layout_otto)
YOOCHOOSE = Preset("yoochoose", "yoochoose (yoochoose-clicks.dat, yoochoose-buys.dat)", _is_choose, _layout_choose)
DIGINETICA = Preset(
    "diginetica",
    "diginetica (train-item-views.csv, train-purchases.csv)",
    lambda f: bool(_ginetica_files(f)),
    _layout_ginetica,
)
