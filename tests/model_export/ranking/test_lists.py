"""Training lists: the target first, negatives that matching brought, none of them taken; labels by task."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from model_export.data.impressions import ShownItems
from model_export.evaluation.cases import Cases
from model_export.ranking.lists import ListSettings, labels_of, sampled_negatives

ITEMS = 50


def _cases(labels: list[list[int]], types: list[list[int]] | None = None) -> Cases:
    """Make cases of empty histories with these labels."""
    number = len(labels)
    return Cases(
        history=np.zeros((number, 1), dtype=np.int64),
        mask=np.zeros((number, 1), dtype=bool),
        profiles=np.zeros((number, 0), dtype=np.int64),
        labels=np.array(labels),
        times=np.zeros((number, 1), dtype=np.int64),
        label_types=np.array(types if types is not None else np.zeros_like(labels)),
    )


def test_the_target_comes_first_and_is_no_negative() -> None:
    """What was brought is 0 to 9 for everybody; the second target was not."""
    best = np.tile(np.arange(10), (2, 1))
    settings = ListSettings(brought=10, negatives=6, at_random=0)
    found = sampled_negatives(_cases([[3], [42]]), ITEMS, settings, np.random.default_rng(7))(slice(0, 2), best)
    assert found.shape == (2, 7)
    assert found[:, 0].tolist() == [3, 42]
    for target, *negatives in found.tolist():
        assert len(set(negatives)) == 6
        assert set(negatives) <= set(range(10)) - {target}


def test_some_are_drawn_at_random_and_none_twice() -> None:
    """Half of the negatives are any items, and what is drawn twice leaves a place free."""
    best = np.tile(np.arange(4), (200, 1))
    settings = ListSettings(brought=4, negatives=4, at_random=0.5)
    found = sampled_negatives(_cases([[0]] * 200), 8, settings, np.random.default_rng(7))(slice(0, 200), best)
    for row in found.tolist():
        kept = [item for item in row if item >= 0]
        assert len(set(kept)) == len(kept)
    assert set(found[:, 3:].flatten().tolist()) == {-1, *range(1, 8)}


class _Shown:
    """What users 0 and 1 were shown last; whoever is asked and when."""

    ROWS = ((7, 3, 7, 40), (41, -1, -1, -1))

    def before(self, users: np.ndarray, asked_ms: np.ndarray, most: int) -> np.ndarray:
        """As `ShownItems.before`."""
        return np.array([self.ROWS[user] for user in users.tolist()])[:, :most]


def test_what_was_shown_comes_before_what_was_brought() -> None:
    """User 0 took 3 and was shown 7 twice and 40; user 1 took 42 and was shown 41: the rest is brought."""
    best = np.tile(np.arange(10), (2, 1))
    cases = replace(_cases([[3], [42]]), users=np.arange(2))
    settings = ListSettings(brought=10, negatives=4, at_random=0)
    shown = cast(ShownItems, _Shown())
    found = sampled_negatives(cases, ITEMS, settings, np.random.default_rng(7), shown)(slice(0, 2), best)
    negatives = [[item for item in row if item >= 0][1:] for row in found.tolist()]
    assert found[:, 0].tolist() == [3, 42]
    assert negatives[0][:2] == [7, 40]
    assert negatives[1][:1] == [41]
    brought = [negatives[0][2:], negatives[1][1:]]
    assert [len(rows) for rows in brought] in ([1, 3], [2, 3])  # item 3 or 7 may be drawn, which stands there already
    assert set(brought[0] + brought[1]) <= set(range(10))


def test_labels_by_task() -> None:
    """Two types that are tasks 0 and 1, a third that is none; item 5 was taken in both ways."""
    cases = _cases([[5, 5, 7, -1]], [[1, 2, 3, 0]])
    found = labels_of(np.array([[5, 7, 9, -1]]), cases, np.array([0, 0, 1, -1]))
    assert found.tolist() == [[[1, 1], [0, 0], [0, 0], [0, 0]]]


def test_settings_that_cannot_be_say_so() -> None:
    """The value, and what would be right."""
    with pytest.raises(ValueError, match="brought is 3; it must be at least the negatives, 40"):
        ListSettings(brought=3)
