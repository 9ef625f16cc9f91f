"""The full check in a process of its own: it neither holds up nor takes down the process that serves.

The checks run for seconds and hold the GIL; a damaged file may even crash what reads it. The child says what it found
in the last line of its output: nothing, or the fault.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from model_export.bundle.bundle import Bundle
from model_export.bundle.check import check
from model_export.bundle.errors import BundleError

__all__ = ["check_in_child", "main"]

WITHIN_S = 600.0
LOOK_EVERY_S = 0.1
NICER = 5  # on a busy host, those who wait for answers go first
ROOT = Path(__file__).parents[3]
# The same code as here, wherever this process was started.
CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from model_export.bundle.check.child import main; main(sys.argv[2])"
)
SAID = 500  # characters of what a child that crashed said last


def check_in_child(bundle: Bundle, stopping: Callable[[], bool] = lambda: False) -> None:
    """Check a bundle in full in a child process.

    Parameters
    ----------
    stopping : asked ten times a second; where it says yes, the child is ended.

    Raises
    ------
    BundleError
        At the first check that fails, as by `check`; if the child crashes, takes more than ten minutes, or is ended.
    """
    child = subprocess.Popen(
        [sys.executable, "-c", CODE, str(ROOT), str(bundle.path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with child:
        said, errors = _output_of(child, bundle, stopping)
    if child.returncode:
        last = errors.decode(errors="replace").strip()[-SAID:] or "nothing"
        raise BundleError(
            f"{bundle.path} cannot be checked: the process that checks it ended with {_ending_of(child.returncode)}; "
            f"the last it said: {last}"
        )
    fault = json.loads(said.decode().splitlines()[-1])
    if fault is not None:
        raise BundleError(fault)


def _output_of(child: subprocess.Popen[bytes], bundle: Bundle, stopping: Callable[[], bool]) -> tuple[bytes, bytes]:
    """Wait for a child, and return what it wrote."""
    for _ in range(round(WITHIN_S / LOOK_EVERY_S)):
        try:
            return child.communicate(timeout=LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            if stopping():
                child.kill()
                raise BundleError(f"{bundle.path} was not checked to the end: this process stops") from None
    child.kill()
    raise BundleError(f"{bundle.path} was not checked within {WITHIN_S:.0f} s; right is a disk that reads it sooner")


def _ending_of(code: int) -> str:
    """Name the signal or the exit status that a process ended with."""
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def main(path: str) -> None:
    """Check a bundle and print its fault as JSON, null if there is none."""
    os.nice(NICER)
    try:
        check(Bundle(Path(path)))
    except BundleError as error:
        print(json.dumps(str(error)))
    else:
        print(json.dumps(None))
