"""The comparison of models: what it averages and compares, and that it runs from a log to its last line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.quality.accuracy import main
from benchmarks.quality.accuracy_report import comparison_sentence
from benchmarks.quality.ranker_results import (
    RankerResult,
    coverage,
    diversity,
    group_by_length,
    mean_result,
    paired_gain,
)
from model_export.data.simulator import SimulatedShop
from model_export.evaluation.cases import Cases
from model_export.evaluation.cosines import mean_of_chosen, measure_cosines, pairwise_cosines
from model_export.models.presets import PRESETS, one_interest
from model_export.readers import write_table
from tests.support.bundles.untrained import untrained

NOBODYS = np.zeros((0, 50), dtype=np.int64)
LAST_LINE = (
    "model recall10 recall20 recall50 hr50 ndcg10 ndcg50 recall50_unseen recall50_knn recall20_knn ndcg10_knn "
    "recall50_k1 recall20_k1 ndcg10_k1 recall50_best_anchor best_anchor recall50_valid slot_cosine event_cosine "
    "seconds_per_1000_steps"
)


def result_of(*recalls: float, name: str = "x") -> RankerResult:
    return RankerResult(
        name, {"recall@50": np.array(recalls)}, {"recall@50": 1 - np.array(recalls)}, NOBODYS, recalls[0]
    )


def test_the_mean_over_trainings_is_taken_for_each_user() -> None:
    found = mean_result("both", [result_of(0.0, 1.0, 0.5), result_of(1.0, 1.0, 0.0)])
    assert found.name == "both"
    assert found.metrics["recall@50"].tolist() == [0.5, 1.0, 0.25]
    assert found.unseen["recall@50"].tolist() == [0.5, 0.0, 0.75]
    assert found.valid == 0.5


def test_how_far_one_is_ahead_is_judged_user_by_user() -> None:
    mine, other = result_of(*[0.5, 0.3] * 50, name="mine"), result_of(*[0.4, 0.2] * 50, name="other")
    # Users differ by a lot and the two rankers by the same for each: there is no doubt who is ahead.
    assert paired_gain(mine, other) == pytest.approx((10, 10, 10))
    assert (
        comparison_sentence(mine, other) == "mine is 33.3% ahead of other by recall@50: +10.00 points [+10.00, +10.00]"
    )
    assert comparison_sentence(other, mine).startswith("other is 25.0% BEHIND mine by recall@50: -10.00 points")
    points, low, high = paired_gain(result_of(*[1.0, 0.0] * 50), result_of(*[0.0, 1.0] * 50))
    assert low < points == 0 < high


def of_lengths(*lengths: int) -> Cases:
    mask = np.arange(20) >= 20 - np.array(lengths)[:, None]
    zeros = np.zeros(mask.shape, dtype=np.int64)
    return Cases(zeros, mask, zeros[:, :0], zeros[:, :1], zeros)


def test_users_are_grouped_by_what_is_read_of_them() -> None:
    groups = group_by_length(of_lengths(1, 5, 6, 10, 11, 19, 20))
    assert {name: np.flatnonzero(group).tolist() for name, group in groups.items()} == {
        "1-5": [0, 1],
        "6-10": [2, 3],
        "11-19": [4, 5],
        "20": [6],
    }
    assert list(group_by_length(of_lengths(20, 3))) == ["1-5", "20"]


def test_coverage_and_diversity_by_hand() -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.6, 0.8]])
    top = np.array([[0, 1, -1], [0, 2, -1], [3, -1, -1]])
    assert coverage(top, num_items=8) == 0.5
    assert diversity(top[:1], vectors) == pytest.approx(1)
    assert diversity(top, vectors) == pytest.approx((1 + 2) / 2)  # a single candidate has no pair
    assert diversity(np.array([[0, 1, 3]]), vectors) == pytest.approx(1 - (0 + 0.6 + 0.8) / 3)
    assert np.isnan(diversity(top[2:], vectors))


@pytest.mark.slow
def test_from_a_log_to_the_last_line(shop: SimulatedShop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = write_table(shop.log, tmp_path / "shop.parquet")
    main(log, model="mind", seeds=2, steps=5, anchors="ease", switches=["dim=16", "num_interests=3"])
    *lines, last = capsys.readouterr().out.splitlines()
    figures = json.loads(last)
    assert set(LAST_LINE.split()) <= figures.keys()
    assert (figures["model"], figures["seeds"]) == ("mind", 2)
    assert figures["seconds_per_1000_steps"] > 0
    assert 0 < figures["event_cosine"] <= 1
    assert figures["slot_cosine"] < 1
    for name in ("most popular", "item-kNN", "EASE", "mind", "mind, one interest", "mind, fresh logits"):
        assert sum(line.startswith(f"{name}  ") for line in lines) >= 4, name
    for figure, name in (("recall50", "mind"), ("recall50_k1", "mind, one interest"), ("recall50_knn", "item-kNN")):
        assert figures[figure] == pytest.approx(first_recall50(name, lines), abs=0.01)
    best = max(("item-kNN", "EASE"), key=lambda name: first_recall50(name, lines))
    assert figures["best_anchor"] == best
    assert figures["recall50_best_anchor"] == pytest.approx(first_recall50(best, lines), abs=0.01)
    for metric in ("recall@50", "recall@20", "ndcg@10"):
        for other in ("item-kNN", "mind, one interest"):
            assert any(re.match(rf"mind is .* {other} by {metric}: ", line) for line in lines), (metric, other)
    with pytest.raises(ValueError, match="there is no setting 'dims'"):
        main(log, model="mind", switches=["dims=16"])


def first_recall50(name: str, lines: list[str]) -> float:
    """What the first table says: R@50 is the first figure with an interval."""
    row = next(line for line in lines if line.startswith(f"{name}  "))
    return float(row[: row.index("[")].split()[-1])


# How alike capsules are


def test_cosines_between_capsules_by_hand() -> None:
    capsules = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]], [[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]]])
    active = torch.tensor([[True, True, True], [True, False, False]])
    found = mean_of_chosen(pairwise_cosines(capsules), active[:, :, None] & active[:, None, :])
    assert found[0].item() == pytest.approx(1 / 3)  # 0, 1 and 0
    assert found[1].isnan()  # a single capsule has nobody to be compared with


def asked_for(history: list[list[int]]) -> Cases:
    rows = np.array(history)
    return Cases(rows, rows >= 0, np.zeros((len(rows), 2), dtype=np.int64), rows[:, :1], np.zeros_like(rows))


def test_the_event_cosine_compares_with_the_history_without_its_last_behaviour() -> None:
    model = untrained(one_interest(PRESETS["steady"]).model).model
    with torch.no_grad():
        model.extractor.prior.zero_()  # type: ignore[operator]
    three, five = model.eval().item_table()[[3, 5]].detach().numpy()
    both = (three + five) / np.linalg.norm(three + five)  # the mean of the two, of length 1
    assert measure_cosines(model, asked_for([[3, 5]])).event == pytest.approx(float(both @ three), abs=1e-6)


def test_one_interest_has_no_slot_cosine_and_still_items_do_not_move(shop: SimulatedShop) -> None:
    model = untrained(one_interest(PRESETS["steady"]).model).model
    found = measure_cosines(model, asked_for([[3, 3, 3, 3], [5, 5, 5, 5]]))
    assert np.isnan(found.slot)
    assert found.event == pytest.approx(1)  # the mean of equal behaviours is the same without the last
