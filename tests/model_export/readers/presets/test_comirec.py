"""ComiRec's sequences in both layouts, by hand and real."""

from collections import Counter
from pathlib import Path

import pytest

from model_export.readers import Mapping, read_log
from model_export.readers.presets import recognise
from model_export.readers.presets.peek import found_at
from tests.support.logs import MALFORMED, assert_same, events, put, real, rows


def recognised(path: Path) -> str | None:
    found = recognise(found_at(path))
    return found.name if found else None


def sequences(folder: Path, train: str, valid: str = "", test: str = "", name: str = "Shop") -> Path:
    """The three files; returns the folder."""
    for side, content in {"train": train, "valid": valid, "test": test}.items():
        put(folder / f"{name}_{side}.txt", content)
    return folder


BLANKS = ["7 30 10 20\n8 10\n", "11 20 30\n", "9 10 10\n"]
COMMAS = ["7,30,4\n7,20,11\n8,10,0\n7,10,5\n", "11,20,-1\n11,30,0\n", "9,10,0\n9,10,0\n"]  # 11 after 5: as numbers
FIRST, SECOND, THIRD = 0, 1, 2


@pytest.mark.parametrize("files", [BLANKS, COMMAS])
def test_comirec_in_both_layouts(tmp_path: Path, files: list[str]) -> None:
    log = read_log(sequences(tmp_path, *files))
    assert events(log) == [
        ("7", "30", "interaction", FIRST),
        ("8", "10", "interaction", FIRST),
        ("9", "10", "interaction", FIRST),
        ("11", "20", "interaction", FIRST),
        ("7", "10", "interaction", SECOND),
        ("9", "10", "interaction", SECOND),
        ("11", "30", "interaction", SECOND),
        ("7", "20", "interaction", THIRD),
    ]
    assert rows(log.items) == [("10", "10", "", None), ("20", "20", "", None), ("30", "30", "", None)]
    assert rows(log.profiles) == [("11",), ("7",), ("8",), ("9",)]
    assert log.sides == {"7": "train", "8": "train", "11": "valid", "9": "test"}
    assert log.dropped == {}
    for file in tmp_path.iterdir():
        assert recognised(file) == "comirec"
        assert_same(log, read_log(file))


def test_comirec_takes_what_is_known_of_items(tmp_path: Path) -> None:
    folder = sequences(tmp_path, *BLANKS)
    put(folder / "Shop_items_joined.csv", "item_id,asin,other,attribute_ids\n10,B10,5,4|17\n20,,6,\n99,B99,7,4\n")
    put(folder / "Shop_item_cate.txt", "30,3\n10,2\n10,1\n")
    log = read_log(folder / "Shop_items_joined.csv")
    assert list(log.items) == ["item_id", "title", "category", "price", "attribute"]
    assert rows(log.items) == [
        ("10", "B10", "1", None, "4|17"),
        ("20", "20", "", None, ""),
        ("30", "30", "3", None, ""),
    ]
    put(folder / "Shop_items_joined.csv", "item,attribute_ids\n10,4\n")
    with pytest.raises(ValueError, match=r"Shop_items_joined.csv has no column item_id; found item, attribute_ids"):
        read_log(folder)


def test_comirec_counts_the_lines_that_it_cannot_read(tmp_path: Path) -> None:
    train = " 1  5\t0 6 0 \n2\n3 7 x 8\n4 5.0\n\n10 5\n11 0 0\n12 99999999999999999999\n"
    log = read_log(sequences(tmp_path, train, "13,5,0\n13,5\n13,x,1\n13,,2\n 13 ,0, 3\n13,7,soon\n", "14\n"))
    assert [row[:2] for row in events(log)] == [("1", "5"), ("10", "5"), ("13", "5"), ("1", "6"), ("13", "0")]
    assert log.events.event_time_ms.tolist() == [0, 0, 0, 1, 1]  # padding takes no position
    assert log.dropped == {
        MALFORMED: 1,
        "malformed (no items)": 2,
        "malformed (not integers)": 3 + 3,
        "of item 0 (padding)": 4,
    }
    assert log.sides == {"1": "train", "10": "train", "13": "valid"}


def test_comirec_goes_on_where_a_user_has_a_second_line(tmp_path: Path) -> None:
    log = read_log(sequences(tmp_path, "1 5 6\n2 5\n1 7\n"))
    assert log.events[log.events.user_id == "1"].item_id.tolist() == ["5", "6", "7"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ["1 5\n2 5\n", "3 5\n", "4 5\n2 6\n"],
            r"1 of the users are on several sides \(test, train\), e.g. '2'; each must be on one only",
        ),
        (
            ["1,5,0\n", "3 5\n4 5", "4 5\n3 5"],
            r"2 of the users are on several sides \(test, valid\), e.g. '3'; each must be on one only",
        ),
        (
            ["1\n", "2 x\n", "3 0\n"],
            r"no interaction remains of 3 rows; left out: 1 of item 0 \(padding\); 1 malformed \(no items\); 1 mal",
        ),
        (["", "", ""], "no interaction remains of 0 rows"),
    ],
)
def test_comirec_that_cannot_be_used(tmp_path: Path, files: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_log(sequences(tmp_path, *files))


def test_comirec_is_three_files_of_one_name(tmp_path: Path) -> None:
    sequences(tmp_path, *BLANKS)
    sequences(tmp_path, "1 2\n", name="a_train")
    with pytest.raises(ValueError, match=r"several sets of files \(a_train, shop\); give the path of one"):
        read_log(tmp_path)
    assert len(read_log(tmp_path / "a_train_test.txt").events) == 1
    (tmp_path / "Shop_valid.txt").unlink()
    assert len(read_log(tmp_path).events) == 1
    with pytest.raises(ValueError, match="no column that is known to hold the user"):
        read_log(tmp_path / "Shop_train.txt")
    with pytest.raises(FileNotFoundError, match=r"ComiRec needs <name>_train.txt, _valid.txt and _test.txt; not all"):
        read_log(tmp_path / "Shop_train.txt", Mapping(format="comirec"))


def test_the_real_beauty() -> None:
    log = read_log(real("amazon-beauty"))
    assert (len(log.events), len(log.profiles), len(log.items)) == (198_502, 22_363, 12_101)
    assert log.dropped == {}
    assert Counter(log.sides.values()) == {"train": 17_890, "valid": 2_236, "test": 2_237}
    ours = log.events[log.events.user_id == "4786"]
    assert ours.item_id.tolist() == ["22", "3576", "5336", "128", "4972", "1463", "8109"]
    assert ours.event_time_ms.tolist() == [*range(7)]
    assert log.events.event_time_ms.is_monotonic_increasing
    assert rows(log.items[log.items.item_id == "2"]) == [("2", "B0043OYFKU", "", None, "52|17|2|39|363")]
