"""The most popular items, and the best of scores."""

import numpy as np
import pytest

from model_export.evaluation import rankers
from model_export.evaluation.cases import Cases
from model_export.evaluation.rankers import Popular, top_columns


def cases_of(*histories: list[int], length: int = 3) -> Cases:
    """Histories without labels."""
    mask = np.array([[False] * (length - len(h)) + [True] * len(h) for h in histories])
    rows = np.array([[0] * (length - len(h)) + h for h in histories])
    return Cases(rows, mask, np.zeros((len(histories), 0), dtype=np.int64), np.full((len(histories), 1), -1), 0 * rows)


COUNTS = np.array([5, 1, 9, 5, 0])  # 2, then 0 and 3 alike, 1, 4


def test_the_most_popular_items_are_the_same_for_everybody() -> None:
    cases = cases_of([2, 0], [4])
    assert Popular(COUNTS).top(cases, 3, unseen_only=False).tolist() == [[2, 0, 3], [2, 0, 3]]
    assert Popular(COUNTS).top(cases, 7, unseen_only=False)[0].tolist() == [2, 0, 3, 1, 4, -1, -1]


@pytest.mark.parametrize("batch", [1, 2, 512])
def test_unseen_only_leaves_out_the_history_and_not_its_padding(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rankers, "BATCH", batch)
    cases = cases_of([2, 0], [4, 4], [1, 2, 3])  # padding is row 0, which is an item
    assert Popular(COUNTS).top(cases, 3, unseen_only=True).tolist() == [[3, 1, 4], [2, 0, 3], [0, 4, -1]]
    assert Popular(COUNTS).top(cases, 6, unseen_only=True)[1].tolist() == [2, 0, 3, 1, -1, -1]


def test_the_best_scores_by_hand() -> None:
    scores = np.array([[1.0, 3.0, 2.0, 3.0], [-np.inf, 0.0, -1.0, -np.inf]])
    assert top_columns(scores, 3).tolist() == [[1, 3, 2], [1, 2, -1]]  # of the same score the first item first
    assert top_columns(scores, 5)[0].tolist() == [1, 3, 2, 0, -1]
