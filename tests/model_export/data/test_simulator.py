"""The simulated shop: reproducible, and its planted interests are what the behaviours show."""

import time

import numpy as np
import pandas as pd
import pytest

from model_export.data.interactions import EVENT_COLUMNS
from model_export.data.simulator import END_MS, SimulatedShop, simulate

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def shop() -> SimulatedShop:
    return simulate()


@pytest.fixture(scope="module")
def seen(shop: SimulatedShop) -> pd.DataFrame:
    """Events with their item's category and whether that is one of the user's interests."""
    events = shop.log.events.merge(shop.log.items, on="item_id", how="left", validate="many_to_one")
    planted = [c in shop.interests[u] for u, c in zip(events.user_id, events.category, strict=True)]
    return events.assign(planted=planted)


def test_the_same_seed_gives_the_same_shop(shop: SimulatedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    again = simulate(2000, 7)
    assert again.interests == shop.interests
    for part in ("events", "items", "profiles"):
        pd.testing.assert_frame_equal(getattr(again.log, part), getattr(shop.log, part))
    assert simulate(20, seed=8).interests != simulate(20, seed=9).interests


def test_the_log_is_well_formed(shop: SimulatedShop) -> None:
    log = shop.log
    assert list(log.events) == EVENT_COLUMNS
    assert log.events.event_time_ms.dtype == "int64"
    assert log.events.event_time_ms.is_monotonic_increasing
    assert log.events.event_time_ms.min() >= END_MS - 30 * DAY_MS
    assert END_MS - DAY_MS < log.events.event_time_ms.max() < END_MS
    assert set(log.events.item_id) == set(log.items.item_id)
    assert log.items.item_id.is_monotonic_increasing
    assert log.profiles.user_id.tolist() == sorted(set(log.events.user_id)) == sorted(shop.interests)
    assert list(log.profiles) == ["user_id", "region", "age"]
    assert not (log.profiles == "").any(axis=None)
    shares = log.events.event_type.value_counts(normalize=True)
    assert list(shares.index) == ["click", "cart", "buy"]
    assert shares["click"] > 0.8
    assert shares["buy"] > 0.02


def test_products_have_distinct_names_and_believable_prices(shop: SimulatedShop) -> None:
    items = shop.log.items
    assert len(items) == items.item_id.nunique() == items.title.str.lower().nunique() == 600
    assert items.category.value_counts().tolist() == [25] * 24
    assert items.price.between(2, 500).all()
    middle = items.groupby("category").price.median()
    assert middle["Furniture"] > middle["Lighting"] > middle["Candles"] > middle["Stationery"]


def test_every_user_has_two_to_four_interests_and_a_history_for_several_capsules(shop: SimulatedShop) -> None:
    counts = pd.Series([len(planted) for planted in shop.interests.values()])
    assert sorted(counts.unique()) == [2, 3, 4]
    assert all(len(set(planted)) == len(planted) for planted in shop.interests.values())
    lengths = shop.log.events.groupby("user_id").size()
    assert lengths.min() == 20
    assert lengths.max() == 80


def test_interests_are_what_the_behaviours_show(shop: SimulatedShop, seen: pd.DataFrame) -> None:
    assert 0.93 < seen.planted.mean() < 0.98  # the rest is noise, some of which falls into an interest
    assert seen.groupby("user_id").planted.mean().min() > 0.6
    shown = seen.groupby("user_id").category.agg(set)
    assert all(set(planted) <= shown[user] for user, planted in shop.interests.items())
    ranked = seen.groupby(["user_id", "category"]).size().groupby("user_id")
    most = {
        str(user): {category for _, category in counts.nlargest(len(shop.interests[str(user)])).index}
        for user, counts in ranked
    }
    assert np.mean([most[user] == set(planted) for user, planted in shop.interests.items()]) > 0.9


def planted_share(shop: SimulatedShop) -> float:
    """Share of events whose category is one of the user's interests."""
    category = shop.log.items.set_index("item_id").category
    pairs = zip(shop.log.events.user_id, category[shop.log.events.item_id].array, strict=True)
    return float(np.mean([of in shop.interests[user] for user, of in pairs]))


def test_noise_has_the_share_asked_for() -> None:
    assert planted_share(simulate(users=50, noise=0.0)) == 1.0
    # About an eighth of the noise falls into an interest.
    assert 0.6 < planted_share(simulate(users=300, noise=0.4)) < 0.7


def test_visits_are_short_and_to_one_interest() -> None:
    shop = simulate(users=100, noise=0.0)
    category = shop.log.items.set_index("item_id").category
    for _, history in shop.log.events.groupby("user_id"):
        of = category[history.item_id].to_numpy()
        pause = np.diff(history.event_time_ms) >= 120_000
        changes = of[1:] != of[:-1]
        assert not (changes & ~pause).any()
        visits = np.split(history.item_id.to_numpy(), np.flatnonzero(changes) + 1)
        assert max(map(len, visits)) <= 6
        assert all(len(set(visit)) == len(visit) for visit in visits)


def test_popularity_within_a_category_is_like_zipf(seen: pd.DataFrame) -> None:
    counts = seen[seen.planted].groupby(["category", "item_id"]).size()
    for _, products in counts.groupby("category"):
        ranked = np.sort(products)[::-1]
        slope = np.polyfit(np.log(np.arange(1, 26)), np.log(ranked), 1)[0]
        assert -1.1 < slope < -0.6  # flatter than -1, since no product comes twice in a visit
        assert ranked[0] > 4 * np.median(ranked)


def test_profiles_do_not_tell_the_interests(shop: SimulatedShop, seen: pd.DataFrame) -> None:
    by_region = pd.crosstab(
        seen.category, seen.user_id.map(shop.log.profiles.set_index("user_id").region), normalize="columns"
    )
    assert (by_region.max(axis=1) - by_region.min(axis=1)).max() < 0.05


@pytest.mark.parametrize("users", [1, 9])
def test_few_users(users: int) -> None:
    shop = simulate(users)
    assert len(shop.interests) == len(shop.log.profiles) == users
    assert set(shop.log.events.item_id) == set(shop.log.items.item_id)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"users": 0}, "users is 0; expected at least 1"),
        ({"noise": 0.6}, "noise is 0.6; expected a share from 0 to 0.5"),
        ({"noise": -0.1}, "noise is -0.1"),
    ],
)
def test_impossible_shops(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate(**arguments)  # type: ignore[arg-type]


def test_two_thousand_users_take_less_than_two_seconds() -> None:
    simulate(10)
    start = time.process_time()  # a busy machine takes longer, and computes no more
    simulate(2000)
    assert time.process_time() - start < 2
