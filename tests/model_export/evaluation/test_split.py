"""Who is held out: by a hash of the user's id, or as the log's publisher says."""

import pytest

from model_export.evaluation.split import split_users

# Of user-0 to user-39, with 20 % for test and 10 % for validation. A user must never change sides: the next model
# would be tested on users that it was trained on.
TEST_USERS = [f"user-{number}" for number in (0, 8, 10, 15, 16, 19, 25, 27)]
VALIDATION_USERS = [f"user-{number}" for number in (2, 6, 7, 39)]


def test_a_user_stays_on_the_same_side() -> None:
    users = [f"user-{number}" for number in range(40)]
    split = split_users(users, 0.1, 0.2)
    assert [users[place] for place in split.test] == TEST_USERS
    assert [users[place] for place in split.valid] == VALIDATION_USERS
    assert sorted([*split.train, *split.valid, *split.test]) == list(range(40))
    fewer = users[::-3]
    again = split_users(fewer, 0.1, 0.2)
    assert {fewer[place] for place in again.test} == set(TEST_USERS) & set(fewer)


def test_the_split_has_the_shares_asked_for() -> None:
    split = split_users([f"u{number}" for number in range(20_000)], 0.1, 0.3)
    assert [len(side) / 20_000 for side in (split.train, split.valid, split.test)] == pytest.approx(
        [0.6, 0.1, 0.3], abs=0.01
    )
    everyone = split_users(["a", "b"], 0, 0)
    assert [len(side) for side in (everyone.train, everyone.valid, everyone.test)] == [2, 0, 0]


def test_the_publishers_split_decides_where_there_is_one() -> None:
    sides = {"a": "test", "b": "train", "c": "valid", "d": "test", "not in the log": "train"}
    split = split_users(["a", "b", "c", "d"], 0.0, 1.0, sides)
    assert [side.tolist() for side in (split.train, split.valid, split.test)] == [[1], [2], [0, 3]]


@pytest.mark.parametrize(("sides", "side"), [({"a": "train"}, "None"), ({"a": "train", "b": "dev"}, "'dev'")])
def test_a_user_without_a_side_is_named(sides: dict[str, str], side: str) -> None:
    with pytest.raises(ValueError, match=rf"user 'b' on side {side}; expected one of: train, valid, test"):
        split_users(["a", "b"], 0.1, 0.1, sides)
