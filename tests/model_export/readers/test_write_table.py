"""The table that a log is kept in: the same when it is read back, and small."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from model_export.data.interactions import EVENT_COLUMNS, InteractionLog
from model_export.readers import read_log, write_table


def log_of(events: int) -> InteractionLog:
    rng = np.random.default_rng(1)
    users, items = rng.integers(50, size=events), rng.integers(20, size=events)
    users[:50], items[:20] = np.arange(50), np.arange(20)
    frame = pd.DataFrame(
        {
            "user_id": [f"somebody-{user:03}" for user in users],
            "item_id": [f"something-{item:03}" for item in items],
            "event_type": np.where(rng.random(events) < 0.1, "buy", "view"),
            "event_time_ms": 1_700_000_000_000 + 1_000 * np.arange(events),
        }
    )
    item_ids = [f"something-{item:03}" for item in range(20)]
    return InteractionLog(
        frame,
        pd.DataFrame(
            {
                "item_id": item_ids,
                "title": [f"Thing {item}" for item in range(20)],
                "category": ["toys" if item % 2 else "" for item in range(20)],
                "price": [np.nan if item % 3 else float(item) for item in range(20)],
                "colour": ["red|blue" if item % 5 else "" for item in range(20)],
            }
        ).astype({"title": "str", "category": "str", "colour": "str", "item_id": "str"}),
        pd.DataFrame({"user_id": [f"somebody-{user:03}" for user in range(50)], "city": ["York", ""] * 25}).astype(
            "str"
        ),
        "log",
    )


def test_a_log_is_read_back_the_same(tmp_path: Path) -> None:
    log = log_of(2_000)
    back = read_log(write_table(log, tmp_path / "log.parquet"))
    pd.testing.assert_frame_equal(back.events, log.events)
    pd.testing.assert_frame_equal(back.items, log.items)
    pd.testing.assert_frame_equal(back.profiles, log.profiles)


def test_strings_are_written_as_dictionaries(tmp_path: Path) -> None:
    path = write_table(log_of(2_000), tmp_path / "log.parquet")
    schema = pq.read_schema(path)
    for name in (*EVENT_COLUMNS[:3], "title", "category", "feature_colour", "profile_city"):
        assert str(schema.field(name).type).startswith("dictionary<"), name
    assert path.stat().st_size < 2_000 * 16
