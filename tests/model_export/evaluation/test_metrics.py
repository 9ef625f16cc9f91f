"""Recall, HitRate and NDCG worked out by hand, and how sure a mean is."""

import math
import tracemalloc

import numpy as np
import pytest

from model_export.evaluation import metrics
from model_export.evaluation.metrics import bootstrap_intervals, mean_metrics, metrics_per_case

SECOND, THIRD, FOURTH = 1 / math.log2(3), 1 / math.log2(4), 1 / math.log2(5)


def test_each_case_by_hand() -> None:
    top = np.array([[5, 3, 9, 1], [5, 3, 9, 1], [8, 2, 6, 4]])
    labels = np.array([[1, 3, -1], [7, -1, -1], [2, 4, 8]])
    found = {name: values.tolist() for name, values in metrics_per_case(top, labels, at=(1, 2, 4)).items()}
    assert found == {
        "recall@1": pytest.approx([0, 0, 1 / 3]),
        "hr@1": [0, 0, 1],
        "ndcg@1": pytest.approx([0, 0, 1]),  # one of one place could not be better, though there are three labels
        "recall@2": pytest.approx([1 / 2, 0, 2 / 3]),
        "hr@2": [1, 0, 1],
        "ndcg@2": pytest.approx([SECOND / (1 + SECOND), 0, 1]),
        "recall@4": pytest.approx([1, 0, 1]),
        "hr@4": [1, 0, 1],
        "ndcg@4": pytest.approx(
            [(SECOND + FOURTH) / (1 + SECOND), 0, (1 + SECOND + FOURTH) / (1 + SECOND + THIRD)],
        ),
    }


def test_repeats_count_in_recalls_denominator_and_nowhere_else() -> None:
    found = metrics_per_case(np.array([[4, 7]]), np.array([[7, 7, 7, 9]]), at=(2,))
    assert found["recall@2"].tolist() == [1 / 4]  # one item found, four behaviours
    assert found["hr@2"].tolist() == [1]
    assert found["ndcg@2"].tolist() == pytest.approx([SECOND / (1 + SECOND)])  # two distinct labels


def test_a_place_that_is_not_taken_is_no_hit() -> None:
    found = metrics_per_case(np.array([[0, -1, -1]]), np.array([[5, -1, -1]]), at=(3,))
    assert {name: values.tolist() for name, values in found.items()} == {"recall@3": [0], "hr@3": [0], "ndcg@3": [0]}


def test_a_label_beyond_all_candidates_belongs_to_its_own_case() -> None:
    # Where pairs of case and item were numbered by the candidates alone, label 4 of the first would be 1 of the next.
    assert metrics_per_case(np.array([[2], [1]]), np.array([[4], [0]]), at=(1,))["hr@1"].tolist() == [0, 0]


def test_a_catalogue_smaller_than_n() -> None:
    found = mean_metrics(metrics_per_case(np.array([[1, 0]]), np.array([[0]]), at=(20,)))
    assert found == pytest.approx({"hr@20": 1, "recall@20": 1, "ndcg@20": SECOND})


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    top = np.argsort(rng.random((50, 30)), axis=1)[:, :20]
    labels = rng.integers(0, 40, (50, 6))
    whole = metrics_per_case(top, labels)
    monkeypatch.setattr(metrics, "BATCH", 7)
    for name, values in metrics_per_case(top, labels).items():
        assert values.tolist() == whole[name].tolist()
        slow = [len(set(t[: int(name[-2:])]) & set(y)) / 6 for t, y in zip(top.tolist(), labels.tolist(), strict=True)]
        assert not name.startswith("recall") or values.tolist() == pytest.approx(slow)


def test_hundreds_of_labels_need_little_memory() -> None:
    top = np.tile(np.arange(50), (4_000, 1))
    labels = np.broadcast_to(np.arange(500), (4_000, 500))  # takes no memory itself
    tracemalloc.start()
    found = metrics_per_case(top, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert set(found["recall@50"].tolist()) == {50 / 500}
    assert peak < 4e7  # every candidate beside every label would take 1e8


def test_the_interval_of_a_known_sample() -> None:
    # 300 of 1,000: the standard error is sqrt(0.3 * 0.7 / 1000) = 0.0145, and 95 % lie within 1.96 of it.
    hits = np.repeat([1.0, 0.0], [300, 700])
    found = bootstrap_intervals({"hr@50": hits, "recall@50": hits / 2}, seed=1, draws=4_000)
    assert found["hr@50"] == pytest.approx((0.3 - 0.0284, 0.3 + 0.0284), abs=0.002)
    assert found["recall@50"] == pytest.approx([end / 2 for end in found["hr@50"]])  # all metrics share the draws
    assert bootstrap_intervals({"hr@50": hits}, seed=1, draws=4_000)["hr@50"] == pytest.approx(found["hr@50"])
    low, high = bootstrap_intervals({"hr@50": hits}, seed=1, draws=4_000, level=0.5)["hr@50"]
    assert (low, high) == pytest.approx((0.3 - 0.0098, 0.3 + 0.0098), abs=0.002)  # 50 % lie within 0.674
    assert bootstrap_intervals({"hr@50": np.ones(9)}, seed=1)["hr@50"] == (1, 1)
