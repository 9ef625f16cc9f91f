"""The HTTP API as a process of its own, for benchmarks."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["listening", "served"]

ROOT = Path(__file__).parents[2]
ENDS_WITHIN_S = 60.0
SERVE = (
    "from index.api.server import serve; from mindstream.console import set_up_logs; "
    "from mindstream.settings import Settings; set_up_logs(False); serve(Settings(**{}))"
)


@contextmanager
def served(home: Path, stalls: Path | None = None, **settings: object) -> Iterator[int]:
    """Run the API of a home as a process, and give its port.

    What the environment says of it does not count.

    Parameters
    ----------
    stalls : file to which the process writes how long it held up its threads; see `benchmarks.harness.stalls.watch`.

    Raises
    ------
    OSError
        If it does not begin, or does not end cleanly.
    """
    ours: dict[str, object] = {"redis": "", "api_host": "127.0.0.1", "api_port": 0, "api_key": None, "write_key": None}
    script = SERVE.format(ours | settings | {"home": str(home)})
    if stalls is not None:
        script = f"from benchmarks.harness.stalls import watch; watch({str(stalls)!r}); {script}"
    with listening(["-c", script]) as port:
        yield port


@contextmanager
def listening(arguments: Sequence[str]) -> Iterator[int]:
    """Run Python as a server that says first where it is, and give its port.

    Parameters
    ----------
    arguments : of Python.

    Raises
    ------
    OSError
        If it does not begin, or does not end cleanly.
    """
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        where = re.search(r"http://[\d.]+:(\d+)", said)
        if where is None:
            raise OSError(f"the server did not begin; it said {said!r}, see above")
        yield int(where[1])
        process.terminate()
        if status := process.wait(ENDS_WITHIN_S):
            raise OSError(f"the server ended with status {status}; see above")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
