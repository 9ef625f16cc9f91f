"""Read a log once, in a process of its own: python -m benchmarks.speed.read_once HOW PATH; one line of JSON."""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

__all__ = ["HOWS", "TRAINING_STEPS", "main", "peak_mb"]

TRAINING_STEPS = 20
MB = 1e6

# What a reader imports is imported before its time is taken: all of them pay for it once a process.


def main(how: str, path: str) -> None:
    """Print rows, seconds, peak memory (MB) and that before the reading, as JSON."""
    read = HOWS[how]()
    before = peak_mb()
    start = time.perf_counter()
    rows = read(path)
    print(json.dumps({"rows": rows, "seconds": time.perf_counter() - start, "peak_mb": peak_mb(), "before_mb": before}))


def peak_mb() -> float:
    """Return the most memory that this process has held until now, in MB (10^6 bytes).

    `/proc` counts from the program's start; `getrusage` may count what the parent held.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024 / MB
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / MB if sys.platform == "darwin" else most * 1024 / MB


def _ours() -> Callable[[str], int]:
    from model_export.readers import read_log

    return lambda path: len(read_log(path).events)


def _pandas_parquet() -> Callable[[str], int]:
    import pandas as pd

    return lambda path: len(pd.read_parquet(path))


def _pandas_csv() -> Callable[[str], int]:
    import pandas as pd

    return lambda path: len(pd.read_csv(path))


def _training() -> Callable[[str], int]:
    """Return the reading with the first steps of a training of the default model after it."""
    from mindstream import settings
    from model_export.data.behaviours import behaviours_of
    from model_export.models.presets import DEFAULT, preset
    from model_export.readers import read_log
    from model_export.training.train import train

    def read_and_train(path: str) -> int:
        log, chosen = behaviours_of(read_log(path), settings.load().rule), preset(DEFAULT)
        train(log, chosen.model, replace(chosen.training, steps=TRAINING_STEPS))
        return len(log.events)

    return read_and_train


HOWS: dict[str, Callable[[], Callable[[str], int]]] = {
    "ours": _ours,
    "pandas-parquet": _pandas_parquet,
    "pandas-csv": _pandas_csv,
    "training": _training,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
