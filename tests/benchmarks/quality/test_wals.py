"""WALS: fold-in by the paper's formula, what a group's users are recommended, and what tuning keeps."""

import numpy as np
import pytest

from benchmarks.quality import wals
from benchmarks.quality.wals import Wals, WalsSettings, tune_wals
from model_export.data.dataset import Sequences
from model_export.evaluation.cases import Cases
from model_export.evaluation.rankers import tuning_recall


def sequences_of(histories: list[list[int]]) -> Sequences:
    items = np.array([item for history in histories for item in history], dtype=np.int64)
    user_ids = [f"u{user:05}" for user in range(len(histories))]
    starts = np.cumsum([0, *map(len, histories)])
    return Sequences(user_ids, items, np.zeros(len(items), dtype=np.int64), starts, none(len(histories)))


def none(users: int) -> np.ndarray:
    return np.zeros((users, 0), dtype=np.int64)


def cases_of(histories: list[list[int]], labels: list[int]) -> Cases:
    length = max(map(len, histories))
    mask = np.array([[False] * (length - len(h)) + [True] * len(h) for h in histories])
    rows = np.array([[0] * (length - len(h)) + h for h in histories])
    return Cases(rows, mask, none(len(histories)), np.array(labels)[:, None], np.zeros_like(rows))


# Users of two groups: items 0 to 2 go together, and 3 to 5. The last user is not learned from.
TWO_GROUPS = sequences_of([[0, 1], [1, 2], [2, 0], [3, 4], [4, 5], [5, 3, 3], [0, 3, 0, 3, 0, 3]])
LEARNED = np.arange(6)


@pytest.fixture(scope="module")
def two_groups() -> Wals:
    return Wals(TWO_GROUPS, LEARNED, 6, WalsSettings(alpha=10, regularisation=0.1))


def test_confidence_counts_repeats_and_what_is_learned_from(two_groups: Wals) -> None:
    found = two_groups.confidence(np.array([1, 0, 1, 1]), np.array([3, 5, 3, 4]), 2)
    assert found.toarray().tolist() == [[0, 0, 0, 0, 0, 11], [0, 0, 0, 21, 11, 0]]


def test_a_user_is_folded_in_by_the_formula_of_the_paper(two_groups: Wals) -> None:
    # x = (Y' C Y + lambda I)^-1 Y' C p, with c = 1 + 10 * count
    y = np.asarray(two_groups.model.item_factors, dtype=float)
    c = np.diag([11.0, 21, 1, 1, 1, 1])
    p = np.array([1.0, 1, 0, 0, 0, 0])
    x = np.linalg.solve(y.T @ c @ y + 0.1 * np.eye(y.shape[1]), y.T @ c @ p)
    found = two_groups.scores(cases_of([[1, 0, 1]], [2]))
    assert found[0] == pytest.approx(y @ x, abs=1e-4)


def test_padding_is_no_behaviour(two_groups: Wals) -> None:
    both = two_groups.scores(cases_of([[4], [0, 1, 2, 3, 4]], [5, 5]))
    assert both[0] == pytest.approx(two_groups.scores(cases_of([[4]], [5]))[0], abs=1e-6)


def test_a_user_gets_the_items_of_the_group(two_groups: Wals) -> None:
    cases = cases_of([[0, 1], [4, 5]], [2, 3])
    assert [set(top) for top in two_groups.top(cases, 3, unseen_only=False).tolist()] == [{0, 1, 2}, {3, 4, 5}]


def test_unseen_only_leaves_out_the_history_and_fills_up(two_groups: Wals) -> None:
    top = two_groups.top(cases_of([[0, 1], [4, 5]], [2, 3]), 5, unseen_only=True)
    assert top[:, 0].tolist() == [2, 3]
    assert sorted(top[0].tolist()) == [-1, 2, 3, 4, 5]
    assert top[:, -1].tolist() == [-1, -1]


def test_where_there_are_fewer_items_than_asked_for(two_groups: Wals) -> None:
    top = two_groups.top(cases_of([[0, 1]], [2]), 8, unseen_only=False)
    assert sorted(top[0].tolist()) == [-1, -1, 0, 1, 2, 3, 4, 5]
    assert two_groups.top(cases_of([[0]], [1]).take(slice(0)), 8, unseen_only=False).shape == (0, 8)


def test_only_the_given_users_are_learned_from(two_groups: Wals) -> None:
    without = Wals(sequences_of([[0, 1], [1, 2], [2, 0], [3, 4], [4, 5], [5, 3, 3], [1, 5]]), LEARNED, 6, SETTINGS)
    assert np.array_equal(without.model.item_factors, two_groups.model.item_factors)


SETTINGS = WalsSettings(alpha=10, regularisation=0.1)


def test_tuning_keeps_the_settings_with_the_best_recall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wals, "ALPHAS", (1.0, 10.0))
    monkeypatch.setattr(wals, "REGULARISATIONS", (0.1, 1.0))
    recalls = {(1.0, 0.1): 0.2, (1.0, 1.0): 0.4, (10.0, 0.1): 0.4, (10.0, 1.0): 0.3}
    monkeypatch.setattr(
        wals, "tuning_recall", lambda one, cases: recalls[one.settings.alpha, one.settings.regularisation]
    )
    tuned = tune_wals(TWO_GROUPS, LEARNED, 6, cases_of([[0]], [1]), progress=False)
    assert tuned.settings == WalsSettings(1.0, 1.0)  # of the two best the first


def test_recall_looks_at_the_top_50(two_groups: Wals) -> None:
    assert tuning_recall(two_groups, cases_of([[0, 1]], [2])) == 1  # 6 items: all are among them


def test_without_validation_cases_nothing_is_tuned() -> None:
    nobody = cases_of([[0]], [1]).take(slice(0))
    assert tune_wals(TWO_GROUPS, LEARNED, 6, nobody, progress=False).settings == WalsSettings()
