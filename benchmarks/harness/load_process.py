"""A load on an HTTP server in a process of its own, as seen from the benchmark that begins it."""

import subprocess
import sys
from pathlib import Path

import msgspec

from benchmarks.harness.http_load import PATIENCE_S, LoadReport, LoadTask

__all__ = ["LoadProcess", "report_in"]

ROOT = Path(__file__).parents[2]
LAST = 80  # bytes of what is no report that are shown


class LoadProcess:
    """A `python -m benchmarks.harness.http_load` that asks from now on."""

    def __init__(self, task: LoadTask) -> None:
        self.task = task
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness.http_load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(task))
        self.process.stdin.close()
        self.process.stdin = None

    def report(self) -> LoadReport:
        """Wait until it has ended, and return what it reports.

        Raises
        ------
        OSError
            If it takes too long, fails, gives no whole report, or nothing was answered.
        """
        with self.process:
            try:
                said, _ = self.process.communicate(timeout=self.task.warm_up_s + self.task.seconds + 2 * PATIENCE_S)
            except subprocess.TimeoutExpired as error:
                self.process.kill()
                raise OSError(f"a load of the benchmark did not end within {error.timeout:.0f} s") from None
        return report_in(said, self.process.returncode)


def report_in(said: bytes, status: int) -> LoadReport:
    """Read what a load wrote until it ended with an exit status.

    Raises
    ------
    OSError
        If it failed, wrote no whole report, or nothing was answered.
    """
    if status:
        raise OSError(f"a load of the benchmark ended with status {status}; see above")
    try:
        report = msgspec.json.decode(said, type=LoadReport)
    except msgspec.DecodeError as error:
        raise OSError(
            f"a load of the benchmark ended without a whole report ({error}): it wrote {len(said):,} bytes, the last "
            f"{said[-LAST:]!r}; was {LoadReport.__module__} changed meanwhile?"
        ) from error
    if not report.took_ms:
        raise OSError(f"nothing was answered within {report.seconds:.0f} s, with {report.errors} errors")
    return report
