"""What callers may ask for: filters, blocked items, quotas, categories, near-duplicates; and what is not right."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from index.catalogue.catalogue import Catalogue
from index.recommend.filters import Filters
from index.recommend.recommender import Candidates, Recommender
from index.recommend.request import Request
from index.recommend.selection import choose_greedily, select_candidates
from index.search.maxsim import Hits
from model_export.bundle.bundle import Bundle
from model_export.models.checkpoint import Checkpoint
from stream.store.lmdb_store import LmdbStore
from tests.support.index_world import state_of


@pytest.fixture(scope="module")
def recommender(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Over 600 items of the simulated shop; "ann" has four interests, "cold" only a profile that names a category."""
    copy = Bundle(shutil.copytree(bundle.path, tmp_path_factory.mktemp("request") / bundle.version))
    with LmdbStore(tmp_path_factory.mktemp("state")) as store:
        store.put_many([state_of(copy, "ann", copy.item_ids[3:300:20]), state_of(copy, "bob", copy.item_ids[5:25])])
        store.put_many([replace(state_of(copy, "cold", []), profile={"category": copy.catalogue.category[0]})])
        yield Recommender(copy, store)


def everything(recommender: Recommender, user_id: str = "ann") -> Candidates:
    return recommender.recommend(user_id, 600)


def categories(recommender: Recommender, found: Candidates) -> list[str]:
    bundle = recommender.bundle
    return [bundle.catalogue.category[bundle.rows[item_id]] for item_id in found.item_ids]


def test_a_filter_gives_the_best_of_those_that_match(recommender: Recommender) -> None:
    ranked = everything(recommender)
    names = categories(recommender, ranked)
    wanted = frozenset(sorted(set(names))[:2])
    right = [item_id for item_id, name in zip(ranked.item_ids, names, strict=True) if name in wanted]
    found = recommender.recommend("ann", 600, where={"category": wanted})
    assert found.item_ids == right
    assert 0 < len(right) < 600
    assert recommender.recommend("ann", 7, where={"category": wanted}).item_ids == right[:7]


def test_side_features_are_attributes_and_all_must_hold(recommender: Recommender, checkpoint: Checkpoint) -> None:
    bundle = recommender.bundle
    assert set(bundle.catalogue.attributes) == set(checkpoint.vocabulary.feature_fields)
    field, each = next((f, v) for f, v in bundle.catalogue.attributes.items() if f != "category")
    value, category = next((values[0], c) for values, c in zip(each, bundle.catalogue.category, strict=True) if values)
    right = {
        item_id
        for item_id, values, c in zip(bundle.item_ids, each, bundle.catalogue.category, strict=True)
        if value in values and c == category
    }
    where = {field: frozenset({value}), "category": frozenset({category})}
    assert set(recommender.recommend("ann", 600, where=where).item_ids) == right
    assert 0 < len(right) < 600
    assert set(recommender.recommend("nobody", 600, where=where).item_ids) == right


def test_the_attributes_of_a_bundle_are_those_of_the_log(checkpoint: Checkpoint, bundle: Bundle) -> None:
    vocabulary = checkpoint.vocabulary
    slices = vocabulary.feature_slices()
    for field, values in vocabulary.feature_fields.items():
        for row in range(0, 600, 37):
            told = [slices[field].start + values.index(value) for value in bundle.catalogue.attributes[field][row]]
            assert set(told) <= set(vocabulary.item_features[row].tolist())
    told_all = sum(len(row) for each in bundle.catalogue.attributes.values() for row in each)
    assert told_all == (vocabulary.item_features > 0).sum()


def test_blocked_items_do_not_come_back_until_they_are_unblocked(recommender: Recommender) -> None:
    before = everything(recommender).item_ids
    popular = recommender.recommend("nobody", 600).item_ids
    gone = {before[0], before[2], popular[0]}
    where = {"category": frozenset(recommender.bundle.catalogue.category)}
    recommender.filters.block([*gone, "no-such-item"])
    try:
        assert everything(recommender).item_ids == [item_id for item_id in before if item_id not in gone]
        assert gone.isdisjoint(recommender.recommend("ann", 600, where=where).item_ids)
        assert gone.isdisjoint(recommender.recommend("nobody", 600).item_ids)
        recommender.filters.unblock([before[0], "no-such-item"])
        assert recommender.recommend("ann", 1).item_ids == [before[0]]
    finally:
        recommender.filters.unblock(gone)
    assert everything(recommender).item_ids == before


def test_excluded_items_and_low_scores(recommender: Recommender) -> None:
    ranked = everything(recommender)
    out = frozenset(ranked.item_ids[1:4]) | {"no-such-item"}
    assert recommender.recommend("ann", 2, exclude=out).item_ids == [ranked.item_ids[0], ranked.item_ids[4]]
    enough = recommender.recommend("ann", 600, min_score=ranked.scores[40])
    assert enough.item_ids == ranked.item_ids[: len(enough.item_ids)]
    assert min(enough.scores) >= ranked.scores[40] > ranked.scores[len(enough.item_ids)]
    assert recommender.recommend("ann", 600, min_score=1e9).item_ids == []
    assert len(recommender.recommend("nobody", 5, min_score=1e9).item_ids) == 5  # popularity is no such score


def test_quotas_are_kept_and_filled(recommender: Recommender) -> None:
    ranked = everything(recommender)
    there_are = [ranked.capsule.count(k) for k in range(4)]
    found = recommender.recommend("ann", 600, quota=5)
    assert [found.capsule.count(k) for k in range(4)] == [min(5, number) for number in there_are]
    assert found.scores == sorted(found.scores, reverse=True)
    full = recommender.recommend("ann", 40, by_importance=True)
    shares = [interest.importance for interest in full.interests]
    assert all(full.capsule.count(k) <= np.ceil(40 * share + 1e-4) for k, share in enumerate(shares))
    assert len(full.item_ids) == min(
        40, sum(min(int(np.ceil(40 * s)), t) for s, t in zip(shares, there_are, strict=True))
    )


def test_diversity_brings_more_categories_at_a_cost_in_scores(recommender: Recommender) -> None:
    spread, total = [], []
    for diversity in (0.0, 0.3, 100.0):
        found = recommender.recommend("ann", 20, diversity=diversity)
        assert len(set(found.item_ids)) == 20
        spread.append(len(set(categories(recommender, found))))
        total.append(sum(found.scores))
    assert spread == sorted(spread)
    assert spread[2] > spread[0]
    assert total == sorted(total, reverse=True)
    assert found.item_ids == recommender.recommend("ann", 20, diversity=100.0).item_ids


def test_near_duplicates_are_left_out_and_replaced(recommender: Recommender) -> None:
    found = recommender.recommend("ann", 20, max_cosine=0.5)
    assert len(found.item_ids) == 20
    rows = [recommender.bundle.rows[item_id] for item_id in found.item_ids]
    vectors = recommender.bundle.item_embeddings[rows]
    cosines = vectors @ vectors.T / np.outer(*[np.linalg.norm(vectors, axis=1)] * 2)
    assert np.tril(cosines, -1).max() <= 0.5 + 1e-6
    plain = [recommender.bundle.rows[item_id] for item_id in recommender.recommend("ann", 20).item_ids]
    assert rows[0] == plain[0]
    assert rows != plain
    popular = recommender.recommend("nobody", 30, max_cosine=0.5)
    assert popular.item_ids != recommender.recommend("nobody", 30).item_ids


def test_many_users_get_what_each_would_get(recommender: Recommender) -> None:
    request = Request(12, exclude_seen=True, quota=4, diversity=0.1)
    users = ["ann", "nobody", "bob", "cold", "ann"]
    found = recommender.recommend_many(users, request)
    assert found == [recommender.recommend_many([user], request)[0] for user in users]
    assert [one.path for one in found] == ["capsules", "popular", "capsules", "popular in category", "capsules"]
    assert found[0] != found[2]


def test_a_cold_user_whose_profile_names_a_category(recommender: Recommender) -> None:
    named = recommender.bundle.catalogue.category[0]
    found, popular = recommender.recommend("cold", 600), recommender.recommend("nobody", 600)
    names = categories(recommender, found)
    first = names.count(named)
    assert names[:first] == [named] * first
    assert [i for i, c in zip(popular.item_ids, categories(recommender, popular), strict=True) if c == named] == (
        found.item_ids[:first]
    )
    assert set(found.item_ids) == set(popular.item_ids)
    assert (found.path, popular.path) == ("popular in category", "popular")
    asked = recommender.recommend("nobody", 3, where={"category": frozenset({named})})
    assert (asked.path, asked.item_ids) == ("popular in category", found.item_ids[:3])


Pool = tuple[Hits, np.ndarray, np.ndarray, int, float, int, float | None]


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    """Hits of up to 30 items, their vectors and categories, n, lambda, quota and the largest cosine."""
    size = draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    scores = np.sort(rng.integers(-5, 6, size=size))[::-1].astype(np.float32)
    hits = Hits(rng.permutation(size).astype(np.int64), scores, rng.integers(0, 3, size=size))
    quota = draw(st.integers(1, size))
    cosine = draw(st.one_of(st.none(), st.sampled_from([0.0, 0.5, 0.9])))
    items, category = rng.normal(size=(size, 2)).astype(np.float32), rng.integers(-1, 3, size=size)
    return hits, items, category, draw(st.integers(1, size)), draw(st.sampled_from([0.0, 0.5, 2.0])), quota, cosine


@given(pools())
@settings(max_examples=150, deadline=None)
def test_choosing_is_greedy_by_the_definition(pool: Pool) -> None:
    hits, items, category, n, diversity, quota, cosine = pool
    request = Request(n, quota=quota, diversity=diversity, max_cosine=cosine)
    vectors = items / np.linalg.norm(items, axis=1, keepdims=True)
    chosen: list[int] = []
    left = list(range(len(hits.rows)))

    def gain(place: int) -> float:
        mine = category[hits.rows[place]]
        others = [category[hits.rows[other]] for other in chosen]
        return float(hits.scores[place]) + diversity * sum(bool(mine < 0 or mine != other) for other in others)

    while left and len(chosen) < n:
        place = max(left, key=lambda one: (gain(one), -one))
        left.remove(place)
        near = any(vectors[hits.rows[place]] @ vectors[hits.rows[one]] > (cosine or 0.0) for one in chosen)
        full = sum(hits.capsule[one] == hits.capsule[place] for one in chosen) >= quota
        if not full and not (near and cosine is not None):
            chosen.append(place)
    found = choose_greedily(hits, request, items, category, np.full(3, 1 / 3))
    assert found.rows.tolist() == hits.rows[chosen].tolist()
    assert found.capsule.tolist() == hits.capsule[chosen].tolist()


def test_more_are_fetched_until_the_quotas_are_full() -> None:
    """One interest has the best 900 items; the other's begin behind them."""
    capsule = np.array([0] * 900 + [1] * 100)
    hits = Hits(np.arange(1_000), -np.arange(1_000, dtype=np.float32), capsule)
    asked: list[int] = []

    def fetch(n: int) -> Hits:
        asked.append(n)
        return hits.take(np.arange(min(n, 1_000)))

    items, category = np.zeros((1_000, 2), dtype=np.float32), np.zeros(1_000, dtype=np.int64)
    found = select_candidates(fetch, Request(10, quota=5), items, category, np.array([0.5, 0.5]))
    assert found.rows.tolist() == [0, 1, 2, 3, 4, 900, 901, 902, 903, 904]
    assert asked == [40, 160, 640, 2_560]


@pytest.mark.parametrize(("n", "most"), [(10, 4_096), (100, 6_400)])
def test_what_nothing_fulfils_does_not_fetch_the_whole_catalogue(n: int, most: int) -> None:
    """All items are alike, and only the first may come back."""
    hits = Hits(np.arange(20_000), -np.arange(20_000, dtype=np.float32), np.zeros(20_000, dtype=np.int64))
    asked: list[int] = []

    def fetch(n: int) -> Hits:
        asked.append(n)
        return hits.take(np.arange(n))

    items, category = np.ones((20_000, 2), dtype=np.float32), np.zeros(20_000, dtype=np.int64)
    assert select_candidates(fetch, Request(n, max_cosine=0.0), items, category, np.ones(1)).rows.tolist() == [0]
    assert asked[:3] == [4 * n, 16 * n, 64 * n]
    assert max(asked) == most
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("diversity", [0.0, 0.1])
def test_no_more_are_fetched_once_every_interest_has_brought_all_that_it_may(diversity: float) -> None:
    hits = Hits(np.arange(1_000), -np.arange(1_000, dtype=np.float32), np.arange(1_000) % 2)
    asked: list[int] = []

    def fetch(n: int) -> Hits:
        asked.append(n)
        return hits.take(np.arange(min(n, 1_000)))

    items, category = np.zeros((1_000, 2), dtype=np.float32), np.zeros(1_000, dtype=np.int64)
    request = Request(10, quota=2, diversity=diversity)
    assert select_candidates(fetch, request, items, category, np.array([0.5, 0.5])).rows.tolist() == [0, 1, 2, 3]
    assert asked == [40]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"n": 0}, "n is 0; it must be at least 1"),
        ({"n": 2.5}, r"n is 2\.5; right is a whole number"),
        ({"n": "5"}, "n is '5'; right is a whole number"),
        ({"n": True}, "n is True; right is a whole number"),
        ({"n": 10_001}, "n is 10001; it must be at most 10,000"),
        ({"exclude": frozenset(map(str, range(10_001)))}, "exclude has 10,001 items; at most 10,000 are right"),
        ({"exclude": "oak-lamp"}, "exclude is 'oak-lamp'; right is a set of item ids"),
        ({"where": {"category": "teas"}}, "where category is 'teas'; right is a set of at least one value"),
        ({"where": {"category": frozenset()}}, "where category is frozenset"),
        ({"where": {"category": frozenset(map(str, range(1_001)))}}, "where has 1,001 values; at most 1,000 are right"),
        ({"min_score": float("nan")}, "min_score is nan; right is a finite number"),
        ({"min_score": "5"}, "min_score is '5'; right is a finite number"),
        ({"diversity": True}, "diversity is True; right is a finite number of at least 0"),
        ({"max_cosine": "0.5"}, r"max_cosine is '0\.5'; right is"),
        ({"tasks": "purchase=3"}, "tasks is 'purchase=3'; right is task -> weight"),
        ({"tasks": {"purchase": "3"}}, "tasks purchase is '3'; right is a number"),
        ({"tasks": {"purchase": True}}, "tasks purchase is True; right is a number"),
        ({"rank_ms": "5"}, "rank_ms is '5'; right is a number of milliseconds above 0"),
        ({"rank": "no"}, "rank is 'no'; right is True or False"),
        ({"exclude_seen": "yes"}, "exclude_seen is 'yes'; right is True or False"),
        ({"quota": 0}, "quota is 0; right is 1 to 10,000"),
        ({"quota": 1.5}, r"quota is 1\.5; right is 1 to 10,000"),
        ({"quota": 2**63}, "quota is 9223372036854775808; right is 1 to 10,000"),
        ({"diversity": -0.5}, r"diversity is -0\.5; right is a finite number of at least 0"),
        ({"diversity": float("inf")}, "diversity is inf"),
        ({"max_cosine": 1.0}, r"max_cosine is 1\.0; right is at least 0 and below 1"),
        ({"max_cosine": float("nan")}, "max_cosine is nan"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Request(**wanted)


def test_unknown_attributes_and_values_are_said(bundle: Bundle, tmp_path: Path) -> None:
    filters, snapshot = Filters(), Catalogue(bundle).current
    with pytest.raises(ValueError, match=r"there is no attribute 'colour'; right are .*category"):
        filters.resolve(Request(where={"colour": frozenset({"red"})}), snapshot)
    with pytest.raises(ValueError, match=r"no item has the category 'submarines'; right are .* others"):
        filters.resolve(Request(where={"category": frozenset({"submarines"})}), snapshot)
    assert filters.resolve(Request(), snapshot).allowed is None
