"""Look-alikes of sessions without user ids: OTTO in three forms, yoochoose and diginetica."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from testbed.look_alikes.expected import ROWS, USERS, Expected, LookAlike, rows, write

__all__ = ["SESSIONS"]

_KINDS = ("clicks", "carts", "orders")


def _otto(folder: Path) -> Expected:
    lines = []
    for session in range(USERS):
        events = [
            {"aid": 100 + row.item, "ts": 1000 * row.seconds, "type": _KINDS[n // USERS % 3]}
            for n, row in enumerate(rows())
            if row.user == session
        ]
        lines.append(json.dumps({"session": 1000 + session, "events": events}))
    write(folder / "otto-recsys-train.jsonl", lines)
    return Expected(types={"clicks": 12, "carts": 6, "orders": 6}, orders={"1000": ["100", "106", "104", "102"]})


def _otto_parquet(folder: Path) -> Expected:
    """Write the copy with an event a row, kinds as numbers and times in seconds."""
    columns = {
        "session": pa.array([1000 + row.user for row in rows()], pa.int32()),
        "aid": pa.array([100 + row.item for row in rows()], pa.int32()),
        "ts": pa.array([row.seconds for row in rows()], pa.int32()),
        "type": pa.array([n // USERS % 3 for n in range(ROWS)], pa.uint8()),
    }
    pq.write_table(pa.table(columns), folder / "train.parquet")
    return Expected(types={"clicks": 12, "carts": 6, "orders": 6}, orders={"1000": ["100", "106", "104", "102"]})


def _yoochoose(folder: Path) -> Expected:
    """Write clicks of all sessions, and a purchase of sessions 1 and 2 after them."""
    categories = ("0", "S", "7", "2089538234")
    clicks = [
        f"{row.user + 1},{row.time('%Y-%m-%dT%H:%M:%S.277Z')},{214500000 + row.item},{categories[row.item % 4]}"
        for row in rows()
    ]
    write(folder / "yoochoose-clicks.dat", clicks)
    buys = [
        "1,2025-06-17T10:00:00.000Z,214500000,12462,1",
        "2,2025-06-17T10:00:01.000Z,214500001,0,0",
    ]
    write(folder / "yoochoose-buys.dat", buys)
    write(folder / "yoochoose-test.dat", ["99,2025-06-18T10:00:00.000Z,214500000,0"])
    whole = Expected(
        events=ROWS + 2,
        types={"click": ROWS, "buy": 2},
        categories={"214500000": "", "214500001": "", "214500002": "7", "214500003": ""},
        prices={"214500000": 12462},
    )
    assert whole.last is not None
    return replace(whole, last=whole.last.replace(day=17))


def _clicks_alone(whole: Expected) -> Expected:
    return replace(whole, events=ROWS, types={"click": ROWS}, prices={}, last=Expected().last)


def _diginetica(folder: Path) -> Expected:
    """Write sessions most of whose users are NA; of one session the rows are in no order."""
    views = [
        f"{row.user + 1};{'NA' if row.user else 77};{80000 + row.item};{500000 - 1000 * n};{row.time('%Y-%m-%d')}"
        for n, row in enumerate(rows())
    ]
    write(folder / "train-item-views.csv", ["sessionId;userId;itemId;timeframe;eventdate", *views])
    bought = ["1;77;3600000;2025-06-16;9;80003"]
    write(folder / "train-purchases.csv", ["sessionId;userId;timeframe;eventdate;ordernumber;itemId", *bought])
    write(folder / "products.csv", ["itemId;pricelog2;product.name.tokens", "80003;3;1,2,3", "80004;0;5"])
    write(folder / "product-categories.csv", ["itemId;categoryId", "80003;504", "80005;7"])
    return Expected(
        events=ROWS + 1,
        types={"view": ROWS, "purchase": 1},
        categories={"80003": "504", "80004": "", "80005": "7"},
        prices={"80003": 8.0, "80004": 1.0},
    )


def _views_alone(whole: Expected) -> Expected:
    return replace(whole, events=ROWS, types={"view": ROWS})


SESSIONS = (
    LookAlike("OTTO", "otto", "otto-recsys-train.jsonl", _otto),
    LookAlike("OTTO as Parquet", "otto", "train.parquet", _otto_parquet),
    LookAlike("yoochoose", "yoochoose", "yoochoose-clicks.dat", _yoochoose, _clicks_alone),
    LookAlike("diginetica", "diginetica", "train-item-views.csv", _diginetica, _views_alone),
)
