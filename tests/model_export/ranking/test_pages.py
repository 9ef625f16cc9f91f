"""Metrics of pages and lists, by hand."""

import math

import numpy as np
import pytest

from model_export.bundle.ranking.features import FEATURES
from model_export.evaluation.cases import Cases
from model_export.ranking.evaluation import measure_order, paired_gain
from model_export.ranking.matching import Brought
from model_export.ranking.pages import auc, grouped_auc, ordered, page_metrics
from model_export.ranking.ranked_lists import RankedLists


def _lists(candidates: list[list[int]], labels: list[list[int]], taken: list[list[list[float]]]) -> RankedLists:
    """Make lists of these candidates, whose cases have these labels."""
    number, most = np.shape(candidates)
    cases = Cases(
        history=np.zeros((number, 1), dtype=np.int64),
        mask=np.zeros((number, 1), dtype=bool),
        profiles=np.zeros((number, 0), dtype=np.int64),
        labels=np.array(labels),
        times=np.zeros((number, 1), dtype=np.int64),
    )
    brought = Brought(
        np.array(candidates),
        np.zeros((number, most), dtype=np.float32),
        np.zeros((number, 1, 2), dtype=np.float32),
        np.ones((number, 1), dtype=bool),
        np.ones((number, 1), dtype=np.float32),
    )
    features = np.zeros((number, most, len(FEATURES)), dtype=np.float32)
    return RankedLists(cases, brought, features, np.array(taken, dtype=np.float32), np.ones(number, dtype=np.float32))


# The first user took the second of three candidates, and something that was not brought; the second nothing of two.
TWO = _lists([[4, 5, 6], [7, 8, -1]], [[5, 9], [3, -1]], [[[0], [1], [0]], [[0], [0], [0]]])
SCORES = np.array([[0.1, 0.5, 0.9], [0.2, 0.2, 9.0]])


def test_padding_is_last_and_equal_scores_stay_in_their_order() -> None:
    assert ordered(TWO, SCORES).tolist() == [[6, 5, 4], [7, 8, -1]]


def test_what_was_not_brought_counts_as_missed() -> None:
    """The label 5 is at the second place of two that would have been possible."""
    found = page_metrics(TWO, SCORES)
    ideal = 1 + 1 / math.log2(3)
    np.testing.assert_allclose(found["ndcg@10"], [1 / math.log2(3) / ideal, 0])
    assert found["hr@10"].tolist() == [1, 0]
    assert found["mrr"].tolist() == [0.5, 0]


def test_auc_by_counting_pairs() -> None:
    """Of six pairs, four are in order and one is equal."""
    scores, labels = np.array([0.9, 0.3, 0.3, 0.1, 0.5]), np.array([1, 1, 0, 0, 0])
    pairs = [(one > other) + 0.5 * (one == other) for one in scores[:2] for other in scores[2:]]
    assert auc(scores, labels) == pytest.approx(np.mean(pairs))
    assert math.isnan(auc(scores, np.zeros(5)))


def test_a_list_without_anything_taken_has_no_part_in_gauc() -> None:
    assert grouped_auc(TWO, SCORES) == pytest.approx(0.5)


def test_a_gain_is_of_the_same_lists() -> None:
    """The label at the first place instead of the second, for one of two users."""
    best = measure_order("best", TWO, TWO.labels[:, :, 0])
    gain, low, high = paired_gain(best, measure_order("some", TWO, SCORES))
    ideal = 1 + 1 / math.log2(3)
    assert gain == pytest.approx((1 - 1 / math.log2(3)) / ideal / 2)
    assert low <= gain <= high


def test_figures_of_one_task() -> None:
    """Two tasks: the first user took item 4 by the one and item 6 by the other; each counts alone."""
    lists = _lists([[4, 5, 6]], [[4, 6]], [[[1, 0], [0, 0], [0, 1]]])
    scores = np.array([[3.0, 2.0, 1.0]])
    assert measure_order("it", lists, scores, task=0).figures()["ndcg@10"] == pytest.approx(1)
    assert measure_order("it", lists, scores, task=1).figures()["ndcg@10"] == pytest.approx(0.5)
