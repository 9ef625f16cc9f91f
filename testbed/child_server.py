"""A server that ends with us, however we end, and takes its folder with it."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["kill", "start"]

# The shell becomes the server. A watcher beside it reads a pipe that only we hold: when we end, however we
# end (SIGKILL too), the pipe closes, and the watcher kills the server and removes its folder.
# (Linux's PR_SET_PDEATHSIG would tie the server to the thread that started it, not to the process.)
TIED_TO_US = """\
folder=$1; shift; exec 3<&0
{ read -r _ <&3; kill -KILL $$; sleep 1; rm -rf "$folder"; } &
exec "$@" </dev/null 3<&-
"""


def start(folder: Path, command: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a server that keeps its data in `folder`; what it says is appended to `log`."""
    with log.open("ab") as said:
        return subprocess.Popen(
            ["sh", "-c", TIED_TO_US, "sh", str(folder), *command],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C goes to us alone, and we end the whole group at once
        )


def kill(process: "subprocess.Popen[bytes] | None") -> None:
    """SIGKILL, as in a crash, but its folder stays; nothing if there is no process."""
    if process is None or process.stdin is None:
        return
    with contextlib.suppress(ProcessLookupError):
        # The whole group, so the watcher too, and before its pipe closes: the data must stay.
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdin.close()
