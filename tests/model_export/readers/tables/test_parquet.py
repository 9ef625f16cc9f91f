"""Parquet of all types, in one file or in parts."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model_export.readers import Mapping, read_log
from tests.support.logs import AT, cells, events, put, rows

RIGHT = [(user, item, "interaction", int(seconds) * 1000) for user, item, seconds, _ in cells()]
NUMBERS = [100 + n % 6 for n in range(20)]
WHEN = [datetime.fromtimestamp(int(seconds), UTC) for _, _, seconds, _ in cells()]


def parquet(path: Path, **columns: Any) -> Path:
    """A log of 20 events, some of its columns in another form; None: without it."""
    users, items, seconds = ([row[place] for row in cells()] for place in range(3))
    own = {"user_id": users, "item_id": items, "timestamp": [int(one) for one in seconds]}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({key: value for key, value in (own | columns).items() if value is not None}), path)
    return path


def test_types(tmp_path: Path) -> None:
    when = pd.to_datetime([AT + 1500, AT, AT + 500], unit="ms").as_unit("us").tz_localize("UTC")
    table = pd.DataFrame(
        {
            "user_id": [1e16, np.nan, 3.0],  # integers with a gap
            "item_id": [5, 6, 7],
            "time": when.tz_convert("Asia/Shanghai"),
            "category": pd.Categorical(["a", "b", "a"]),
            "price": [1, 2, 3],
            "profile_age": [40, 50, 60],
        }
    )
    table.to_parquet(path := tmp_path / "log.parquet")
    log = read_log(path)
    assert events(log) == [("3", "7", "interaction", AT + 500), ("10000000000000000", "5", "interaction", AT + 1500)]
    assert rows(log.items) == [("5", "5", "a", 1.0), ("7", "7", "a", 3.0)]
    assert rows(log.profiles) == [("10000000000000000", "40"), ("3", "60")]
    assert log.dropped == {"without a user": 1}


@pytest.mark.parametrize(
    ("users", "ids"),
    [
        (pa.array([Decimal(n) for n in NUMBERS], pa.decimal128(38, 9)), "100"),
        (pa.array([Decimal(n) for n in NUMBERS], pa.decimal128(38, 0)), "100"),
        (pa.array([float(n) for n in NUMBERS]), "100"),
        (pa.array([n - 100 for n in NUMBERS], pa.uint64()), "0"),
        (pa.array([float(2**53 + 2 * (n - 100)) for n in NUMBERS]), "9007199254740992"),
        (pa.array([1e20 * (n - 99) for n in NUMBERS]), "100000000000000000000"),
        (pa.array([n + 0.5 for n in NUMBERS]), "100.5"),
        (pa.array([f"c{n}" for n in NUMBERS]).dictionary_encode(), "c100"),
        (pa.array([f"c{n}" for n in NUMBERS], pa.large_string()), "c100"),
        (pa.array([f"c{n}".encode() for n in NUMBERS], pa.binary()), "c100"),
        (pa.array([UUID(int=n).bytes for n in NUMBERS], pa.uuid()), str(UUID(int=100))),
    ],
)
def test_ids(tmp_path: Path, users: pa.Array, ids: str) -> None:
    log = read_log(parquet(tmp_path / "log.parquet", user_id=users))
    assert len(log.events) == 20
    assert log.events.user_id.nunique() == 6
    assert log.events.user_id[0] == ids


@pytest.mark.parametrize("gap", [None, float("nan")])
def test_gaps(tmp_path: Path, gap: float | None) -> None:
    users = pa.array([gap, *NUMBERS[1:]], pa.float64() if gap else pa.int64())
    log = read_log(parquet(tmp_path / "log.parquet", user_id=users, title=pa.nulls(20)))
    assert log.events.user_id.tolist() == [str(n) for n in NUMBERS[1:]]
    assert log.dropped == {"without a user": 1}


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Shanghai"])
def test_timestamps(tmp_path: Path, unit: str, zone: str | None) -> None:
    times = pa.array([one if zone else one.replace(tzinfo=None) for one in WHEN], pa.timestamp(unit, zone))
    assert events(read_log(parquet(tmp_path / "log.parquet", timestamp=times))) == RIGHT


@pytest.mark.parametrize(
    "times",
    [[str(one) for one in WHEN], [one.timestamp() for one in WHEN], [int(one.timestamp() * 1e6) for one in WHEN]],
)
def test_other_times(tmp_path: Path, times: list[Any]) -> None:
    assert events(read_log(parquet(tmp_path / "log.parquet", timestamp=times))) == RIGHT


def test_dates(tmp_path: Path) -> None:
    log = read_log(parquet(tmp_path / "log.parquet", timestamp=[date(2025, 6, 15)] * 20))
    assert set(log.events.event_time_ms) == {AT - (15 * 3600 + 6 * 60 + 40) * 1000}


@pytest.mark.parametrize("times", [[timedelta(seconds=1)] * 20, [time(1, 2, 3)] * 20])
def test_what_is_no_time(tmp_path: Path, times: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"log.parquet: 20 of 20 times in column 'timestamp' cannot be read"):
        read_log(parquet(tmp_path / "log.parquet", timestamp=times))


def test_nested(tmp_path: Path) -> None:
    users = [{"id": user, "name": "x"} for user, *_ in RIGHT]
    path = parquet(tmp_path / "log.parquet", user_id=None, user=users, category=[["a", "b"]] * 20)
    log = read_log(path)
    assert events(log) == RIGHT
    assert set(log.items.category) == {"a"}
    baskets = [[{"item_id": item}, {"item_id": "second"}] for _, item, *_ in RIGHT]
    log = read_log(parquet(tmp_path / "log.parquet", item_id=None, items=baskets))
    assert [row[1] for row in events(log)] == [item for _, one, *_ in RIGHT for item in (one, "second")]
    pair = pa.array([[item, "second"] for _, item, *_ in RIGHT], pa.list_(pa.string(), 2))  # of a fixed size
    log = read_log(parquet(tmp_path / "log.parquet", item_id=pair))
    assert [row[1] for row in events(log)] == [item for _, one, *_ in RIGHT for item in (one, "second")]
    attributes = pa.array([[("colour", "red")]] * 20, pa.map_(pa.string(), pa.string()))
    assert events(read_log(parquet(tmp_path / "log.parquet", attributes=attributes))) == RIGHT


@pytest.mark.parametrize("users", [[str(n) for n in NUMBERS], [float(n) for n in NUMBERS]])
def test_parts(tmp_path: Path, users: Sequence[object]) -> None:
    first = parquet(tmp_path / "a.parquet", user_id=NUMBERS)
    table = pq.read_table(parquet(tmp_path / "b.parquet", user_id=users, title=["Late"] * 20))
    pq.write_table(table.select(["title", "timestamp", "item_id", "user_id"]), tmp_path / "b.parquet")
    put(tmp_path / "_SUCCESS", "")
    put(tmp_path / "notes.csv", "about,these\n")  # beside Parquet
    log = read_log(tmp_path)
    assert len(log.events) == 40
    assert sorted(log.events.user_id.unique()) == [str(100 + n) for n in range(6)]
    assert set(log.items.title) == {"Late"}
    assert len(read_log(first).events) == 20


def test_a_broken_part_is_named(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet")
    put(tmp_path / "b.parquet", path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"cannot be read: .*b.parquet"):
        read_log(tmp_path)


def test_no_rows(tmp_path: Path) -> None:
    pq.write_table(pq.read_table(parquet(tmp_path / "log.parquet")).slice(0, 0), tmp_path / "log.parquet")
    with pytest.raises(ValueError, match=r"log.parquet: no interaction remains of 0 rows"):
        read_log(tmp_path / "log.parquet")


def test_arrow(tmp_path: Path) -> None:
    table = pq.read_table(parquet(tmp_path / "log.parquet"))
    with pa.OSFile(str(tmp_path / "log.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    assert events(read_log(tmp_path / "log.arrow")) == RIGHT


def test_as_a_partition_of_users(tmp_path: Path) -> None:
    for user in ("a", "b"):
        parquet(tmp_path / f"user_id={user}" / "part.parquet", user_id=None)
    assert read_log(tmp_path, Mapping(user="user_id")).events.user_id.value_counts().to_dict() == {"a": 20, "b": 20}
