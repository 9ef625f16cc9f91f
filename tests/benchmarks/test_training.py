"""The speed of training: what is counted, that real steps are taken, and the peer where it is installed."""

import importlib.util
import json

import numpy as np
import pytest

from benchmarks.speed import rechub, training
from benchmarks.speed.training import Size, figures_json, made_up_sequences, our_training
from model_export.models.presets import preset
from model_export.training.loop import TrainingRun

TINY = Size(items=40, users=6, behaviours=8, dim=4, interests=2, length=5, batch_size=4, negatives=8)


def test_the_made_up_log_has_its_size_and_popular_items() -> None:
    log = made_up_sequences(Size(items=100, users=50, behaviours=20), np.random.default_rng(1))
    assert log.lengths.tolist() == [20] * 50
    assert len(log.items) == len(log.times) == 1_000
    counts = np.bincount(log.items, minlength=100)
    assert len(counts) == 100
    assert counts[0] == pytest.approx(1_000 / 5.187, rel=0.25)  # 5.187: the sum of 1 / rank to 100
    assert counts[:10].sum() > counts[10:].sum()  # 2.93 of 5.187


@pytest.mark.parametrize("name", training.OURS)
def test_as_many_steps_are_taken_as_are_timed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[TrainingRun] = []
    step = TrainingRun.train_step

    def remembered(run: TrainingRun) -> float:
        runs.append(run)
        return step(run)

    monkeypatch.setattr(TrainingRun, "train_step", remembered)
    our_training(name, made_up_sequences(TINY, np.random.default_rng(1)), TINY, seed=1)(3)
    assert len(runs) == 3
    assert runs[-1].step == 3
    batch = runs[-1].sampler.batch()
    assert (batch.history.shape, len(batch.negatives)) == ((4, 5), 8)
    config = runs[-1].model.config
    assert (config.name, config.dim, config.num_interests) == (name, 4, 2)
    assert len(runs[-1].model.item_table()) == 40


def test_ratios_and_examples_by_hand() -> None:
    speeds = {"steady": 30.0, "mind": 40.0, "peer": 20.0, "peer_all_negatives": 2.0}
    assert figures_json(speeds, TINY) == {
        "steps_per_s": 30,
        "examples_per_s": 120,
        "ratio": 1.5,
        "ratio_all_negatives": 15,
        "steps_per_s_mind": 40,
        "examples_per_s_mind": 160,
        "ratio_mind": 2,
        "ratio_all_negatives_mind": 20,
        "peer_examples_per_s": 80,
        "peer_all_negatives_examples_per_s": 8,
    }


def test_the_peer_draws_as_many_negatives_a_step_or_for_each_pair() -> None:
    assert training.peer_negatives(TINY) == {"peer": 2, "peer_all_negatives": 8}
    assert training.peer_negatives(Size()) == {"peer": 4, "peer_all_negatives": 1_024}


def test_a_missing_peer_is_one_sentence_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(training, "measure", None)
    with pytest.raises(ValueError, match="is not installed; `pip install torch-rechub` installs it"):
        training.main()


def test_the_command_ends_with_its_figures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    speeds = {"steady": 30.0, "mind": 40.0, "peer": 20.0, "peer_all_negatives": 2.0}
    monkeypatch.setattr(rechub, "require_peer", lambda: None)
    monkeypatch.setattr(training, "measure", lambda size, seed: speeds)
    training.main(items=500, seed=1)
    table, last = capsys.readouterr().out.rsplit("\n", 2)[:2]
    assert "500 items" in table
    assert "7,680" in table  # 30 * 256
    assert json.loads(last)["ratio"] == 1.5


class TestPeer:
    """Needs the extra `peers`."""

    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("torch_rechub")

    def test_its_rows_are_the_pairs_of_the_log(self) -> None:
        log = made_up_sequences(TINY, np.random.default_rng(1))
        rows = rechub.pair_rows(log, 5, negatives=3)
        assert len(rows["user_id"]) == 6 * 6  # of 8 behaviours it leaves the first and, for its test, the last
        assert rows["neg_items"].shape == (36, 3)
        assert rows["hist_movie_id"].shape == (36, 5)
        pairs = set(zip(rows["user_id"].tolist(), rows["movie_id"].tolist(), strict=True))
        behaviours = log.items.reshape(6, 8) + 1
        assert pairs == {(user + 1, item) for user in range(6) for item in behaviours[user, 1:-1].tolist()}

    def test_it_takes_the_steps_that_are_timed(self) -> None:
        log, config = made_up_sequences(TINY, np.random.default_rng(1)), preset("mind").model
        trainer = rechub.make_trainer(6, 40, config)
        batches = rechub.endless_batches(rechub.make_loader(rechub.pair_rows(log, config.history_length, 2), 5))
        before = trainer.model.capsule.linear.weight.detach().clone()
        trainer.train_one_epoch([next(batches) for _ in range(10)])  # 36 rows: more than one epoch
        assert not np.allclose(before.numpy(), trainer.model.capsule.linear.weight.detach().numpy())
        assert next(iter(trainer.optimizer.state.values()))["step"] == 10
        tables = [tuple(weight.shape) for weight in trainer.model.embedding.parameters()]
        assert tables == [(7, 64), (41, 64)]  # users, items; both with padding

    def test_all_trainings_are_measured(self) -> None:
        speeds = training.measure(TINY, seed=1, rounds=1, seconds=0)
        assert set(speeds) == {"steady", "mind", "peer", "peer_all_negatives"}
        assert min(speeds.values()) > 0
