"""The daily retrain: one command from a log to the current bundle, begun where the last one ended."""

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from mindstream.commands.model import app
from mindstream.retrain import LOCK
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.lock import locked
from model_export.bundle.registry import POINTER, Registry
from model_export.data.period import events_between
from model_export.data.simulator import SimulatedShop
from model_export.export.bundle_writer import export
from model_export.models.checkpoint import Checkpoint, load, new_model
from model_export.models.model_config import ModelConfig
from model_export.readers import write_table
from model_export.training.train import train
from model_export.training.warm_start import procrustes_rotation, warm_start
from tests.support.bundles.untrained import untrained

SMALL = ["--dim", "8", "--num-interests", "3", "--history-length", "12", "--batch-size", "64", "--steps", "5"]


@pytest.fixture
def log(shop: SimulatedShop, tmp_path: Path) -> Path:
    path = tmp_path / "log.parquet"
    write_table(shop.log, path)
    return path


# The command


@pytest.mark.slow
def test_one_command_from_a_log_to_the_current_bundle(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setattr("mindstream.settings.load", lambda: Settings(home=home, log=log))
    registry = Registry(home / "models")
    first = CliRunner().invoke(app, ["retrain", "--log", str(log), *SMALL, "--force"])
    assert first.exit_code == 0, first.output
    version = registry.current_version()
    summary = rf"published {version}: HR@50 [\d.]+ % of \d+ held-out users; 600 items, [\d,]+ interactions; \d+ s\n"
    assert re.fullmatch(summary, first.stdout)
    assert registry.current().manifest.index == {"kind": "exact"}
    assert load(home / "model.pt").figures  # it was judged
    assert list((home / "exported").iterdir()) == []
    second = CliRunner().invoke(app, ["retrain", *SMALL, "--model", "mind", "--min-hr", "1", "--max-drop", "0"])
    assert second.exit_code == 1
    assert registry.current_version() == version
    [refused] = (home / "exported").iterdir()
    assert second.stdout.startswith(f"refused {refused}: HR@50 ")
    hr = 100 * registry.current().manifest.metrics["validation"]["hr@50"]
    assert f"(the current one {hr:.1f} %)" in second.stdout
    assert "refused: HR@50 is " in second.stderr
    Bundle(refused).verify()  # it stays for whoever wants to look at it


def test_two_retrains_do_not_run_at_once(log: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    with locked(models / LOCK, lambda: None):
        done = CliRunner().invoke(app, ["retrain", "--log", str(log), "--models", str(models)])
    assert isinstance(done.exception, BlockingIOError)  # console.run makes a sentence of it
    assert str(done.exception).startswith(f"another retrain works for {models}; ")
    assert not (models / POINTER).exists()


def test_a_retrain_without_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mindstream.settings.load", Settings)
    monkeypatch.delenv("MINDSTREAM_LOG", raising=False)
    with pytest.raises(ValueError, match="give --log or set MINDSTREAM_LOG"):
        CliRunner().invoke(app, ["retrain"], catch_exceptions=False)


def test_the_events_of_a_period(shop: SimulatedShop) -> None:
    times = shop.log.events.event_time_ms
    days = [pd.Timestamp(int(times.quantile(share)), unit="ms").normalize() for share in (0.3, 0.6)]
    since, until = (int(one.timestamp() * 1_000) for one in days)
    some = events_between(shop.log, *(one.to_pydatetime() for one in days))
    assert len(some.events) == ((times >= since) & (times < until)).sum() > 0
    assert events_between(shop.log, None, None) is shop.log
    with pytest.raises(ValueError, match=r"has no events there \(--since 2200-01-01\); it goes from \d{4}-"):
        events_between(shop.log, datetime(2200, 1, 1), None)
    with pytest.raises(ValueError, match=r"has no times, only an order, so it cannot be cut \(--until 2026-01-01\)"):
        events_between(replace(shop.log, timed=False), None, datetime(2026, 1, 1))


# The warm start


def test_known_items_begin_with_their_embeddings_and_logits(bundle: Bundle, checkpoint: Checkpoint) -> None:
    model = new_model(checkpoint.model.config, checkpoint.vocabulary).eval()
    assert warm_start(model, checkpoint.vocabulary, bundle) == 600
    np.testing.assert_allclose(model.item_table().detach().numpy(), bundle.item_embeddings, atol=1e-5)
    np.testing.assert_array_equal(model.routing_logits.detach().numpy(), bundle.routing_logits)
    assert checkpoint.model.items.features is not None
    assert model.items.features is not None
    np.testing.assert_array_equal(
        model.items.features.weight.detach().numpy(), checkpoint.model.items.features.weight.detach().numpy()
    )


def test_embeddings_that_have_lengths_keep_them(tmp_path: Path) -> None:
    before = untrained(ModelConfig(dim=8, num_interests=2, history_length=5))
    other = new_model(before.model.config, before.vocabulary).eval()
    assert warm_start(other, before.vocabulary, export(before, tmp_path, progress=False)) == 30
    expected = before.model.eval().item_table().detach().numpy()
    np.testing.assert_allclose(other.item_table().detach().numpy(), expected, atol=1e-5)


def test_another_length_is_a_cold_start(
    bundle: Bundle, checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="model_export")
    model = new_model(replace(checkpoint.model.config, dim=8), checkpoint.vocabulary)
    before = model.items.ids.weight.detach().clone()
    assert warm_start(model, checkpoint.vocabulary, bundle) == 0
    assert f"cold start: bundle {bundle.version} has d = 16, not 8" in caplog.text
    assert (model.items.ids.weight == before).all()
    strange = replace(checkpoint.vocabulary, item_ids=[f"new-{row}" for row in range(600)])
    assert warm_start(new_model(checkpoint.model.config, strange), strange, bundle) == 0
    assert "knows none of these items" in caplog.text


def test_new_items_are_turned_to_where_the_known_ones_are() -> None:
    torch.manual_seed(1)
    vectors, turn = torch.randn(40, 6), torch.linalg.qr(torch.randn(6, 6)).Q
    found = procrustes_rotation(vectors[:30], vectors[:30] @ turn)
    torch.testing.assert_close(vectors[30:] @ found, vectors[30:] @ turn, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_a_warm_start_is_nearer_than_a_random_one(shop: SimulatedShop, checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Yesterday's model saw the first four fifths of the log; today's begins with what it learned."""
    earlier = shop.log.between(0, 0.8)
    config = replace(checkpoint.model.config, repeats=False)  # whoever gets back what they had learns nothing of items
    alone = replace(checkpoint.training, neighbours=False)  # which know as much with either start
    long = replace(alone, steps=150, learning_rate=1e-2)
    trained = train(earlier, config, long, progress=False)
    bundle = export(trained, tmp_path, progress=False)
    few = replace(alone, steps=1, learning_rate=1e-9, start="random")  # a look at the start
    cold, warm = (
        train(shop.log, config, few, progress=False, start=start).validation["recall@20"] for start in (None, bundle)
    )
    assert warm > 1.2 * cold
