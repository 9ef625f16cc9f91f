"""The second stage over a bundle that is made by hand: the order by NumPy, options, reasons, and answers without it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.api.answers.item_json import ItemJson
from index.api.answers.written import recommendations_json
from index.catalogue.item import Item
from index.catalogue.lmdb_overlay import LmdbOverlayStore
from index.catalogue.overlay import Overlay
from index.rank.reasons import MOST_REASONS, WORDS
from index.recommend.cancellation import Cancellation
from index.recommend.candidates import Candidates
from index.recommend.explain import candidates_as_text
from index.recommend.recommender import Recommender
from index.recommend.request import Request, weights_of
from index.recommend.work import WorkSize, estimated_s
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.ranking.feature_names import FEATURES
from stream.events.position import Position
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState
from tests.support.bundles.ranked import HOUR_MS, ITEMS, hand_made

HISTORIES = {"ann": [3, 8, 21, 8], "bob": [40], "eve": [59, 2, 2, 7, 11]}


def state_of(bundle: Bundle, user_id: str) -> UserState:
    history = [f"item-{number}" for number in HISTORIES[user_id]]
    [capsules] = Extractor(bundle).encode([history])
    times = tuple(HOUR_MS * (age + 1) for age in range(len(history)))
    return UserState(user_id, History(tuple(history), times, ("",) * len(history)), capsules, Position("p", 0, 1))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return hand_made(tmp_path_factory.mktemp("made") / "ranked")


@pytest.fixture
def recommender(bundle: Bundle, tmp_path: Path) -> Iterator[Recommender]:
    store = LmdbStore(tmp_path / "state")
    store.put_many([state_of(bundle, user_id) for user_id in HISTORIES])
    yield Recommender(bundle, store)
    store.close()


def right_scores(bundle: Bundle, user_id: str) -> np.ndarray:
    """The scores of all items by task, by NumPy: see TASKS and `write_linear_ranker`."""
    rows = HISTORIES[user_id]
    max_sim = bundle.item_embeddings @ bundle.item_embeddings[rows].mean(0)
    popular, is_known = np.log1p(bundle.catalogue.popularity), ~np.isnan(bundle.catalogue.price.values)
    product = bundle.ranker_items @ bundle.ranker_items[rows[-1]]
    return np.stack([max_sim + product, 2 * popular + is_known + product], 1)


def brought(bundle: Bundle, user_id: str, candidates: int = 40) -> np.ndarray:
    """The rows that matching brings, best first."""
    scores = bundle.item_embeddings @ bundle.item_embeddings[HISTORIES[user_id]].mean(0)
    return np.argsort(-scores)[:candidates]


def rows_of(found: Candidates) -> list[int]:
    return [int(item_id.removeprefix("item-")) for item_id in found.item_ids]


@pytest.mark.parametrize("user_id", HISTORIES)
def test_the_candidates_of_matching_come_in_the_order_of_the_ranker(recommender: Recommender, user_id: str) -> None:
    bundle = recommender.bundle
    found = recommender.recommend(user_id, 10)
    scores, top = right_scores(bundle, user_id), brought(bundle, user_id)
    right = top[np.argsort(-scores[top].sum(1))][:10]
    assert rows_of(found) == right.tolist()
    assert found.scores == pytest.approx(scores[right].mean(1).tolist(), abs=2e-3)  # stores keep half precision
    assert found.tasks == {
        "click": pytest.approx(scores[right, 0].tolist(), abs=2e-3),
        "buy": pytest.approx(scores[right, 1].tolist(), abs=2e-3),
    }
    assert found.matching_rank == [top.tolist().index(row) for row in right]
    assert (found.ranked, found.capsule, found.reasons) == (40, [0] * 10, [])


def test_tasks_weigh_what_the_request_says(recommender: Recommender) -> None:
    scores, top = right_scores(recommender.bundle, "ann"), brought(recommender.bundle, "ann")
    found = recommender.recommend("ann", 10, tasks={"buy": 0})
    assert rows_of(found) == top[np.argsort(-scores[top, 0])][:10].tolist()
    with pytest.raises(ValueError, match="tasks has 'rent'; the ranker by-hand has click, buy"):
        recommender.recommend("ann", tasks={"rent": 2})


def test_candidates_are_as_many_as_are_asked_for_but_no_fewer_than_n(recommender: Recommender) -> None:
    found = recommender.recommend("ann", 5, candidates=8)
    top = brought(recommender.bundle, "ann", 8)
    assert found.ranked == 8
    assert set(rows_of(found)) <= set(top.tolist())
    assert recommender.recommend("ann", 12, candidates=3).ranked == 12
    assert len(recommender.recommend("ann", ITEMS).item_ids) == ITEMS


def test_a_budget_leaves_out_the_last_of_matching_and_the_answer_says_so(recommender: Recommender) -> None:
    stage = recommender.second_stage
    assert stage is not None
    stage.us_per_candidate = 1_000.0
    found = recommender.recommend("ann", 5, rank_ms=15)
    assert found.ranked == 15
    assert max(found.matching_rank) < 15
    stage.us_per_candidate = 1_000.0
    assert recommender.recommend("ann", 5, rank_ms=0.001).ranked == 5  # never fewer than the answer needs
    assert stage.us_per_candidate < 1_000  # and what a candidate took was measured


def test_filters_exclusions_and_the_choice_are_of_ranked_scores(recommender: Recommender) -> None:
    bundle = recommender.bundle
    plain = recommender.recommend("eve", 40)
    first = plain.item_ids[0]
    without = recommender.recommend("eve", 40, exclude=frozenset({first}), exclude_seen=True)
    assert not {first, *(f"item-{row}" for row in HISTORIES["eve"])} & set(without.item_ids)
    gardens = recommender.recommend("eve", 5, where={"category": frozenset({"garden"})})
    assert all(row % 3 == 0 for row in rows_of(gardens))
    assert gardens.scores == sorted(gardens.scores, reverse=True)
    above = recommender.recommend("eve", 40, min_score=plain.scores[3])
    assert above.item_ids == plain.item_ids[:4]
    varied = recommender.recommend("eve", 4, diversity=100.0)
    categories = [bundle.catalogue.category[row] for row in rows_of(varied)]
    known = [category for category in categories if category]  # an unknown one is like no other
    assert len(set(known)) == len(known) < 4
    clicks = dict(zip(plain.item_ids, plain.tasks["click"], strict=True))
    assert varied.tasks["click"] == pytest.approx([clicks[item_id] for item_id in varied.item_ids])
    assert recommender.recommend("eve", 10, quota=3).item_ids == plain.item_ids[:3]
    assert dict(zip(varied.item_ids, varied.scores, strict=True)) == pytest.approx(
        {item_id: dict(zip(plain.item_ids, plain.scores, strict=True))[item_id] for item_id in varied.item_ids}
    )


def test_users_of_a_batch_are_ranked_in_one_run_and_as_alone(recommender: Recommender) -> None:
    stage = recommender.second_stage
    assert stage is not None
    runs, session = [], stage.ranker.session

    class Counted:
        def run(self, names: list[str], inputs: dict[str, Any]) -> Any:
            runs.append(len(inputs["candidates"]))
            return session.run(names, inputs)

    stage.ranker.session = Counted()
    together = recommender.recommend_many([*HISTORIES, "nobody"], Request(6))
    assert runs == [3]
    for user_id, its in zip(HISTORIES, together, strict=False):
        alone = recommender.recommend(user_id, 6)
        assert alone.item_ids == its.item_ids
        assert alone.scores == pytest.approx(its.scores, abs=1e-5)
    assert (together[-1].path, together[-1].ranked) == ("popular", 0)


def test_reasons_are_the_features_that_a_linear_ranker_weighs_most(recommender: Recommender) -> None:
    """Of max_sim, log_popularity and price_known each adds its weight times how far it is above the page's mean."""
    bundle = recommender.bundle
    found = recommender.recommend("ann", 10, why=True)
    top = brought(bundle, "ann")
    features = {
        "max_sim": bundle.item_embeddings @ bundle.item_embeddings[HISTORIES["ann"]].mean(0),
        "log_popularity": 2 * np.log1p(bundle.catalogue.popularity),
        "price_known": (~np.isnan(bundle.catalogue.price.values)).astype(float),
    }
    for row, reasons in zip(rows_of(found), found.reasons, strict=True):
        parts = {name: values[row] - values[top].mean() for name, values in features.items()}
        right = [name for name in sorted(parts, key=lambda name: -parts[name]) if parts[name] > 1e-3]
        assert reasons[: len(right)] == [WORDS[name][0] for name in right]
        assert len(reasons) <= MOST_REASONS
    assert set(WORDS) == set(FEATURES)


def test_an_item_that_was_added_since_is_ranked_too(bundle: Bundle, tmp_path: Path) -> None:
    """It points where the user's interest does, and is known for nothing else."""
    store = LmdbStore(tmp_path / "state")
    store.put_many([state_of(bundle, "ann")])
    recommender = Recommender(bundle, store, Overlay(LmdbOverlayStore(tmp_path / "overlay")))
    interest = bundle.item_embeddings[HISTORIES["ann"]].mean(0)
    length = float(np.linalg.norm(interest))
    recommender.catalogue.put(Item("new", "A new one", "garden", vector=(0.99 * interest / length).tolist()))
    found = recommender.recommend("ann", 40)
    place = found.item_ids.index("new")
    assert found.tasks["click"][place] == pytest.approx(0.99 * length, abs=2e-3)
    assert found.tasks["buy"][place] == 0
    store.close()


def json_of(recommender: Recommender, **wanted: Any) -> bytes:
    resolved = recommender.resolve(Request(**wanted))
    [found] = recommender.find(recommender.store.get_many(["ann"]), resolved, Cancellation())
    return recommendations_json("ann", 1.0, found, ItemJson(recommender.bundle).of(resolved.snapshot))


def test_a_bundle_without_a_ranker_answers_as_before(recommender: Recommender, tmp_path: Path) -> None:
    """Byte by byte, whatever is asked of the second stage; and so does one with a ranker if none is wanted."""
    plain = Recommender(hand_made(tmp_path / "ranked", ranked=False), recommender.store)
    answer = json_of(plain, n=7)
    assert answer == json_of(plain, n=7, candidates=30, tasks={"buy": 3}, rank_ms=5, why=True)
    assert answer == json_of(recommender, n=7, rank=False)
    said = json.loads(answer)
    assert list(said) == [
        *("user_id", "path", "model_version", "freshness_s", "interests", "candidates", "error"),
    ]
    assert list(said["candidates"][0]) == ["item_id", "score", "interest", "because", "title", "category", "price"]


def test_an_answer_says_what_was_ranked(recommender: Recommender) -> None:
    found = recommender.recommend("ann", 4, why=True)
    said = json.loads(json_of(recommender, n=4, why=True))
    assert said["ranked"] == 40
    assert [one["item_id"] for one in said["candidates"]] == found.item_ids
    assert [one["tasks"] for one in said["candidates"]] == [
        {"click": pytest.approx(click), "buy": pytest.approx(buy)}
        for click, buy in zip(found.tasks["click"], found.tasks["buy"], strict=True)
    ]
    assert [one["matching_rank"] for one in said["candidates"]] == found.matching_rank
    assert [one["reasons"] for one in said["candidates"]] == found.reasons
    assert "reasons" not in json.loads(json_of(recommender, n=4))["candidates"][0]
    text = candidates_as_text(found, recommender.catalogue.current)
    assert "ranked: the best of 40, by click + buy" in text
    assert f"no. {found.matching_rank[0] + 1} of matching: {', '.join(found.reasons[0])}" in text


def test_nothing_is_ranked_where_nothing_is_left(recommender: Recommender) -> None:
    everything = frozenset(f"item-{number}" for number in range(ITEMS))
    found = recommender.recommend("ann", exclude=everything, why=True)
    assert (found.item_ids, found.ranked, found.reasons) == ([], 0, [])


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"candidates": 0}, "candidates is 0; right is 1 to 10,000"),
        ({"candidates": True}, "candidates is True"),
        ({"rank_ms": 0}, "rank_ms is 0; right is a number of milliseconds above 0"),
        ({"rank_ms": float("nan")}, "rank_ms is nan"),
        ({"tasks": {"buy": float("inf")}}, "tasks buy is inf; right is a number"),
    ],
)
def test_what_is_not_right_is_refused(wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Request(**wanted)


def test_weights_of_tasks_as_text() -> None:
    assert weights_of(["buy=3", "a=b=-0.5"], "--task") == {"buy": 3, "a=b": -0.5}
    for wrong in ("buy", "=3", "buy=much", "buy=nan"):
        with pytest.raises(ValueError, match="right is task=weight"):
            weights_of([wrong], "--task")
    with pytest.raises(ValueError, match="each task once"):
        weights_of(["buy=3", "buy=4"], "--task")


def test_ranking_counts_as_work(bundle: Bundle) -> None:
    size = WorkSize.of(bundle.manifest)
    ranked, plain = estimated_s(Request(10), 1, size), estimated_s(Request(10, rank=False), 1, size)
    assert ranked > plain == estimated_s(Request(10), 1, replace(size, ranked=0))
    assert estimated_s(Request(10, why=True), 1, size) > ranked
    assert estimated_s(Request(10, candidates=ITEMS), 1, size) > ranked
