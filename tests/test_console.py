"""What a command line says on stderr: text as ever, or one JSON object a line."""

import json
import os
import subprocess
import sys
from datetime import datetime

import pytest

from tests.command import ROOT

PROGRAM = """
import logging
import console

def app():
    log = logging.getLogger("stream.updater")
    log.info("reading %s", "behaviour", extra={"partition": 3, "offset": 17})
    log.debug("too much")
    logging.getLogger("kafka.net").warning("reconnecting")
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("caf\\u00e9")
    raise OSError("no broker\\nanswers")

console.run(app)
"""


def run(**variables: str) -> list[str]:
    """The lines on stderr of a program that fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr.splitlines()


def test_json() -> None:
    first, second, last = map(json.loads, run(MINDSTREAM_LOG_FORMAT="json"))
    time = datetime.fromisoformat(first.pop("time"))
    assert time.utcoffset() is not None
    assert first == {
        "level": "INFO",
        "logger": "stream.updater",
        "message": "reading behaviour",
        "partition": 3,
        "offset": 17,
    }
    assert (second["level"], second["message"]) == ("ERROR", "café")
    assert second["exc_info"].endswith("ZeroDivisionError: division by zero")
    assert (last["level"], last["logger"], last["message"]) == ("ERROR", "console", "no broker\nanswers")


@pytest.mark.parametrize("variables", [{}, {"MINDSTREAM_LOG_FORMAT": "text"}])
def test_text(variables: dict[str, str]) -> None:
    lines = run(**variables)
    assert lines[0].endswith(" INFO stream.updater: reading behaviour")
    assert lines[1].endswith(" ERROR stream.updater: café")
    assert lines[-2:] == ["error: no broker", "answers"]


def test_another_format_is_said_by_the_command_that_asks() -> None:
    environment = {**os.environ, "MINDSTREAM_LOG_FORMAT": "xml"}
    command = [sys.executable, "-m", "stream", "run"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: MINDSTREAM_LOG_FORMAT is 'xml': Input should be 'text' or 'json'\n"
