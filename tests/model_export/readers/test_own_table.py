"""Logs written as tables of our own, and read back the same."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_export.data.interactions import EVENT_COLUMNS, InteractionLog
from model_export.data.simulator import simulate
from model_export.readers import read_log, write_table
from model_export.readers.presets import recognise
from model_export.readers.presets.peek import found_at
from tests.support.logs import assert_same, rows


def recognised(path: Path) -> str | None:
    found = recognise(found_at(path))
    return found.name if found else None


TEXT = st.text(min_size=1, max_size=4)
EVENT = st.tuples(TEXT, TEXT, TEXT, st.integers(-(10**14), 2 * 10**14))


@st.composite
def logs(draw: st.DrawFn) -> InteractionLog:
    """Any log: ids, titles and profiles of any text, unknown ones among them."""
    drawn = draw(st.lists(EVENT, min_size=1, max_size=8))
    table = pd.DataFrame(drawn, columns=EVENT_COLUMNS)
    table = table.sort_values("event_time_ms", kind="stable", ignore_index=True)
    items = sorted(set(table.item_id))
    users = sorted(set(table.user_id))

    def column(values: st.SearchStrategy[str], count: int) -> list[str]:
        return draw(st.lists(values, min_size=count, max_size=count))

    price = st.floats(0, 1e6) | st.just(float("nan"))
    catalogue = {
        "item_id": pd.Series(items, dtype="str"),
        "title": pd.Series(column(TEXT, len(items)), dtype="str"),
        "category": pd.Series(column(TEXT | st.just(""), len(items)), dtype="str"),
        "price": pd.Series(draw(st.lists(price, min_size=len(items), max_size=len(items))), dtype="float64"),
    }
    for field in draw(st.sampled_from([[], ["Tags"], ["brand", "tags"]])):
        catalogue[field] = pd.Series(column(TEXT | st.just(""), len(items)), dtype="str")
    profiles = {"user_id": users}
    for field in draw(st.sampled_from([[], ["Age"], ["region", "age"]])):
        profiles[field] = column(TEXT | st.just(""), len(users))
    return InteractionLog(
        events=table.astype({"user_id": "str", "item_id": "str", "event_type": "str"}),
        items=pd.DataFrame(catalogue),
        profiles=pd.DataFrame(profiles).astype("str"),
        source="drawn",
    )


@given(logs())
def test_a_written_table_reads_back_the_same(log: InteractionLog) -> None:
    with tempfile.TemporaryDirectory() as folder:
        back = read_log(write_table(log, Path(folder) / "log.parquet"))
    assert_same(log, back)
    assert back.dropped == {}


def test_a_part_of_a_log_survives_writing(tmp_path: Path) -> None:
    log = simulate(users=20).log.between(0.2, 0.7)
    assert_same(log, read_log(write_table(log, tmp_path / "log.parquet")))


def test_a_part_of_a_log_keeps_the_sides_of_its_users(tmp_path: Path) -> None:
    log = replace(simulate(users=3).log, sides={"user-1": "train", "user-2": "valid", "user-3": "test"})
    first = log.events.user_id[0]
    assert log.between(0, 1 / len(log.events)).sides == {first: log.sides[first]}
    assert log.between(0, 1).sides == log.sides
    assert read_log(write_table(log, tmp_path / "log.parquet")).sides == {}  # a table has no column for them


def test_events_of_unknown_items_and_users_are_written(tmp_path: Path) -> None:
    log = simulate(users=3).log
    bare = InteractionLog(log.events, log.items.iloc[1:], log.profiles.iloc[1:], "bare")
    back = read_log(write_table(bare, tmp_path / "log.parquet"))
    pd.testing.assert_frame_equal(back.events, log.events)
    first = log.items.item_id[0]
    assert rows(back.items)[0] == (first, first, "", None)
    assert rows(back.profiles)[0] == ("user-1", "", "")


def test_what_a_table_cannot_keep_is_not_written(tmp_path: Path) -> None:
    log = simulate(users=3).log
    short = InteractionLog(log.events.head(1), log.items, log.profiles, "short")
    with pytest.raises(ValueError, match="item_id without an event would be lost"):
        write_table(short, tmp_path / "log.parquet")
    with pytest.raises(ValueError, match=r"log.csv: .* must end in .parquet"):
        write_table(log, tmp_path / "log.csv")
