"""Popularity and trend as of a moment: by hand, and blind to what comes later."""

import numpy as np

from model_export.data.dataset import Sequences
from model_export.ranking.as_of import BUCKETS, AsOf

DAY = 86_400_000
USERS = np.arange(2)


def _log(items: list[int], times: list[int]) -> Sequences:
    """Make two users of the first and the second half of the behaviours."""
    half = len(items) // 2
    return Sequences(
        ["a", "b"],
        np.array(items, dtype=np.int32),
        np.array(times, dtype=np.int64),
        np.array([0, half, len(items)]),
        np.zeros((2, 0), dtype=np.int64),
    )


def test_counts_are_those_before_the_bucket() -> None:
    """One behaviour a day over 64 days: at the 10th day nine are over."""
    days = list(range(BUCKETS))
    as_of = AsOf(_log([0] * 32 + [1] * 32, [day * DAY for day in days]), USERS, 2)
    [(numbers, counts, _)] = as_of.by_bucket(np.array([9 * DAY]))
    assert numbers.tolist() == [0]
    assert counts.tolist() == [9, 0]
    assert as_of.at(BUCKETS)[0].tolist() == [32, 32]


def test_trend_is_of_the_last_four_buckets() -> None:
    """Ten late behaviours with item 1 among twenty: log(15 / 10) and log(5 / 10) by hand."""
    times = [bucket * DAY for bucket in np.linspace(0, 40, 10).astype(int)]
    late = [(BUCKETS - 1 - place % 4) * DAY for place in range(10)]
    as_of = AsOf(_log([0] * 10 + [1] * 10, times + sorted(late)), USERS, 2)
    counts, trend = as_of.at(BUCKETS)
    assert counts.tolist() == [10, 10]
    np.testing.assert_allclose(trend, np.log([5 / 10, 15 / 10]), rtol=1e-6)


def test_shuffling_the_future_changes_nothing() -> None:
    """Items of behaviours from the moment on are drawn anew; counts and trends as of it stay."""
    rng = np.random.default_rng(7)
    times = np.sort(rng.integers(0, 100 * DAY, 400))
    items, asked = rng.integers(0, 9, 400), np.array([int(times[200])])
    later = np.where(times >= asked[0], rng.integers(0, 9, 400), items)
    [before], [after] = (
        list(AsOf(_log(some.tolist(), times.tolist()), USERS, 9).by_bucket(asked)) for some in (items, later)
    )
    assert (items != later).any()
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_log_without_times_counts_the_training_users() -> None:
    """The second user is held out and does not count."""
    as_of = AsOf(_log([0, 0, 1, 1], [0] * 4), np.array([0]), 2)
    counts, trend = as_of.at(0)
    assert counts.tolist() == [2, 0]
    assert trend.tolist() == [0, 0]
