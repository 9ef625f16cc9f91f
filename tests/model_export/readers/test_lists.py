"""Lists in the rows of a log, and values that are no text."""

import uuid
from pathlib import Path

import pandas as pd
import pytest

from model_export.readers import Mapping, read_log
from tests.support.logs import AT, json_lines, put, rows

SECOND = 1_000


def test_lists_of_equal_depth_belong_together_by_position(tmp_path: Path) -> None:
    path = put(
        tmp_path / "log.jsonl",
        json_lines(
            [
                {"user_id": "u", "items": ["a", "b"], "times": [AT, AT + SECOND], "kinds": ["view", "cart"]},
                {"user_id": "v", "items": ["c", "d"], "times": [AT + 2 * SECOND], "kinds": ["view", "view"]},
                {"user_id": "w", "items": ["e"], "times": [AT, AT], "kinds": []},
            ]
        ),
    )
    log = read_log(path, Mapping(item="items[]", time="times[]", type="kinds[]"))
    assert rows(log.events) == [
        ("u", "a", "view", AT),
        ("w", "e", "interaction", AT),
        ("u", "b", "cart", AT + SECOND),
        ("v", "c", "view", AT + 2 * SECOND),
    ]
    assert log.dropped == {"without an item": 1, "without a readable time": 1}


def test_lists_in_lists_are_all_read(tmp_path: Path) -> None:
    carts = [{"at": AT, "goods": ["a", "b"]}, {"at": AT + SECOND, "goods": ["c"]}]
    path = put(tmp_path / "log.jsonl", json_lines([{"user_id": "u", "carts": carts}] * 1))
    log = read_log(path, Mapping(item="carts[].goods[]", time="carts[].at"))
    assert [(item, time) for _, item, _, time in rows(log.events)] == [("a", AT), ("b", AT), ("c", AT + SECOND)]


def test_bytes_that_are_no_text_are_hexadecimal(tmp_path: Path) -> None:
    users = [uuid.UUID(int=1), uuid.UUID("f47ac10b-58cc-4372-a567-0e02b2c3d479")]
    frame = pd.DataFrame(
        {"user_id": [one.bytes for one in users], "item_id": [b"lamp", b"vase"], "timestamp": [AT, AT + SECOND]}
    )
    frame.to_parquet(tmp_path / "log.parquet")
    log = read_log(tmp_path / "log.parquet")
    assert [row[:2] for row in rows(log.events)] == [(users[0].hex, "lamp"), (users[1].hex, "vase")]


@pytest.mark.parametrize("named", ["items", "items[]"])
def test_an_item_that_is_an_object_is_refused_with_the_path_within(tmp_path: Path, named: str) -> None:
    row = {"user_id": "u", "items": [{"id": "a", "amount": 1}], "time": AT}
    path = put(tmp_path / "log.jsonl", json_lines([row]))
    with pytest.raises(ValueError, match=r"'items.*' holds objects.*--item items\[\]\.id"):
        read_log(path, Mapping(item=named))


def test_an_item_that_is_an_object_in_some_rows_is_none(tmp_path: Path) -> None:
    values = ["a", {"id": "b"}, "{3F2504E0-4F89-11D3-9A0C-0305E82C3301}"]
    table = [{"user_id": "u", "item": value, "time": AT + place} for place, value in enumerate(values)]
    log = read_log(put(tmp_path / "log.jsonl", json_lines(table)))
    assert [row[1] for row in rows(log.events)] == ["a", values[2]]
    assert log.dropped == {"without an item": 1}
