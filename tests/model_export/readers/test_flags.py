"""Columns by which rows should be left out: what is said of them, and that what is said does so."""

import re
import shlex
from pathlib import Path

import pytest

from model_export.data.interactions import InteractionLog
from model_export.readers import Mapping, read_log
from tests.support.logs import cells, put, text


def log_of(folder: Path, column: str, values: list[str], **mapping: object) -> InteractionLog:
    """A log of 20 events with one more column, whose values are repeated."""
    table = [[*row[:3], values[n % len(values)]] for n, row in enumerate(cells())]
    path = put(folder / "log.csv", text(table, header=["user_id", "item_id", "timestamp", column]))
    return read_log(path, Mapping.model_validate(mapping))


def options(note: str) -> dict[str, str]:
    """The options that a note gives in backquotes."""
    found = re.search("`(.*)`", note)
    assert found is not None
    words = shlex.split(found[1])
    return {
        name.removeprefix("--").replace("-", "_"): value for name, value in zip(words[::2], words[1::2], strict=True)
    }


@pytest.mark.parametrize(
    ("column", "values", "left"),
    [
        ("clicked", ["0", "1", "0", "0"], 5),
        ("is_click", ["1", "0"], 10),
        ("label", ["0.0", "1.0"], 10),
        ("purchased", ["true", "false"], 10),
        ("Bought", ["True", "False", "False", "False"], 5),
        ("event", ["true", "false"], 10),
        ("event", ["0", "1"], 10),
        ("quantity", ["1", "-2", "3", "4"], 15),
    ],
)
def test_a_column_that_leaves_rows_out_is_told_with_the_way(
    tmp_path: Path, column: str, values: list[str], left: int
) -> None:
    log = log_of(tmp_path, column, values)
    assert len(log.events) == 20
    assert set(log.events.event_type) == {"interaction"}
    [note] = log.notes
    assert f"{20 - left}" in note
    assert column in note
    again = log_of(tmp_path, column, values, **options(note))
    assert len(again.events) == left
    assert again.notes == ()


def test_the_sentences(tmp_path: Path) -> None:
    assert log_of(tmp_path, "clicked", ["0", "1"]).notes == (
        "the column 'clicked' is not used: 10 of 20 rows have 0; `--value clicked --min-value 1` leaves them out",
    )
    assert log_of(tmp_path, "event", ["false", "true"]).notes == (
        "the column 'event' is not used, and no event type: 10 of 20 rows have false; "
        "`--where \"event = 'true'\"` leaves them out",
    )
    assert log_of(tmp_path, "qty", ["-1", "1", "1", "1"]).notes == (
        "5 rows have a qty below 0 (returns?): `--where 'qty > 0'`",
    )


@pytest.mark.parametrize(
    ("column", "values"),
    [("clicked", ["1"]), ("label", ["0", "1", "2"]), ("quantity", ["1", "0"]), ("colour", ["0", "1"])],
)
def test_others_are_not_told(tmp_path: Path, column: str, values: list[str]) -> None:
    assert log_of(tmp_path, column, values).notes == ()


def test_a_type_that_is_named_is_taken_as_it_is(tmp_path: Path) -> None:
    named = {"user": "user_id", "item": "item_id", "time": "timestamp", "type": "event"}
    assert set(log_of(tmp_path, "event", ["0", "1"], **named).events.event_type) == {"0", "1"}


def test_numbers_of_types_stay_types(tmp_path: Path) -> None:
    assert set(log_of(tmp_path, "behavior_type", ["1", "3"]).events.event_type) == {"1", "3"}
    assert set(log_of(tmp_path, "behavior_type", ["1"]).events.event_type) == {"1"}


def test_a_condition_on_no_column_names_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nosuch.*; the columns are user_id, item_id, timestamp, clicked$"):
        log_of(tmp_path, "clicked", ["1"], where="nosuch = 1")


def test_another_column_of_users_is_named_where_many_have_none(tmp_path: Path) -> None:
    table = [[row[0] if n % 2 else "", f"c-{n % 3}", *row[1:3]] for n, row in enumerate(cells())]
    path = put(tmp_path / "log.csv", text(table, header=["user_id", "cookie_id", "item_id", "timestamp"]))
    log = read_log(path)
    assert log.dropped == {"without a user": 10}
    assert log.notes == ("cookie_id may hold the user where it is missing: `--user user_id,cookie_id`",)
    assert len(read_log(path, Mapping.model_validate(options(log.notes[0]))).events) == 20
