"""A new model from the events so far, by a process beside the page."""

import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO

__all__ = ["Retraining"]

RETRAIN = (sys.executable, "-m", "demo.engine.retrain_with_events")
PERCENT = re.compile(r"(\d+)%\|")
KEPT_LINES = 12


class Retraining:
    """One process at a time that trains and publishes; all tabs see how far it is.

    Attributes
    ----------
    doing : what it said last; `share` how much of that is done, 0 to 1, where it says so.
    failed : whether the last one ended badly; `lines` then say why.
    """

    def __init__(self, command: Sequence[str] = RETRAIN) -> None:
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None
        self.doing, self.share, self.failed = "", 0.0, False
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.lock = threading.Lock()

    @property
    def running(self) -> bool:
        """Tell whether a process runs."""
        return self.process is not None

    def start(self) -> None:
        """Start the process, unless one runs."""
        with self.lock:
            if self.process is not None:
                return
            self.doing, self.share, self.failed = "starting", 0.0, False
            self.lines.clear()
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            threading.Thread(target=self.follow, args=(self.process,), name="retraining", daemon=True).start()

    def follow(self, process: "subprocess.Popen[bytes]") -> None:
        """Read what the process says until it ends."""
        assert process.stdout is not None
        with process.stdout as stream:
            for line in _pieces(stream):
                self.hear(line)
        self.failed = process.wait() != 0
        self.process = None

    def hear(self, line: str) -> None:
        """Take in a line, or one state of a progress bar."""
        percent = PERCENT.search(line)
        if percent:
            self.doing, self.share = line.split(":")[0], int(percent[1]) / 100
        else:
            self.doing, self.share = line, 0.0
            self.lines.append(line)

    def stop(self) -> None:
        """End the process, if one runs; what is published stays."""
        if (process := self.process) is not None:
            process.terminate()
            process.wait(10)


def _pieces(stream: IO[bytes]) -> Iterator[str]:
    """Yield what stands between line ends; those of progress bars are carriage returns."""
    piece = b""
    while byte := stream.read(1):
        if byte not in b"\r\n":
            piece += byte
            continue
        if piece.strip():
            yield piece.decode(errors="replace").strip()
        piece = b""
    if piece.strip():
        yield piece.decode(errors="replace").strip()
