"""Reading of large logs: what is written is one log in two forms, and each reading is measured in its own process."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.speed import read_once, reading
from benchmarks.speed.reading import parts_of, write_csv, write_parts

KEYS = {f"{name}_{what}" for name in ("parquet", "csv_gz") for what in ("ratio", "memory_ratio")} | {
    f"{who}{name}_{what}"
    for who in ("", "pandas_")
    for name in ("parquet", "csv_gz")
    for what in ("rows_per_s", "peak_mb", "bytes_per_row")
}


def test_both_forms_are_the_same_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PART", 1_000)
    write_parts(tmp_path / "parts", 2_500, seed=3)
    write_csv(tmp_path / "log.csv.gz", 2_500, seed=3)
    assert [len(part) for part in parts_of(2_500, seed=3)] == [1_000, 1_000, 500]
    assert len(list((tmp_path / "parts").iterdir())) == 3
    parts, csv = pd.read_parquet(tmp_path / "parts"), pd.read_csv(tmp_path / "log.csv.gz")
    assert parts.astype(csv.dtypes).equals(csv)
    assert parts.timestamp.is_monotonic_increasing
    days = pd.to_datetime(parts.timestamp, unit="s").dt.date.astype(str)
    assert (days.iloc[0], days.iloc[-1]) == ("2025-06-01", "2025-06-30")
    assert parts.user_id.nunique() <= 2_500 // 40
    counts = parts.item_id.value_counts()
    assert counts.iloc[0] > 20 * counts.median()  # a few are popular, most are not
    assert set(parts.event_type) == {"view", "cart", "purchase"}


def test_a_process_s_peak_grows_with_what_it_holds() -> None:
    code = (
        "from benchmarks.speed.read_once import peak_mb\n"
        "before = peak_mb()\n"
        "held = b'x' * 200_000_000\n"
        "assert before + 150 < peak_mb() < before + 400\n"
        "del held\n"
        "assert peak_mb() > before + 150\n"
    )
    # In a process of its own: this one may have held more before.
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_command_ends_with_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    reading.main(rows=2_000, train=False, seed=1)
    figures = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert set(figures) == KEYS | {"rows"}
    assert figures["parquet_ratio"] == pytest.approx(
        figures["parquet_rows_per_s"] / figures["pandas_parquet_rows_per_s"], rel=1e-3
    )
    assert figures["csv_gz_peak_mb"] > 20


def test_a_reading_that_fails_or_loses_rows_is_an_error(tmp_path: Path) -> None:
    write_csv(tmp_path / "log.csv.gz", 1_500, seed=1)
    with pytest.raises(OSError, match=r"log.csv.gz \(pandas-csv\) gave 1,500 of 1,501 rows"):
        reading._read_apart("pandas-csv", tmp_path / "log.csv.gz", 1_501)
    with pytest.raises(OSError, match=r"log.csv.gz \(pandas-parquet\) ended with status 1"):
        reading._read_apart("pandas-parquet", tmp_path / "log.csv.gz", 1_500)


def test_a_reading_says_how_it_went(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(tmp_path / "log.csv.gz", 1_500, seed=1)
    read_once.main("pandas-csv", str(tmp_path / "log.csv.gz"))
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 1_500
    assert found["peak_mb"] >= found["before_mb"] > 20
