"""`mindstream model describe`: text, plot, image and JSON of a log that can be counted."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mindstream.cli import app_for

DAY_S = 86_400


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """40 events of 4 users with 5 items on the ten days from 2025-01-01 on, but none on the third; one has no user."""
    lines = ["who,what,when,how"]
    for number in range(40):
        day = number % 10 + (number % 10 >= 2)
        kind = ("view", "view", "buy")[number % 3]
        lines.append(f"u{number % 4},i{number % 5},{1_735_700_000 + day * DAY_S + number * 61},{kind}")
    file = tmp_path / "shop.csv"
    file.write_text("\n".join([*lines, ",i1,1735700000,view"]) + "\n")
    return file


def described(log: Path, *options: str) -> Result:
    words = [
        "model",
        "describe",
        str(log),
        "--user",
        "who",
        "--item",
        "what",
        "--time",
        "when",
        "--type",
        "how",
        *options,
    ]
    return CliRunner().invoke(app_for(words), words, catch_exceptions=False)


def test_the_first_lines_say_what_was_read_from_where_and_what_was_left_out(log: Path) -> None:
    done = described(log)
    lines = done.stdout.splitlines()
    assert lines[0] == "shop.csv: 40 interactions of 4 users with 5 items, from 2025-01-01 to 2025-01-11 (UTC)"
    assert lines[1].split(": ")[1].split(", ")[:4] == [
        "user from who",
        "item from what",
        "time from when",
        "type from how",
    ]
    assert "  left out: 1 without a user" in lines
    assert [line.split()[:2] for line in lines if line.startswith(("view ", "buy "))] == [["view", "27"], ["buy", "13"]]
    assert "events by" not in done.stdout


def test_the_plot_has_a_line_for_each_day_with_its_events(log: Path) -> None:
    lines = described(log, "--plot").stdout.split("events by day")[1].splitlines()
    days = [line.split() for line in lines if line.strip().startswith("2025-")]
    assert [day[0] for day in days] == [f"2025-01-{number:02}" for number in range(1, 12)]
    assert [day[-1] for day in days] == ["4", "4", "0", *["4"] * 8]
    assert "█" in days[0][1]
    assert len(days[2]) == 2  # no bar


def test_json_is_one_object_whatever_else_is_asked_for(log: Path) -> None:
    done = described(log, "--json", "--plot")
    found = json.loads(done.stdout)
    assert (found["events"], found["users"], found["dropped"]) == (40, 4, {"without a user": 1})
    assert found["by_day"] == {f"2025-01-{day:02}": 4 for day in range(1, 12) if day != 3}
    assert "events by day" in done.stderr


def test_a_period_is_described_alone(log: Path) -> None:
    found = json.loads(described(log, "--json", "--since", "2025-01-02", "--until", "2025-01-06").stdout)
    assert found["by_day"] == {f"2025-01-{day:02}": 4 for day in (2, 4, 5)}
    outside = "outside of --since 2025-01-02 --until 2025-01-06"
    assert (found["events"], found["dropped"]) == (12, {"without a user": 1, outside: 28})


def test_the_image_is_a_png(log: Path, tmp_path: Path) -> None:
    file = tmp_path / "days.png"
    assert f"wrote {file}" in described(log, "--png", str(file)).stderr
    assert file.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"--png is .*days\.jpg; the name must end in \.png"):
        described(log, "--png", str(tmp_path / "days.jpg"))


def test_what_draws_images_may_be_missing(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(ValueError, match=r"vl_convert is not installed; --png needs the extra `plot`"):
        described(log, "--png", str(tmp_path / "days.png"))


def test_an_order_has_no_days(log: Path, tmp_path: Path) -> None:
    done = described(log, "--untimed", "--plot")
    assert done.exit_code == 0
    assert "there is no plot: the log has an order and no times" in done.stderr
    assert "in their order, without times" in done.stdout
    with pytest.raises(ValueError, match="so --png has nothing to draw"):
        described(log, "--untimed", "--png", str(tmp_path / "days.png"))
