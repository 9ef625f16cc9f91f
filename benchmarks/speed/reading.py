"""Reading of large logs: rows/s and peak memory, beside pandas' reading of the same files into a table alone."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import typer

from benchmarks.harness.report import finish
from benchmarks.harness.worker_process import ROOT
from benchmarks.speed.read_once import TRAINING_STEPS
from model_export.evaluation.report import table

__all__ = ["main", "parts_of", "write_csv", "write_parts"]

PART = 1_000_000  # rows
EVENTS_PER_USER = 40
ITEMS = 50_000
START, DAYS = 1_748_736_000, 30  # seconds: 2025-06-01
TYPES = ("view", "cart", "purchase")


def main(
    rows: Annotated[int, typer.Option(help="Rows of the synthetic log.", min=1_000)] = 1_000_000,
    train: Annotated[bool, typer.Option("--train", help=f"Also train {TRAINING_STEPS} steps on the parts.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the log.")] = 7,
) -> None:
    """Measure rows/s and peak memory of reading a log from Parquet parts and .csv.gz."""
    figures: dict[str, float] = {"rows": rows}
    with tempfile.TemporaryDirectory() as folder:
        parts, csv = Path(folder) / "parts", Path(folder) / "log.csv.gz"
        write_parts(parts, rows, seed)
        write_csv(csv, rows, seed)
        asked = {
            "parquet": ("ours", parts),
            "pandas_parquet": ("pandas-parquet", parts),
            "csv_gz": ("ours", csv),
            "pandas_csv_gz": ("pandas-csv", csv),
            **({"training": ("training", parts)} if train else {}),
        }
        for name, (how, path) in asked.items():
            figures |= _figures(name, _read_apart(how, path, rows))
    for name in ("parquet", "csv_gz"):
        figures[f"{name}_ratio"] = figures[f"{name}_rows_per_s"] / figures[f"pandas_{name}_rows_per_s"]
        figures[f"{name}_memory_ratio"] = figures[f"{name}_peak_mb"] / figures[f"pandas_{name}_peak_mb"]
    _report(figures, train)
    finish(figures)


def parts_of(rows: int, seed: int) -> Iterator[pa.Table]:
    """Yield the log in parts: users of about 40 events and their tastes, in order."""
    made = np.random.default_rng(seed)
    users = max(1, rows // EVENTS_PER_USER)
    for start in range(0, rows, PART):
        count = min(PART, rows - start)
        by = made.integers(users, size=count)
        taste = (0.618034 * by + 0.02 * made.standard_cauchy(count)) % 1  # alike users take alike items
        items = (ITEMS * taste**3).astype(np.int64)  # the cube makes a few popular
        seconds = START + (np.arange(start, start + count) * (DAYS * 86_400 / rows)).astype(np.int64)
        yield pa.table(
            {
                "user_id": _named("user-", by),
                "item_id": _named("item-", items),
                "event_type": pa.array(np.array(TYPES)[made.choice(3, size=count, p=[0.9, 0.07, 0.03])]),
                "timestamp": pa.array(seconds),
                "price": pa.array(np.round(5 + items % 997 / 10, 2)),
            }
        )


def _named(prefix: str, numbers: np.ndarray) -> pa.Array:
    return pa.array(np.char.add(prefix, numbers.astype(str)))


def write_parts(folder: Path, rows: int, seed: int) -> None:
    """Write the log as a folder of Parquet files, as Spark names them."""
    folder.mkdir()
    for number, part in enumerate(parts_of(rows, seed)):
        pq.write_table(part, folder / f"part-{number:05}.snappy.parquet")


def write_csv(file: Path, rows: int, seed: int) -> None:
    """Write the log as one gzip-compressed CSV."""
    with pa.CompressedOutputStream(pa.OSFile(str(file), "wb"), "gzip") as stream:
        for number, part in enumerate(parts_of(rows, seed)):
            options = pa_csv.WriteOptions(include_header=not number, quoting_style="none")
            pa_csv.write_csv(part, stream, options)


def _read_apart(how: str, path: Path, rows: int) -> dict[str, float]:
    """Read in a fresh process; raise OSError if it fails, or reads another number of rows."""
    command = [sys.executable, "-m", "benchmarks.speed.read_once", how, str(path)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise OSError(f"reading {path.name} ({how}) ended with status {done.returncode}; see above")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if found["rows"] != rows:
        raise OSError(f"reading {path.name} ({how}) gave {found['rows']:,.0f} of {rows:,} rows")
    return found


def _figures(name: str, found: Mapping[str, float]) -> dict[str, float]:
    return {
        f"{name}_rows_per_s": found["rows"] / found["seconds"],
        f"{name}_peak_mb": found["peak_mb"],
        f"{name}_bytes_per_row": 1e6 * (found["peak_mb"] - found["before_mb"]) / found["rows"],
    }


_NAMES = {
    "parquet": "Parquet parts -> interactions",
    "pandas_parquet": "  pandas.read_parquet alone",
    "csv_gz": ".csv.gz -> interactions",
    "pandas_csv_gz": "  pandas.read_csv alone",
    "training": f"Parquet parts, and {TRAINING_STEPS} steps of training",
}


def _report(figures: Mapping[str, float], train: bool) -> None:
    shown = [name for name in _NAMES if train or name != "training"]
    rows = [
        (
            _NAMES[name],
            f"{figures[f'{name}_rows_per_s']:,.0f}",
            f"{figures[f'{name}_peak_mb']:,.0f}",
            f"{figures[f'{name}_bytes_per_row']:,.0f}",
        )
        for name in shown
    ]
    print(f"{figures['rows']:,.0f} rows, each reading in a process of its own\n")
    print(table(["", "rows/s", "peak MB", "bytes a row *"], rows))
    print("\n* of the peak, above what the process held before it read.")
