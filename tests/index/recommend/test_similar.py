"""Items like another one, a user's interests and the path of an answer: in Python and on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from index.catalogue.item import Item
from index.catalogue.lmdb_overlay import LmdbOverlayStore
from index.catalogue.overlay import Overlay
from index.recommend.recommender import Recommender, UnknownItemError
from index.recommend.request import Request
from model_export.bundle.bundle import Bundle
from model_export.bundle.registry import Registry
from stream.store.lmdb_store import LmdbStore
from tests.support.index_world import run_index, state_of

ROW = 5


@pytest.fixture
def recommender(bundle: Bundle, tmp_path: Path) -> Recommender:
    store = LmdbStore(tmp_path / "state")
    store.put_many([state_of(bundle, "ann", bundle.item_ids[3:300:20]), state_of(bundle, "gone", ["not", "known"])])
    return Recommender(bundle, store, Overlay(LmdbOverlayStore(tmp_path / "items")))


def best_of(bundle: Bundle) -> list[str]:
    """All items by their inner product with that of ROW, without it."""
    items = np.asarray(bundle.item_embeddings)
    order = np.argsort(-(items @ items[ROW]), kind="stable")
    return [bundle.item_ids[row] for row in order if row != ROW]


def test_similar_items_are_those_nearest_to_one(recommender: Recommender, bundle: Bundle) -> None:
    ranked, item_id = best_of(bundle), bundle.item_ids[ROW]
    found = recommender.similar(item_id, Request(10))
    assert found.item_ids == ranked[:10]
    assert (found.path, found.interests, found.model_version) == ("similar", [], bundle.version)
    assert found.capsule == [0] * 10
    scores = np.asarray(bundle.item_embeddings)[[bundle.rows[one] for one in ranked[:10]]] @ bundle.item_embeddings[ROW]
    np.testing.assert_allclose(found.scores, scores / np.linalg.norm(bundle.item_embeddings[ROW]), atol=1e-5)


def test_what_a_request_says_of_items_holds_for_similar_ones(recommender: Recommender, bundle: Bundle) -> None:
    ranked, item_id = best_of(bundle), bundle.item_ids[ROW]
    assert recommender.similar(item_id, Request(3, exclude=frozenset(ranked[:2]))).item_ids == ranked[2:5]
    lowest = recommender.similar(item_id, Request(4)).scores[-1]
    assert recommender.similar(item_id, Request(600, min_score=lowest)).item_ids == ranked[:4]
    category = frozenset({bundle.catalogue.category[ROW]})
    same = recommender.similar(item_id, Request(600, where={"category": category})).item_ids
    assert same == [one for one in ranked if bundle.catalogue.category[bundle.rows[one]] in category]
    recommender.filters.block(ranked[:1])
    assert recommender.similar(item_id, Request(1)).item_ids == ranked[1:2]


def test_a_new_item_has_similar_ones_and_is_one(recommender: Recommender, bundle: Bundle) -> None:
    with pytest.raises(UnknownItemError, match=f"the model {bundle.version} knows no item 'new', and nobody has added"):
        recommender.similar("new", Request(5))
    recommender.catalogue.put(Item("new", "New", bundle.catalogue.category[ROW], bundle.catalogue.price[ROW]))
    found = recommender.similar("new", Request(600)).item_ids
    assert len(found) == 600
    assert "new" not in found
    assert "new" in recommender.similar(bundle.item_ids[ROW], Request(600)).item_ids


def test_interests_are_those_of_the_candidates(recommender: Recommender, bundle: Bundle) -> None:
    found, answer = recommender.interests("ann"), recommender.recommend("ann", 3)
    assert found.interests == answer.interests
    assert (found.path, found.model_version) == (answer.path, answer.model_version)
    assert found.vectors.shape == (len(found.interests), bundle.manifest.dim)
    for user_id in ("gone", "nobody"):
        none = recommender.interests(user_id)
        assert (none.interests, len(none.vectors), none.path) == ([], 0, "popular")


@pytest.mark.parametrize("profile", [True, False])
@pytest.mark.parametrize("filtered", [True, False])
def test_the_path_is_decided_in_one_place(
    recommender: Recommender, bundle: Bundle, profile: bool, filtered: bool
) -> None:
    category = bundle.catalogue.category[0]
    state = state_of(bundle, "cold", [])
    if profile:
        state.profile["category"] = category
    where = {"category": frozenset({category})} if filtered else {}
    path = "popular in category" if profile or filtered else "popular"
    assert recommender.path_for(state, recommender.catalogue.current, where) == path
    assert recommender.recommend_for(state, 3, where=where).path == path
    assert recommender.interests_for(state).path == ("popular in category" if profile else "popular")


def test_the_command_prints_a_table_or_json(bundle: Bundle, tmp_path: Path) -> None:
    Registry(tmp_path / "models").publish(bundle.path)
    item_id, ranked = bundle.item_ids[ROW], best_of(bundle)
    shown = run_index(tmp_path, "similar", item_id, "-n", "2")
    assert (shown.returncode, shown.stderr) == (0, "")
    first, *lines = shown.stdout.splitlines()
    assert first == f"model {bundle.version}, path: similar"
    catalogue = bundle.catalogue
    assert [line.split("  similar     ")[1] for line in lines] == [
        f"{catalogue.title[bundle.rows[one]]} ({catalogue.category[bundle.rows[one]]})" for one in ranked[:2]
    ]
    found = json.loads(run_index(tmp_path, "similar", item_id, "-n", "2", "--json").stdout)
    assert (found["item_ids"], found["path"]) == (ranked[:2], "similar")
    category = catalogue.category[ROW]
    same = json.loads(run_index(tmp_path, "similar", item_id, "--category", category, "--json").stdout)["item_ids"]
    assert {catalogue.category[bundle.rows[one]] for one in same} == {category}
    lost = run_index(tmp_path, "similar", "lost")
    assert (lost.returncode, lost.stdout) == (2, "")
    assert lost.stderr == f"error: the model {bundle.version} knows no item 'lost', and nobody has added it\n"
