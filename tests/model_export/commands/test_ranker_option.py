"""The option --ranker of `train`: which network, refused early, and going on in the stage that was stopped."""

import sys
from pathlib import Path
from typing import Any

import pytest

from mindstream import console
from model_export.commands.models import app
from model_export.data.simulator import simulate
from model_export.models.checkpoint import Checkpoint, load
from model_export.rankers.ranked_checkpoint import RankedCheckpoint
from model_export.rankers.ranker_config import RANKERS, RankerConfig
from model_export.ranking import second_stage
from model_export.ranking.lists import ListSettings
from model_export.ranking.ranker_training import RankerTraining
from model_export.readers import write_table

QUICK = RankerTraining(ListSettings(brought=20, negatives=5), examples=60, epochs=1, valid_cases=20)


def say(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Return the exit status of a command line."""
    monkeypatch.setattr(sys, "argv", ["model_export", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        console.run(app)
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> tuple[str | Path, ...]:
    """Return the words of a short training, but for its --out."""
    log = tmp_path_factory.mktemp("log") / "log.parquet"
    write_table(simulate(users=80, seed=7).log, log)
    return ("train", log, "--model", "mind", "--steps", "4", "--batch-size", "64", "--dim", "4", "--ranker", "linear")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train rankers for a moment only."""
    whole = second_stage.train_ranker

    def train_ranker(checkpoint: Checkpoint, events: Any, config: RankerConfig, _: Any, *more: Any) -> RankedCheckpoint:
        return whole(checkpoint, events, config, QUICK, *more)

    monkeypatch.setattr(second_stage, "train_ranker", train_ranker)


def test_the_checkpoint_has_the_ranker_and_its_figures(
    line: tuple[str | Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert say(monkeypatch, *line, "--out", tmp_path / "model.pt") == 0
    ranker = load(tmp_path / "model.pt").ranker
    assert ranker is not None
    assert ranker.model.config.core == "linear"
    assert ranker.metrics["test"]["ahead"]["orders"].keys() == {"linear", "max-sim", "matching"}


def test_a_ranker_that_is_not_there_is_refused_before_the_log_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none").touch()
    assert say(monkeypatch, "train", tmp_path / "none", "--ranker", "best", "--out", tmp_path / "model.pt") == 2
    assert f"there is no ranker 'best'; it must be one of {', '.join(RANKERS)}" in capsys.readouterr().err


def test_goes_on_where_the_ranker_was_stopped(
    line: tuple[str | Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The matching model is not trained anew: its state stays until the ranker is done."""

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    words = (*line, "--out", tmp_path / "model.pt")
    with monkeypatch.context() as patch:
        patch.setattr(second_stage, "train_ranker", stopped)
        assert say(patch, *words) == 130
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt.progress"]
    monkeypatch.setattr("model_export.training.loop.TrainingRun.train_step", lambda _: pytest.fail("trained anew"))
    assert say(monkeypatch, *words, "--resume") == 0
    assert load(tmp_path / "model.pt").ranker is not None
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]
