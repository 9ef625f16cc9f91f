"""Verdicts on readings of logs: what is right, wrong, or lost in silence; and the command on such cases."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from benchmarks.quality import logs
from benchmarks.quality.log_cases import Expectation, Figures, Outcome, Verdict, judged, load_cases


def figures(**other: Any) -> Figures:
    known: dict[str, Any] = {"interactions": 20, "users": 6, "items": 8, "prices": 0, "left_out": 0}
    days = {"first": date(2025, 6, 15), "last": date(2025, 6, 16)}
    return Figures(**(known | days | {"titles": frozenset({"Lamp"})} | other))


def expected(**other: Any) -> Expectation:
    return Expectation(**({"path": "log.csv", "interactions": (20, 20)} | other))


def read(printed: str = "", **other: Any) -> Outcome:
    return Outcome(printed, figures(**other))


@pytest.mark.parametrize(
    ("wanted", "outcome"),
    [
        (expected(users=6, items=8, prices=0, first="2025-06-15", last="2025-06-16"), read()),
        (expected(not_titles="add_to_cart"), read()),
        (expected(interactions=(1, 20)), read(interactions=1)),
        (expected(interactions=(19, 20), said="(?i)quote", said_if_fewer_than=20), read()),
        (expected(interactions=(19, 20), said="(?i)quote", said_if_fewer_than=20), read("1 Quote", interactions=19)),
        (expected(interactions=(19, 20), error="(?i)line 5"), Outcome("", error="open quote in Line 5")),
        (expected(interactions=None, must_error="year"), Outcome("", error="the times have no year")),
        (expected(interactions=None, must_error="year"), Outcome("no year", error="cannot be read")),
    ],
)
def test_right(wanted: Expectation, outcome: Outcome) -> None:
    assert judged(wanted, outcome) == Verdict("right")


@pytest.mark.parametrize(
    ("wanted", "outcome", "why"),
    [
        (expected(), read(interactions=21), "21 interactions, expected 20"),
        (expected(interactions=(5, 9)), read(), "20 interactions, expected 5 to 9"),
        (expected(users=7), read(), "users 6, expected 7"),
        (expected(items=9, prices=8), read(), "items 8, expected 9; prices 0, expected 8"),
        (expected(first="1970-01-01"), read(), "first 2025-06-15, expected 1970-01-01"),
        (expected(last="2025-06-17"), read(first=None, last=None), "last None, expected 2025-06-17"),
        (expected(not_titles="Lamp"), read(), "an item has the title 'Lamp'"),
        (expected(said="3 "), read("20 read"), "nothing printed meets '3 '"),
        (expected(interactions=None, must_error="year"), read(), "read, but right is an error such as 'year'"),
    ],
)
def test_wrong(wanted: Expectation, outcome: Outcome, why: str) -> None:
    assert judged(wanted, outcome) == Verdict("wrong", why=why)


@pytest.mark.parametrize(
    ("wanted", "outcome", "why"),
    [
        (expected(), Outcome("", error="no column"), "no column"),
        (expected(error="date"), Outcome("", error="no column"), "no column"),
        (expected(interactions=None, must_error="year"), Outcome("", error="no column"), "no column"),
        (expected(error="date"), Outcome("", error="KeyError: 'date'", crashed=True), "crashed: KeyError: 'date'"),
    ],
)
def test_refused_without_a_way(wanted: Expectation, outcome: Outcome, why: str) -> None:
    assert judged(wanted, outcome) == Verdict("refused", why=why)


@pytest.mark.parametrize(
    ("wanted", "outcome", "silent"),
    [
        (expected(), read(interactions=4), True),
        (expected(), read(interactions=4, left_out=15), True),  # one row is neither read nor counted
        (expected(), read(interactions=4, left_out=16), False),
        (expected(), read(interactions=21), False),
        (expected(said="malformed"), read("rows dropped: none", interactions=4, left_out=16), True),
        (expected(said="malformed"), read("16 malformed", interactions=4), False),
        (expected(interactions=(11, 20), said="quote", said_if_fewer_than=20), read(interactions=11), True),
        (expected(interactions=(11, 20), said="quote", said_if_fewer_than=20), read("a quote", interactions=11), False),
    ],
)
def test_losses_in_silence(wanted: Expectation, outcome: Outcome, silent: bool) -> None:
    assert judged(wanted, outcome).silent == silent


LOG = "user_id,item_id,timestamp,price\n" + "".join(
    f"u{n % 2},i{n % 3},{1750000000 + n},{'' if n % 3 else 9.5}\n" for n in range(6)
)
WHOLE = {"users": 2, "items": 3, "prices": 1, "first": "2025-06-15", "last": "2025-06-15"}


def put(folder: Path, name: str, readings: list[dict[str, Any]], text: str = LOG) -> None:
    (folder / name).mkdir()
    (folder / name / "log.csv").write_text(text, encoding="utf-8")
    (folder / name / "expect.json").write_text(json.dumps(readings), encoding="utf-8")


@pytest.fixture
def figures_of(capsys: pytest.CaptureFixture[str]) -> Callable[[Path], dict[str, int]]:
    """The last line of the command over a folder of cases."""

    def run(folder: Path) -> dict[str, int]:
        logs.main(folder)
        found: dict[str, int] = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
        return found

    return run


def test_the_command_counts_what_is_right(tmp_path: Path, figures_of: Callable[[Path], dict[str, int]]) -> None:
    put(tmp_path, "usual", [{"path": "log.csv", "options": [], "interactions": [6, 6], **WHOLE}])
    named = ["--columns", "a,b,c,d", "--skip-lines", "1", "--user", "b", "--item", "a", "--time", "c"]
    put(tmp_path, "named", [{"path": "log.csv", "options": named, "interactions": [6, 6], "users": 3, "items": 2}])
    untimed = [{"path": "log.csv", "options": ["--untimed", "--time", "timestamp"], "interactions": [6, 6]}]
    put(tmp_path, "untimed", untimed)
    error = {"path": "log.csv", "options": ["--user", "nobody"], "must_error": "nobody"}
    put(tmp_path, "must-error", [error])
    assert figures_of(tmp_path) == {
        **{"right": 4, "wrong": 0, "refused_without_a_way": 0, "silent_losses": 0},
        "readings": 4,
    }


def test_the_command_counts_what_is_not(tmp_path: Path, figures_of: Callable[[Path], dict[str, int]]) -> None:
    put(tmp_path, "wrong-day", [{"path": "log.csv", "options": [], "interactions": [6, 6], "first": "1970-01-21"}])
    put(tmp_path, "silent", [{"path": "log.csv", "options": [], "interactions": [7, 7]}])
    put(tmp_path, "refused", [{"path": "log.csv", "options": ["--user", "nobody"], "interactions": [6, 6]}])
    put(tmp_path, "no-such-option", [{"path": "log.csv", "options": ["--buyer", "user_id"], "interactions": [6, 6]}])
    assert figures_of(tmp_path) == {
        **{"right": 0, "wrong": 2, "refused_without_a_way": 2, "silent_losses": 1},
        "readings": 4,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"path": "a", "interaction": [1, 1]}]', r"one.expect.json: 0.interaction: Extra inputs are not permitted"),
        ('[{"options": []}]', r"0.path: Field required"),
        ("[", r"one.expect.json: .*Invalid JSON"),
    ],
)
def test_an_expectation_that_cannot_be_read_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "expect.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_cases(tmp_path)


def test_a_folder_without_cases_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--cases is .*: there is no expect.json in it or in its folders"):
        load_cases(tmp_path)
