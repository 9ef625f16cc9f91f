"""The retrain of every night: when it is, that it goes on whatever becomes of one, and that it ends cleanly."""

import json
import logging
import re
import threading
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mindstream.commands.every_day import EXIT_FAILED, Nights, in_own_process, next_run, parse_hour
from mindstream.commands.model import app
from mindstream.commands.retrain import NIGHTS, Request
from mindstream.mapping import AS_IT_IS
from model_export.evaluation.gate import Gate
from model_export.models.presets import DEFAULT, preset
from testbed.stream_process import StreamProcess

THREE = time(3, 0)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-11-30 02:59", "2026-11-30 03:00"),
        ("2026-11-30 03:00", "2026-12-01 03:00"),  # it has just begun
        ("2026-12-31 23:00", "2027-01-01 03:00"),
    ],
)
def test_the_next_night(now: str, due: str) -> None:
    assert next_run(THREE, at(now)) == at(due)


@pytest.mark.parametrize("text", ["3", "24:00", "03:60", "3 am", "03:00:00", "-1:00"])
def test_what_is_no_hour_is_refused(text: str) -> None:
    assert parse_hour("3:05") == time(3, 5)
    with pytest.raises(ValueError, match=f"--every-day-at is '{text}'; right is an hour from 00:00 to 23:59"):
        parse_hour(text)


class Clock:
    """A time that passes a minute at every look."""

    def __init__(self) -> None:
        self.now = at("2026-11-30 02:58")

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=60)
        return self.now


class NeverWaits(threading.Event):
    """Waiting takes no time: the clock of the test goes on by itself."""

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        assert timeout <= 30
        return self.is_set()


def test_a_night_that_fails_is_said_and_the_next_one_comes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="mindstream")
    clock, ends, file, during = Clock(), [2, -9, 1, 0], tmp_path / "home" / NIGHTS, []

    def task(stop: threading.Event) -> int:
        during.append(json.loads(file.read_text()))
        if len(during) == len(ends):
            stop.set()
        return ends[len(during) - 1]

    Nights(THREE, task, file, clock).run(NeverWaits())
    assert [one["next_run"] for one in during] == [f"2026-12-0{day}T03:00:00+00:00" for day in (1, 2, 3, 4)]
    assert [one["last_status"] for one in during] == [None, 2, -9, 1]
    assert during[1]["last_run"] == "2026-11-30T03:00:00+00:00"
    said = [record.getMessage() for record in caplog.records]
    assert said[:3] == [
        "the next retrain is at 2026-11-30 03:00 UTC",
        "the retrain has failed with status 2, for the reason above; the model before goes on",
        "the next retrain is at 2026-12-01 03:00 UTC",
    ]
    assert said[3].startswith("the retrain was killed by signal 9 ")
    assert said[5].startswith("the new model was refused")
    assert said[-1] == "stopped cleanly"


def fail(text: str) -> int:
    raise OSError(text)


def wait_for_good() -> int:
    threading.Event().wait()
    return 0


@pytest.mark.slow
def test_work_in_a_process_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    assert in_own_process(int, "1", stop=threading.Event()) == 1
    assert in_own_process(fail, "the disk is full", stop=threading.Event()) == EXIT_FAILED
    assert re.search("ERROR mindstream.commands.every_day: the disk is full$", capfd.readouterr().err, re.MULTILINE)
    stop = threading.Event()
    stop.set()
    assert in_own_process(wait_for_good, stop=stop) == -15


@pytest.mark.slow
def test_the_command_says_when_and_ends_cleanly(tmp_path: Path) -> None:
    """The log need not be there yet: the archiver makes it."""
    home = tmp_path / "home"
    arguments = ("retrain", "--log", str(tmp_path / "none"), "--days", "90", "--every-day-at", "03:00")
    with StreamProcess(home, *arguments, room="model_export") as command:
        command.says("the next retrain is at ")
        assert f"the log {tmp_path / 'none'} is not there yet" in command.said
        noted = json.loads((home / NIGHTS).read_text())
        assert noted["last_status"] is None
        assert datetime.fromtimestamp(noted["next_run_s"], UTC).strftime("%H:%M") == "03:00"
        assert command.end() == 0
        assert "stopped cleanly" in command.said


def test_days_are_counted_back_from_today() -> None:
    chosen = preset(DEFAULT)
    request = Request("log", AS_IT_IS, None, None, 90, chosen.model, chosen.training, Gate(), Path("models"))
    assert request.begin(at("2026-11-30 03:00")) == datetime(2026, 9, 1)
    with pytest.raises(ValueError, match=r"--since \(2026-01-01\) and --days \(3\) both say where to begin"):
        CliRunner().invoke(
            app, ["retrain", "--log", "log", "--since", "2026-01-01", "--days", "3"], catch_exceptions=False
        )
