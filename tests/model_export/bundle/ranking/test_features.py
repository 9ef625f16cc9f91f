"""The features of candidates: a small world by hand, and any world against NumPy, feature by feature."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model_export.bundle.ranking.features import (
    FEATURES,
    HELD_OUT_FEATURES,
    NEVER,
    FeatureTables,
    compute_features,
    trend_of,
)

HOUR_MS = 3_600_000
# Four items: 0 and 1 of category 0, 2 of category 1, 3 of none and without a price.
TABLES = FeatureTables(
    popularity=np.array([0, 1, 9, 99]),
    trend=np.array([0.5, -0.5, 0, 1], dtype=np.float32),
    category=np.array([0, 0, 1, -1], dtype=np.int32),
    price=np.array([1.0, np.e, np.e**3, np.nan]),
    neighbours=np.array([[1, 2], [0, -1], [2, 3], [-1, -1]], dtype=np.int32),
    similarity=np.array([[0.8, 0.4], [0.8, 0], [0.5, 0.25], [0, 0]], dtype=np.float32),
)
VECTORS = np.array([[1, 0], [0, 1], [1, 1], [-1, -2]], dtype=np.float32)
CAPSULES, IMPORTANCE = np.array([[1, 0], [0, 2]], dtype=np.float32), np.array([0.25, 0.75], dtype=np.float32)
HISTORY, TIMES_MS, ASKED_MS = np.array([0, 1, 0]), np.array([0, HOUR_MS, 2 * HOUR_MS]), 5 * HOUR_MS
BONUS = np.array([0, 0.5, 0, 0.25], dtype=np.float32)
# feature -> of the items 0, 1, 2 and 3
BY_HAND = {
    "max_sim": [1, 2, 2, -1],
    "capsule_importance": [0.25, 0.75, 0.75, 0.25],
    "capsule_rank": [1, 0, 0, 1],
    "second_max_sim": [0, 0, 1, -4],
    "matching": [1, 2.5, 2, -0.75],
    "log_popularity": np.log([1, 2, 10, 100]),
    "trend": [0.5, -0.5, 0, 1],
    "times_in_history": np.log([3, 2, 1, 1]),
    "hours_since_taken": [np.log(4), np.log(5), NEVER, NEVER],
    "neighbour_last": [0, 0.8**0.5, 0.4**0.5, 0],
    "neighbour_recent": [0.8, (0.8 + 0.8 * 0.64) ** 0.5, (0.4 + 0.4 * 0.64) ** 0.5, 0],
    "category_share": [1, 1, 0, 0],
    "category_last": [1, 1, 0, 0],
    "price_gap": [1 / 3, 2 / 3, 3 - 1 / 3, 0],
    "price_known": [1, 1, 1, 0],
}


def of_world(rows: np.ndarray, tables: FeatureTables = TABLES, vectors: np.ndarray = VECTORS) -> np.ndarray:
    """The features of the small world's candidates; a row beyond the bonus gets none."""
    bonus = np.array([BONUS[row] if row < len(BONUS) else 0 for row in rows], dtype=np.float32)
    return compute_features(tables, vectors, CAPSULES, IMPORTANCE, HISTORY, TIMES_MS, ASKED_MS, rows, bonus)


def column(found: np.ndarray, name: str) -> list[float]:
    numbers: list[float] = found[:, FEATURES.index(name)].tolist()
    return numbers


@pytest.mark.parametrize("name", FEATURES)
def test_each_feature_by_hand(name: str) -> None:
    found = of_world(np.arange(4))
    assert found.dtype == np.float32
    assert found.shape == (4, len(FEATURES))
    assert column(found, name) == pytest.approx(BY_HAND[name], abs=1e-6)


def test_every_feature_has_a_line_here_and_some_are_held_out() -> None:
    assert tuple(BY_HAND) == FEATURES
    assert set(HELD_OUT_FEATURES) < set(FEATURES)


def test_a_candidate_does_not_depend_on_the_others_nor_on_their_order() -> None:
    rows = np.array([3, 1, 1, 0, 2, 1])
    together = of_world(rows)
    alone = np.concatenate([of_world(rows[place : place + 1]) for place in range(len(rows))])
    assert together.tobytes() == alone.tobytes()


def test_items_behind_the_tables_are_unknown() -> None:
    """A new item has a vector and no more."""
    newer = of_world(np.array([4, 1]), vectors=np.concatenate([VECTORS, [[3, 0]]]))
    known = dict(zip(FEATURES, newer[0].tolist(), strict=True))
    assert {name for name, value in known.items() if value} == {
        *("max_sim", "capsule_importance", "capsule_rank", "matching", "hours_since_taken")
    }
    assert newer[1].tobytes() == of_world(np.array([1])).tobytes()


def test_nobody_and_nothing() -> None:
    """Without interests, behaviours or neighbours what is left of the features is the items'."""
    none = np.empty(0, dtype=np.int64)
    tables = replace(TABLES, neighbours=None, similarity=None)
    nobody = compute_features(tables, VECTORS, CAPSULES[:0], IMPORTANCE[:0], none, none, 0, np.arange(4), BONUS * 0)
    left = {"log_popularity", "trend", "hours_since_taken", "price_known"}
    assert {name for name in FEATURES if any(column(nobody, name))} == left
    assert of_world(none).shape == (0, len(FEATURES))


def test_one_capsule_is_the_largest_and_the_second() -> None:
    one = compute_features(
        TABLES, VECTORS, CAPSULES[1:], IMPORTANCE[1:], HISTORY, TIMES_MS, ASKED_MS, np.arange(4), BONUS
    )
    assert column(one, "max_sim") == column(one, "second_max_sim") == [0, 2, 2, -4]
    assert column(one, "capsule_rank") == [0] * 4


def test_times_must_fit_the_history() -> None:
    with pytest.raises(ValueError, match="3 behaviours and 2 times; right is one for each"):
        compute_features(TABLES, VECTORS, CAPSULES, IMPORTANCE, HISTORY, TIMES_MS[:2], ASKED_MS, np.arange(4), BONUS)


def test_trends_by_hand() -> None:
    """Of 100 interactions 10 are recent: item 0 with half of all expects 5 of them and has 10, item 2 has no more."""
    trend = trend_of(np.array([10, 0, 0]), np.array([50, 50, 0]))
    assert trend.tolist() == pytest.approx([np.log(15 / 10), np.log(5 / 10), 0])
    assert trend_of(np.zeros(2), np.zeros(2)).tolist() == [0, 0]


def oracle(tables: FeatureTables, user: dict[str, np.ndarray], asked_ms: int, row: int, bonus: float) -> list[float]:
    """The features of one candidate, by NumPy and plain loops."""
    products = np.sort(user["capsules"].astype(np.float64) @ user["vectors"][row])[::-1]
    best = int((user["capsules"].astype(np.float64) @ user["vectors"][row]).argmax())
    history, times_ms = user["history"], user["times_ms"]
    rank = sorted(range(len(products)), key=lambda one: (-user["importance"][one], one)).index(best)
    taken = [at for at, one in enumerate(history) if one == row]
    hours = [np.log1p((asked_ms - times_ms[at]) / HOUR_MS) for at in taken]
    assert tables.neighbours is not None
    assert tables.similarity is not None
    near = [
        sum(tables.similarity[one][tables.neighbours[one] == row]) * 0.8**age
        for age, one in enumerate(history[::-1][:5])
    ]
    same = [tables.category[one] == tables.category[row] and tables.category[row] >= 0 for one in history]
    prices = [np.log(price) for price in tables.price[history] if price > 0]
    is_known = tables.price[row] > 0
    return [
        *(products[0], user["importance"][best], rank, products[min(1, len(products) - 1)], products[0] + bonus),
        *(np.log1p(tables.popularity[row]), tables.trend[row], np.log1p(len(taken)), min([NEVER, *hours])),
        *(near[0] ** 0.5, sum(near) ** 0.5, np.mean(same), float(same[-1])),
        *(abs(np.log(tables.price[row]) - np.mean(prices)) if is_known and prices else 0, float(is_known)),
    ]


@pytest.mark.parametrize("seed", range(5))
def test_any_world_as_numpy_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items, near, interests, behaviours = 60, 7, rng.integers(1, 6), rng.integers(1, 40)
    neighbours = np.stack([rng.permutation(items)[:near] for _ in range(items)]).astype(np.int32)
    ends = rng.integers(0, near + 1, size=items)
    is_behind = np.arange(near) >= ends[:, None]
    tables = FeatureTables(
        popularity=rng.integers(0, 500, size=items),
        trend=rng.normal(size=items).astype(np.float32),
        category=rng.integers(-1, 4, size=items).astype(np.int32),
        price=np.where(rng.random(items) < 0.3, rng.choice([np.nan, 0.0], size=items), rng.lognormal(size=items)),
        neighbours=np.where(is_behind, -1, neighbours).astype(np.int32),
        similarity=np.where(is_behind, 0, rng.random((items, near))).astype(np.float32),
    )
    user: dict[str, Any] = {
        "vectors": rng.normal(size=(items, 8)).astype(np.float32),
        "capsules": rng.normal(size=(interests, 8)).astype(np.float32),
        "importance": rng.choice([0.1, 0.2, 0.3], size=interests).astype(np.float32),
        "history": rng.integers(0, items // 2, size=behaviours),
        "times_ms": np.sort(rng.integers(0, 30 * 365 * 24 * HOUR_MS, size=behaviours)),
    }
    asked_ms, rows = int(user["times_ms"][-1]) + HOUR_MS, rng.integers(0, items, size=50)
    bonus = rng.random(50).astype(np.float32)
    found = compute_features(
        tables,
        user["vectors"],
        user["capsules"],
        user["importance"],
        user["history"],
        user["times_ms"],
        asked_ms,
        rows,
        bonus,
    )
    right = [oracle(tables, user, asked_ms, row, one) for row, one in zip(rows.tolist(), bonus.tolist(), strict=True)]
    for place, name in enumerate(FEATURES):
        assert found[:, place].tolist() == pytest.approx([one[place] for one in right], abs=1e-5), name
