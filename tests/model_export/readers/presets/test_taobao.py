"""Taobao's UserBehavior, by hand and real."""

from pathlib import Path

import pytest

from model_export.readers import read_log
from model_export.readers.presets import recognise
from model_export.readers.presets.peek import found_at
from tests.support.logs import MALFORMED, events, put, real, rows


def recognised(path: Path) -> str | None:
    found = recognise(found_at(path))
    return found.name if found else None


def test_taobao(tmp_path: Path) -> None:
    path = put(
        tmp_path / "UserBehavior.csv",
        "1,100,7,pv,1511539200\n"  # midnight of 25 November in China
        "1,100,7,pv,1511539199\n"
        "2,100,8,buy,1512316799\n"  # the last second of 3 December
        "2,100,8,buy,1512316800\n"
        "2,101,8,cart,1511600000\n"
        "2,101,8,fav,1511600000\n"
        "2,101,8,look,1511600000\n"
        "2,101,8,fav,-1511600000\n"
        "2,101,8,fav\n"
        ",101,8,fav,1511600000\n"
        "2,101,8,fav,late\n",
    )
    log = read_log(path)
    assert events(log) == [
        ("1", "100", "pv", 1_511_539_200_000),
        ("2", "101", "cart", 1_511_600_000_000),
        ("2", "101", "fav", 1_511_600_000_000),
        ("2", "100", "buy", 1_512_316_799_000),
    ]
    assert rows(log.items) == [
        ("100", "item 100 (category 8)", "8", None),
        ("101", "item 101 (category 8)", "8", None),
    ]
    assert rows(log.profiles) == [("1",), ("2",)]
    assert log.dropped == {
        MALFORMED: 1,
        "with an unknown behaviour": 1,
        "outside 2017-11-25 to 2017-12-03 (China time)": 3,
        "without a user": 1,
        "without a readable time": 1,
    }


@pytest.mark.parametrize(
    ("file", "kept", "dropped"),
    [("UserBehavior_815users.csv", 84_440, 35), ("UserBehavior_2h_stream.csv", 96_168, 0)],
)
def test_the_real_taobao(file: str, kept: int, dropped: int) -> None:
    log = read_log(real(f"taobao-userbehavior/{file}"))
    assert len(log.events) == kept
    assert log.dropped == ({"outside 2017-11-25 to 2017-12-03 (China time)": dropped} if dropped else {})
    assert set(log.events.event_type) == {"pv", "cart", "fav", "buy"}
