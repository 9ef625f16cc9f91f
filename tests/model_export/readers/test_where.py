"""--where: a condition of SQL on the columns of a log."""

from pathlib import Path

import pytest

from model_export.readers import Mapping, read_log
from tests.support.logs import cells, json_lines, put, text

LEFT_OUT = "left out by --where"


def amounts(tmp_path: Path) -> Path:
    """20 rows with amounts of 0 to 19, the first five unknown."""
    table = [[*row[:3], "" if n < 5 else str(n)] for n, row in enumerate(cells())]
    return put(tmp_path / "log.csv", text(table, header=["user_id", "item_id", "timestamp", "amount"]))


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("amount > 10", 9),
        ("\"amount\" > 10 AND user_id = 'u-1'", 2),
        ("AMOUNT > 10 -- only these", 9),
        ("amount IS NOT NULL", 15),
        ("amount LIKE '1%'", 10),
        ("amount IN (5, 7)", 2),
        ("user_id = 'u-0'", 4),
        ("timestamp >= 1750037000", 10),
        ("", 20),
    ],
)
def test_conditions(tmp_path: Path, where: str, kept: int) -> None:
    log = read_log(amounts(tmp_path), Mapping(where=where))
    assert len(log.events) == kept
    assert log.dropped == ({LEFT_OUT: 20 - kept} if kept < 20 else {})


@pytest.mark.parametrize(
    "where",
    ["amount >", "amout > 1", "count(*) > 1", "'abc'", "true; SELECT 1", "amount > 10) OR (true", "(amount > 1"],
)
def test_what_is_no_condition(tmp_path: Path, where: str) -> None:
    with pytest.raises(ValueError, match="--where is ") as error:
        read_log(amounts(tmp_path), Mapping(where=where))
    assert repr(where) in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_remains(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"no interaction remains of 20 rows; left out: 20 {LEFT_OUT}"):
        read_log(amounts(tmp_path), Mapping(where="false"))


def test_a_cell_that_is_no_number_among_numbers_is_text(tmp_path: Path) -> None:
    table = [[*row[:3], "x" if n == 19 else str(n)] for n, row in enumerate(cells())]
    path = put(tmp_path / "log.csv", text(table, header=["user_id", "item_id", "timestamp", "amount"]))
    assert len(read_log(path, Mapping(where="TRY_CAST(amount AS INT) > 10")).events) == 8


def test_nested(tmp_path: Path) -> None:
    lines = [
        {"user_id": u, "item_id": i, "timestamp": t, "properties": {"n": n, "kind": {"name": "a" if n % 2 else "b"}}}
        for n, (u, i, t, _) in enumerate(cells())
    ]
    path = put(tmp_path / "log.jsonl", json_lines(lines))
    assert len(read_log(path, Mapping(where="properties.n > 10")).events) == 9
    assert len(read_log(path, Mapping(where="properties.kind.name = 'a' AND properties.n < 4")).events) == 2


def test_with_a_publishers_format(tmp_path: Path) -> None:
    put(tmp_path / "movies.csv", "movieId,title,genres\n1,Film,Drama\n")
    lines = "".join(f"{n % 6},{n % 8},{n % 5},{1_750_000_000 + n}\n" for n in range(20))
    path = put(tmp_path / "ratings.csv", "userId,movieId,rating,timestamp\n" + lines)
    log = read_log(path, Mapping(where="rating > 2"))
    assert len(log.events) == 8
    assert log.dropped == {LEFT_OUT: 12}
