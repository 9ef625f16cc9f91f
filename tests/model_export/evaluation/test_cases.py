"""What rankers are asked: where each protocol cuts, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from model_export.data.dataset import LaterBehaviours, Sequences, positions_of, user_blocks
from model_export.evaluation.cases import Cases, chronological_cases, comirec_cases, next_item_cases


def sequences_of(*histories: list[int]) -> Sequences:
    """Users a, b, c ... with these behaviours; user u's profile row is u."""
    items = np.array([item for history in histories for item in history], dtype=np.int64)
    starts = np.cumsum([0, *map(len, histories)])
    users = [chr(ord("a") + user) for user in range(len(histories))]
    return Sequences(users, items, np.arange(len(items)), starts, np.arange(len(users))[:, None])


def rows_of(cases: Cases) -> list[tuple[list[int], list[int]]]:
    """The real behaviours and the real labels of each case."""
    return [
        (history[mask].tolist(), labels[labels >= 0].tolist())
        for history, mask, labels in zip(cases.history, cases.mask, cases.labels, strict=True)
    ]


def test_positions_of_some_users() -> None:
    positions, owners = positions_of(sequences_of([5, 6], [], [7, 8, 9], [4]), np.array([2, 1, 0]))
    assert positions.tolist() == [2, 3, 4, 0, 1]
    assert owners.tolist() == [2, 2, 2, 0, 0]


def test_users_in_blocks_by_hand() -> None:
    sequences = sequences_of([5, 6], [], [7, 8, 9], [4], [1, 2, 3, 4, 5, 6], [7])

    def blocks(most: int) -> list[list[int]]:
        return [some.tolist() for some in user_blocks(sequences, np.arange(6), most)]

    assert blocks(5) == [[0, 1, 2], [3], [4], [5]]  # 5, 1, 6 (more than 5, and alone) and 1 behaviours
    assert blocks(100) == [[0, 1, 2, 3, 4, 5]]
    assert blocks(1) == [[0], [1], [2], [3], [4], [5]]
    assert list(user_blocks(sequences, np.array([], dtype=np.int64))) == []


def test_behaviours_that_follow_another_by_hand() -> None:
    sequences = sequences_of([5, 6], [], [7, 8, 9], [4], [1, 2])
    later = LaterBehaviours(sequences, np.array([4, 0, 1, 3, 2]))
    assert len(later) == 4
    positions, owners = later.at(np.arange(4))
    assert positions.tolist() == [7, 1, 3, 4]  # of [5, 6, 7, 8, 9, 4, 1, 2]: the second 2, 6, 8 and 9
    assert owners.tolist() == [4, 0, 2, 2]
    assert [part.tolist() for part in later.at(np.array([3, 0]))] == [[4, 7], [2, 4]]
    assert np.concatenate(list(later.blocks())).tolist() == [7, 1, 3, 4]
    assert len(LaterBehaviours(sequences, np.array([1, 3]))) == len(LaterBehaviours(sequences, np.zeros(0, int))) == 0


def test_cases_are_drawn_before_they_are_made_as_they_would_be_after() -> None:
    sequences = sequences_of(*([number] * (1 + number % 7) for number in range(60)))
    users = np.arange(60)
    some, drawn = comirec_cases(sequences, users, 3, most=9, seed=4), comirec_cases(sequences, users, 3).sample(9, 4)
    assert len(some) == 9
    assert rows_of(some) == rows_of(drawn)
    assert some.profiles.tolist() == drawn.profiles.tolist()
    past, future = sequences_of(*([1] * 2 for _ in range(20))), sequences_of(*([number] for number in range(20)))
    some, drawn = chronological_cases(past, future, 3, 6, 4), chronological_cases(past, future, 3).sample(6, 4)
    assert len(some) == 6
    assert rows_of(some) == rows_of(drawn)


def test_next_item_cases_by_hand() -> None:
    sequences = sequences_of([0, 2, 1], [1, 0], [2])
    cases = next_item_cases(sequences, np.array([0, 1, 2]), length=2, most=10, seed=1)
    assert sorted(rows_of(cases)) == [([0], [2]), ([0, 2], [1]), ([1], [0])]
    assert sorted(cases.profiles[:, 0].tolist()) == [0, 0, 1]
    assert len(next_item_cases(sequences, np.array([1]), length=2, most=10, seed=1)) == 1
    assert len(next_item_cases(sequences, np.array([0, 1]), length=2, most=2, seed=1)) == 2
    assert len(next_item_cases(sequences, np.array([], dtype=np.int64), length=2, most=2, seed=1)) == 0


def test_comirec_cases_by_hand() -> None:
    five, four, nine = [10, 11, 12, 13, 14], [1, 2, 3, 4], [*range(20, 29)]
    ten = [*range(30, 38), 39, 39]
    cases = comirec_cases(sequences_of(five, four, nine, ten), np.array([0, 1, 2, 3]), length=5)
    assert cases.history.tolist() == [
        [0, 10, 11, 12, 13],
        [0, 0, 1, 2, 3],
        [22, 23, 24, 25, 26],
        [33, 34, 35, 36, 37],
    ]
    assert cases.mask.tolist() == [[False] + [True] * 4, [False] * 2 + [True] * 3, [True] * 5, [True] * 5]
    assert cases.labels.tolist() == [[14, -1], [4, -1], [27, 28], [39, 39]]  # every behaviour, repeats too
    assert cases.profiles.tolist() == [[0], [1], [2], [3]]


def test_comirec_leaves_out_who_has_nothing_to_ask() -> None:
    cases = comirec_cases(sequences_of([5], [], [6, 7], [8, 9]), np.array([0, 1, 2]))
    assert rows_of(cases) == [([6], [7])]
    assert cases.history.shape == (1, 20)
    nobody = comirec_cases(sequences_of([5]), np.array([0]))
    assert (len(nobody), nobody.history.shape) == (0, (0, 20))


@pytest.mark.parametrize("number", range(2, 101))
def test_comirec_cuts_where_the_published_code_does(number: int) -> None:
    [(history, labels)] = rows_of(comirec_cases(sequences_of([*range(number)]), np.array([0]), length=200))
    cut = int(number * 0.8)
    assert (history, labels) == ([*range(cut)], [*range(cut, number)])


def test_chronological_cases_by_hand() -> None:
    past = replace(sequences_of([1, 2, 3], [], [4], [5, 6]), user_ids=[*"abcd"])
    future = replace(sequences_of([7], [], [8, 8, 9], [9]), user_ids=[*"bcde"])
    # a: nothing after; b: nothing before; c: nothing known after; e: new. Only d is on both sides.
    cases = chronological_cases(past, future, length=3)
    assert rows_of(cases) == [([5, 6], [8, 8, 9])]
    assert cases.profiles.tolist() == [[3]]
    assert rows_of(chronological_cases(past, future, length=1)) == [([6], [8, 8, 9])]


def test_a_sample_and_batches_keep_cases_whole_and_in_order() -> None:
    cases = comirec_cases(sequences_of(*([user, 100 + user] for user in range(20))), np.arange(20), length=1)
    drawn = cases.sample(8, seed=1)
    histories = drawn.history[:, 0].tolist()
    assert histories == sorted(set(histories))
    assert len(histories) == 8
    assert (drawn.labels[:, 0] == drawn.history[:, 0] + 100).all()
    assert (drawn.profiles[:, 0] == drawn.history[:, 0]).all()
    assert histories != cases.sample(8, seed=2).history[:, 0].tolist()
    assert len(cases.sample(50, seed=1)) == 20
    batches = list(cases.batches(8))
    assert [len(batch) for batch in batches] == [8, 8, 4]
    assert np.concatenate([batch.labels for batch in batches]).tolist() == cases.labels.tolist()
