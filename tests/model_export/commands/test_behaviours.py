"""Commands that learn from a log, or measure on one, take its behaviours by the configured rule."""

import re
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mindstream.commands.model import app
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.commands.behaviours import read_behaviours
from model_export.models.checkpoint import load

RULE = "view=1,buy=4,impression=0,dislike=-1"
TINY = ["--steps", "2", "--batch-size", "16", "--dim", "8", "--history-length", "10"]


@pytest.fixture(autouse=True)
def rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule of the environment, read anew."""
    monkeypatch.setenv("MINDSTREAM_BEHAVIOURS", RULE)
    monkeypatch.setattr("mindstream.settings.load", Settings)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Each of 60 users has 12 views, looks at x, dislikes y having viewed it, and passes by 20 items; one an hour."""
    rng = np.random.default_rng(1)
    rows: list[tuple[str, str, str]] = []
    for user in range(60):
        name = f"user-{user:02}"
        rows += [(name, f"item-{item:02}", "view") for item in rng.permutation(30)[:12]]
        rows += [(name, "x", "buy"), (name, "y", "view"), (name, "y", "dislike")]
        rows += [(name, f"passed-{item}", "impression") for item in range(20)]
    times = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(len(rows)), unit="h")
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "event_type"])
    table.assign(event_time=times.strftime("%Y-%m-%d %H:%M:%S")).to_csv(tmp_path / "log.csv", index=False)
    return tmp_path / "log.csv"


def run(*arguments: str | Path) -> str:
    """What a command prints on stdout."""
    done = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_behaviours_are_read_by_the_rule(log: Path) -> None:
    found = read_behaviours(log)
    assert len(found.events) == 60 * 13
    assert sorted(set(found.events.event_type)) == ["buy", "view"]
    assert "y" not in set(found.items.item_id)
    assert not found.items.item_id.str.startswith("passed").any()
    lost = {reason: count for reason, count in found.dropped.items() if count}
    assert lost == {
        "of the type 'impression', which is no behaviour (weight 0)": 1_200,
        "of the type 'dislike', which is negative (weight -1)": 60,
        "taken back by a later 'dislike'": 60,
    }


def test_what_happens_after_a_period_takes_nothing_back_in_it(tmp_path: Path) -> None:
    days = ["2026-01-01,ann,y,view", "2026-01-02,ann,x,view", "2026-01-03,ann,y,dislike", "2026-01-04,ann,z,view"]
    log = tmp_path / "days.csv"
    log.write_text("\n".join(["time,user_id,item_id,event_type", *days, ""]))

    def items(**period: datetime) -> list[str]:
        return read_behaviours(log, **period).events.item_id.tolist()  # type: ignore[arg-type]

    assert items() == ["x", "z"]
    assert items(until=datetime(2026, 1, 3)) == ["y", "x"]
    assert items(since=datetime(2026, 1, 2)) == ["x", "z"]


def test_training_evaluation_and_the_bundle_go_by_the_rule(log: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.pt"
    said = run("train", log, "--out", model, *TINY)
    assert "780 interactions of 60 users with 31 items" in said
    for reason in ("1,200 of the type 'impression'", "60 of the type 'dislike'", "60 taken back by a later 'dislike'"):
        assert reason in said
    checkpoint = load(model)
    assert checkpoint.data["behaviours"] == "buy=4,dislike=-1,impression=0,view=1"
    assert checkpoint.data["events"] == 780
    assert "y" not in checkpoint.vocabulary.item_ids
    assert checkpoint.popularity[checkpoint.vocabulary.item_ids.index("x")] == 60
    assert re.search(r"comirec: \d+ users", run("evaluate", model, log))
    [bundle] = run("export", model, "--out", tmp_path / "bundles").split()
    assert Bundle(Path(bundle)).manifest.data["behaviours"] == "buy=4,dislike=-1,impression=0,view=1"
    said = run("publish", bundle, "--models", tmp_path / "models", "--log", log, "--min-hr", "0")
    assert "held-out users" in said


def test_a_retrain_goes_by_the_rule(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINDSTREAM_HOME", str(tmp_path / "home"))
    said = run("retrain", "--log", log, "--models", tmp_path / "models", *TINY)
    assert re.search(r"published .*; 31 items, 780 interactions; ", said)


def test_a_log_of_impressions_alone_is_refused(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINDSTREAM_BEHAVIOURS", "click=1,*=0")
    with pytest.raises(ValueError, match=r"no behaviour remains of its 2,100 interactions by the rule 'click=1,\*=0'"):
        run("train", log, "--out", "never.pt")
