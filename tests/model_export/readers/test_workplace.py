"""The temporary folder of a reading: it is gone afterwards, also after Ctrl-C, and may be full."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.logs import cells, put, text

ROOT = Path(__file__).parents[3]
READ = "import sys; from model_export.readers import read_log; print(len(read_log(sys.argv[1]).events))"
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); " + READ


def start(code: str, log: Path, folder: Path) -> "subprocess.Popen[str]":
    """A process that reads a log with this folder for what is temporary."""
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"TMPDIR": str(folder)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", code, str(log)], cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True
    )


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nothing_is_left(tmp_path: Path) -> None:
    process = start(READ, put(tmp_path / "log.csv", text(cells())), tmp_path / "temporary")
    assert process.communicate(timeout=60)[0] == "20\n"
    assert list((tmp_path / "temporary").iterdir()) == []


def test_ctrl_c_ends_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    log, folder = tmp_path / "log.csv", tmp_path / "temporary"
    with log.open("w") as file:
        file.write("user_id,item_id,timestamp,title\n")
        block = text(cells(100_000), header=None)
        for _ in range(60):  # of some seconds to read
            file.write(block)
    process = start(READ, log, folder)
    until(lambda: list(folder.glob("*/rows.parquet")))  # it is in the midst of the rows
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode != 0
    assert "KeyboardInterrupt" in error.splitlines()  # not always the last: tqdm may say more of a bar half made
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log-utf16.csv"])
def test_a_full_folder_is_said_in_one_sentence(tmp_path: Path, name: str) -> None:
    """No file may be larger than 4 KB there, as if the disk were full."""
    log = put(tmp_path / name, text(cells(20_000)), "utf-16" if "utf16" in name else "utf-8")
    output, error = start(LIMITED, log, tmp_path / "temporary").communicate(timeout=60)
    assert output == ""
    assert error.splitlines()[-1] == (
        f"OSError: {log} cannot be read: there is no space left in {tmp_path / 'temporary'}, where columns of a log "
        "are kept while it is read; TMPDIR names another folder"
    )
    assert list((tmp_path / "temporary").iterdir()) == []
