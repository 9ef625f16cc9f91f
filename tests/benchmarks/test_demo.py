"""What `python -m benchmarks demo` does beside the browser: a home of its own, the figures, small pictures."""

import json
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
    demo.report(4.25, [float(ms) for ms in range(101)])
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {
        "page_s": 4.25,
        "click_p50_ms": 50.0,
        "click_p99_ms": 99.0,
        "clicks": 101,
    }
