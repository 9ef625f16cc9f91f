"""What `python -m benchmarks demo` does beside the browser: a home of its own, the figures, small pictures."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.speed import demo
from mindstream import settings
from mindstream.settings import Settings


def test_the_home_that_is_measured_has_the_models_and_no_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    present = tmp_path / "present"
    for folder in ("models", "models-one", "state"):
        (present / folder).mkdir(parents=True)
        (present / folder / "file").write_text(folder)
    (present / "log.parquet").write_text("log")
    monkeypatch.setattr(settings, "load", lambda: Settings(home=present))
    home = demo.home_in(tmp_path)
    assert sorted(path.name for path in home.iterdir()) == ["log.parquet", "models", "models-one"]
    assert (home / "models" / "file").read_text() == "models"


def test_without_a_model_one_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Path] = []
    monkeypatch.setattr(settings, "load", lambda: Settings(home=tmp_path / "none"))
    monkeypatch.setattr(demo, "prepared", trained.append)
    assert [demo.home_in(tmp_path)] == trained


def test_the_figures_are_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    demo.report(4.25, [float(ms) for ms in range(101)], 2.5, 1.5)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {
        "page_s": 4.25,
        "click_p50_ms": 50.0,
        "click_p99_ms": 99.0,
        "clicks": 101,
        "idle_percent_of_core": 2.5,
    }


def test_the_processor_time_of_a_process_and_its_children() -> None:
    """A shell that does nothing, and its child, which has been busy for a while."""
    script = "import time\nwhile time.process_time() < 0.5: pass\nprint('done', flush=True)\ntime.sleep(600)"
    command = ["sh", "-c", '"$0" -c "$1"; true', sys.executable, script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as shell:
        assert shell.stdout is not None
        try:
            assert shell.stdout.readline() == b"done\n"
            assert 0.45 < demo.processor_s(shell.pid) < 10
            assert demo.idle_percent(shell.pid, seconds=0.2, calm_after_s=0) < 20
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
