"""What a command line says on stderr: text as ever, or one JSON object a line."""

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from testbed.stream_process import ROOT

PROGRAM = """
import logging
from mindstream import console

def app(standalone_mode):
    log = logging.getLogger("stream.updater.updater")
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
        "logger": "stream.updater.updater",
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
    assert lines[0].endswith(" INFO stream.updater.updater: reading behaviour")
    assert lines[1].endswith(" ERROR stream.updater.updater: café")
    assert lines[-2:] == ["error: no broker", "answers"]


def test_a_misspelt_variable_is_a_warning() -> None:
    said = " WARNING mindstream.settings: MINDSTREAM_REDDIS is no setting and has no effect; did you mean "
    assert any(line.endswith(f"{said}MINDSTREAM_REDIS?") for line in run(MINDSTREAM_REDDIS="redis://a"))


def test_another_format_is_said_by_the_command_that_asks() -> None:
    environment = {**os.environ, "MINDSTREAM_LOG_FORMAT": "xml"}
    command = [sys.executable, "-m", "stream", "run"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: MINDSTREAM_LOG_FORMAT is 'xml': Input should be 'text' or 'json'\n"


def imports(module: str, folder: Path, instead: str) -> subprocess.CompletedProcess[str]:
    """`python -m MODULE --help`, that is: its imports, with a Numpy that does something else."""
    (folder / "numpy.py").write_text(instead)
    return subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("module", ["benchmarks", "index", "model_export", "stream"])
def test_ctrl_c_during_the_imports_is_no_traceback(module: str, tmp_path: Path) -> None:
    done = imports(module, tmp_path, "import signal; signal.raise_signal(signal.SIGINT)")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_an_import_that_ctrl_c_made_fail_is_no_traceback(tmp_path: Path) -> None:
    instead = (
        "try:\n    import signal; signal.raise_signal(signal.SIGINT)\n"
        "except KeyboardInterrupt as error:\n    raise ImportError('initialization failed') from error\n"
    )
    done = imports("stream", tmp_path, instead)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_what_else_goes_wrong_there_is_told_in_full(tmp_path: Path) -> None:
    done = imports("stream", tmp_path, "raise RuntimeError('of another version')")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("RuntimeError: of another version\n")


def test_little_is_imported_before_ctrl_c_is_known() -> None:
    """Pydantic alone takes longer than all that comes before console in the modules that import it."""
    slow = {"pydantic", "mindstream.settings", "pythonjsonlogger"}
    code = f"import sys; from mindstream import console; print(*sys.modules.keys() & {slow})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


BEGIN = "import builtins, signal, sys; from mindstream.starting import ctrl_c; before = set(sys.modules); "
STOP = """
real, seen = builtins.__import__, 0

def stopped(*given, **named):
    global seen
    seen += 1
    if seen == {nth}:
        signal.raise_signal(signal.SIGINT)
    return real(*given, **named)

builtins.__import__ = stopped
import runpy
sys.argv = ["{module}", "--help"]
runpy.run_module("{module}", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["mindstream", "benchmarks"])
@pytest.mark.parametrize("nth", [1, 5, 40, 200, 1_000])
def test_ctrl_c_at_any_import_is_no_traceback(module: str, nth: int) -> None:
    """A real SIGINT at the nth import statement, so that no clock decides how far the process has come."""
    code = BEGIN + STOP.format(nth=nth, module=module)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize("module", ["mindstream", "benchmarks", "model_export", "stream", "index", "demo"])
def test_ctrl_c_is_known_before_anything_slow_is_imported(module: str) -> None:
    """Of ours nothing but the packages comes before it; of Python what every start imports, and what site does."""
    listed = "import sys; print(*sys.modules)"
    bare, loaded = (
        set(
            subprocess.run(
                [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout.split()
        )
        for code in (listed, f"import {module}; from mindstream.starting import ctrl_c; {listed}")
    )
    assert loaded - bare <= {module, "mindstream", "mindstream.starting", "mindstream.starting.ctrl_c"}
