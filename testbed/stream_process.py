"""`python -m stream ...`, or another room, as a process of its own, and waiting for what it does."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

__all__ = ["ROOT", "WITHIN_S", "StreamProcess", "is_ended_by_ctrl_c", "wait_until"]

ROOT = Path(__file__).parents[1]
WITHIN_S = 240.0


def wait_until(happened: Callable[[], object], what: str, within_s: float = WITHIN_S) -> None:
    """Return once `happened` is true; fail with `what` where that takes too long."""
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.005)


def is_ended_by_ctrl_c(status: int | None) -> bool:
    """Tell whether a process ended by Ctrl-C, which a shell shows as 130 both ways.

    Python ends by the signal itself where it fell into a string that `exec` or `eval` ran (torch has many), whatever
    exit status was asked for then.
    """
    return status in (128 + signal.SIGINT, -signal.SIGINT)


class StreamProcess:
    """A running `python -m stream`, or another room; what it says on stdout and stderr goes to one file.

    Parameters
    ----------
    home : Path
        MINDSTREAM_HOME; the file with what it says lies beside it.
    arguments : str
        Of the command line.
    variables : mapping
        Environment variables; no Kafka and no Redis are configured where they name none.
    stdin : bytes
        What it reads there.
    room : str
        The package whose command it is.
    """

    def __init__(
        self,
        home: Path,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        room: str = "stream",
    ):
        self.arguments = arguments
        self.log = home.with_suffix(f".{time.monotonic_ns()}.log")
        ours = {"KAFKA_BOOTSTRAP_SERVERS": "", "MINDSTREAM_REDIS": "", "MINDSTREAM_HOME": str(home)}
        environment = {**os.environ, **ours, **(variables or {})}
        with self.log.open("wb") as log, tempfile.TemporaryFile() as input:
            input.write(stdin)
            input.seek(0)
            self.process = subprocess.Popen(
                [sys.executable, "-m", room, *arguments],
                cwd=ROOT,
                env=environment,
                stdin=input,
                stdout=log,
                stderr=log,
            )

    @property
    def said(self) -> str:
        """Return all that it has said so far."""
        return self.log.read_text(encoding="utf-8")

    def says(self, text: str, within_s: float = WITHIN_S) -> Self:
        """Wait until it has said this."""

        def said_or_ended() -> bool:
            return text in self.said or self.process.poll() is not None

        wait_until(said_or_ended, f"{self.arguments} says {text!r}, only:\n{self.said}", within_s)
        assert text in self.said, f"{self.arguments} ended without saying {text!r}, only:\n{self.said}"
        return self

    def ends(self, within_s: float = WITHIN_S) -> int:
        """Return its exit status, once it has ended by itself."""
        return self.process.wait(within_s)

    def end(self, number: signal.Signals = signal.SIGTERM, within_s: float = WITHIN_S) -> int:
        """Send it a signal, and return its exit status."""
        self.process.send_signal(number)
        return self.ends(within_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
