"""Small samples of a log: whom they hold, on which side, and the benchmark on them from a log to its last line."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality import small_samples
from benchmarks.quality.accuracy import main
from benchmarks.quality.small_samples import draw_samples, sample_sides, sizes_named
from model_export.data.simulator import SimulatedShop
from model_export.models.training_config import TrainingConfig
from model_export.readers import write_table


def test_sizes_by_name() -> None:
    assert sizes_named("") == []
    assert sizes_named("100, 300") == [100, 300]
    for wrong in ("100,many", "100,-3", "100,19", "1e3"):
        with pytest.raises(ValueError, match=r"is not a number of users; it must be at least 20"):
            sizes_named(wrong)


def test_samples_have_no_user_in_common_and_whole_histories(shop: SimulatedShop) -> None:
    users = shop.log.events.user_id.value_counts()
    samples = list(draw_samples(shop.log, len(users) // 3, TrainingConfig()))
    assert len(samples) == 3
    found = [set(sample.events.user_id) for sample in samples]
    assert [len(one) for one in found] == [len(users) // 3] * 3
    assert len(set.union(*found)) == 3 * (len(users) // 3)
    for sample in samples:
        counts = sample.events.user_id.value_counts()
        assert counts.to_dict() == users[list(counts.index)].to_dict()
        assert set(sample.sides) == set(counts.index)
    again = list(draw_samples(shop.log, len(users) // 3, TrainingConfig()))
    assert [sample.sides for sample in again] == [sample.sides for sample in samples]
    with pytest.raises(ValueError, match="users, too few for a sample of 100,000"):
        list(draw_samples(shop.log, 100_000, TrainingConfig()))


def test_nobody_missing_to_ask() -> None:
    users, everybody = [f"u{place}" for place in range(30)], np.ones(30, dtype=bool)
    sides = sample_sides(users, everybody, {}, TrainingConfig(valid_share=0, test_share=0))
    assert [sides[user] for user in users] == ["valid"] * 5 + ["test"] * 5 + ["train"] * 20
    few = sample_sides(users, np.arange(30) >= 20, {}, TrainingConfig(valid_share=0, test_share=0))
    assert [few[user] for user in users] == ["train"] * 20 + ["valid"] * 5 + ["test"] * 5  # of others nothing is asked
    published = (
        dict.fromkeys(users[:10], "test") | dict.fromkeys(users[10:20], "valid") | dict.fromkeys(users[20:], "train")
    )
    assert sample_sides(users, everybody, published, TrainingConfig()) == published


@pytest.mark.slow
def test_from_a_log_to_the_last_line(
    shop: SimulatedShop, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_samples, "SAMPLES", 2)
    log = write_table(shop.log, tmp_path / "shop.parquet")
    main(log, model="mind", seeds=2, steps=2, users="40", switches=["dim=8", "num_interests=2", "batch_size=8"])
    *lines, last = capsys.readouterr().out.splitlines()
    figures = json.loads(last)["of_users"]["40"]
    assert figures["samples"] == 2
    assert figures["users"] >= 2 * 5
    for name in ("most popular", "item-kNN", "EASE", "mind", "mind, one interest"):
        [row] = [line for line in lines if line.startswith(f"{name}  ")]
        assert row[len(name) :].split()[::3] == [
            f"{figures[name][it]:.2f}" for it in ("recall50", "recall20", "ndcg10")
        ]
