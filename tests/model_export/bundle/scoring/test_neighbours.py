"""What the neighbours of a history get on top of max-sim: by hand, against all items one by one, and chosen."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.recommend.recommender import Recommender
from model_export.bundle.bundle import (
    NEIGHBOUR_FILES,
    NEIGHBOURS,
    SIMILARITIES,
    Bundle,
    BundleError,
    describe_file,
    write_manifest,
)
from model_export.bundle.check import check
from model_export.bundle.extractor import Extractor
from model_export.bundle.scoring.neighbours import Blend, NeighbourScores
from model_export.bundle.scoring.raised_items import RaisedItems, together
from model_export.data.dataset import Sequences
from model_export.evaluation.cases import Cases
from model_export.evaluation.item_knn import ItemKnn, KnnSettings
from model_export.evaluation.model_ranker import rank_by_model
from model_export.models.interest_model import InterestModel
from model_export.models.presets import DEFAULT, preset
from model_export.training.blend_tuning import UNTUNED, tune_blend
from stream.events.position import Position
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState
from tests.support.bundles.untrained import untrained

# Item 0 goes with 1 (0.8) and 2 (0.4), item 1 with 0 and with itself, item 2 with nothing.
BY_HAND = NeighbourScores(
    np.array([[1, 2], [0, 1], [-1, -1]], dtype=np.int32),
    np.array([[0.8, 0.4], [0.8, 0.2], [0, 0]], dtype=np.float32),
    Blend(weight=0.5, decay=0.5, length=2),
)


def test_neighbours_by_hand() -> None:
    """History 0, 1: item 0 gets 0.8, item 1 0.8 / 2 + 0.2 and item 2 0.4 / 2, as shares of 0.8, times 0.5."""
    rows, bonus = BY_HAND.raised(np.array([0, 1]))
    assert rows.tolist() == [0, 1, 2]
    assert bonus.tolist() == pytest.approx([0.5, 0.375, 0.125])
    assert BY_HAND.because(np.array([0, 1]), np.array([2, 0, 1])).tolist() == [0, 1, 0]
    assert BY_HAND.because(np.array([0]), np.array([0, 1])).tolist() == [-1, 0]
    assert BY_HAND.because(np.array([1]), np.array([0, 1])).tolist() == [1, -1]  # no item is its own reason
    assert BY_HAND.because(np.array([0]), np.array([], dtype=np.int64)).tolist() == []
    rooted = replace(BY_HAND, blend=replace(BY_HAND.blend, power=0.5)).raised(np.array([0, 1]))
    assert rooted.bonus.tolist() == pytest.approx([0.5, 0.5 * 0.75**0.5, 0.25])
    assert BY_HAND.raised(np.array([0, 2, 2])).rows.tolist() == []  # of the last two nothing is known
    assert BY_HAND.raised(np.array([], dtype=np.int64)).rows.tolist() == []
    assert replace(BY_HAND, blend=replace(BY_HAND.blend, weight=0.0)).raised(np.array([0])).rows.tolist() == []


def test_who_is_own_and_neighbour_gets_both() -> None:
    own = RaisedItems(np.array([1, 5]), np.array([0.25, 0.5], np.float32))
    near = RaisedItems(np.array([1, 2]), np.array([0.5, 1.0], np.float32))
    for rows, bonus in (together(own, near), together(near, own)):
        assert (rows.tolist(), bonus.tolist()) == ([1, 2, 5], [0.75, 1.0, 0.5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": -0.1}, "weight of the blend is -0.1; it must be a finite number, at least 0"),
        ({"decay": 0.0}, "decay of the blend is 0.0; it must be above 0, and at most 1"),
        ({"length": 0}, "length of the blend is 0; it must be at least 1"),
        ({"power": float("inf")}, "power of the blend is inf; it must be a finite number above 0"),
    ],
)
def test_a_blend_that_is_none_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(BY_HAND.blend, **changes)


def with_neighbours(bundle: Bundle, folder: Path, blend: dict[str, Any], **arrays: np.ndarray) -> Bundle:
    """A copy of a bundle with these neighbours."""
    path = Path(shutil.copytree(bundle.path, folder / bundle.path.name))
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    written = [name for name in NEIGHBOUR_FILES if (path / name).exists()]
    files = bundle.manifest.files | {name: describe_file(path / name) for name in written}
    write_manifest(path, replace(bundle.manifest, blend=blend, files=files))
    return Bundle(path)


def drawn(items: int, seed: int = 1, most: int = 12) -> dict[str, np.ndarray]:
    """Neighbours of items, each with up to `most` of them, drawn by chance."""
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.permutation(items)[:most] for _ in range(items)]).astype(np.int32)
    similarity = -np.sort(-rng.random(rows.shape), axis=1).astype(np.float32)
    few = rng.integers(most + 1, size=items)[:, None] <= np.arange(most)
    return {"neighbours": np.where(few, -1, rows).astype(np.int32), "similarities": np.where(few, 0, similarity)}


BLEND = {"weight": 0.4, "decay": 0.8, "length": 15, "power": 0.5}


@pytest.fixture(scope="module")
def blended(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The session's bundle with neighbours."""
    found = with_neighbours(bundle, tmp_path_factory.mktemp("blended"), BLEND, **drawn(bundle.manifest.items))
    check(found)
    return found


def state_of(bundle: Bundle, history: list[str]) -> UserState:
    times = list(range(1, len(history) + 1))
    [capsules] = Extractor(bundle).encode([history], times_ms=[times])
    kept = History(tuple(history), tuple(times), ("",) * len(history))
    return UserState("ann", kept, capsules, Position("life", 0, 0), {})


def scores_one_by_one(bundle: Bundle, state: UserState) -> tuple[np.ndarray, dict[int, str]]:
    """Every item's score, float64 (items,), and of each neighbour the behaviour that did most for it."""
    assert bundle.neighbours is not None
    sums: dict[int, dict[str, float]] = {}
    for age, item_id in enumerate(reversed(state.history.item_ids[-int(BLEND["length"]) :])):
        row = bundle.rows[item_id]
        for near, similarity in zip(bundle.neighbours.rows[row], bundle.neighbours.similarity[row], strict=True):
            if near >= 0:
                mine = sums.setdefault(int(near), {})
                mine[item_id] = mine.get(item_id, 0.0) + float(similarity) * BLEND["decay"] ** age
    scores = np.array([max(float(v @ e) for v in state.capsules.vectors) for e in bundle.item_embeddings])
    for age, item_id in enumerate(reversed(state.history.item_ids)):
        if age < len(bundle.manifest.repeat_bonus):
            scores[bundle.rows[item_id]] += bundle.manifest.repeat_bonus[age]
    most = max(sum(mine.values()) for mine in sums.values())
    for near, mine in sums.items():
        scores[near] += BLEND["weight"] * (sum(mine.values()) / most) ** BLEND["power"]
    others = {
        near: {item_id: did for item_id, did in mine.items() if bundle.rows[item_id] != near}
        for near, mine in sums.items()
    }
    return scores, {near: max(mine, key=lambda one: mine[one]) for near, mine in others.items() if mine}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [1, 7, 50, 600])
def test_candidates_are_the_best_of_all_items_scored_one_by_one(
    n: int, seed: int, blended: Bundle, tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    state = state_of(blended, rng.permutation(blended.item_ids[:200])[: rng.integers(1, 25)].tolist())
    scores, brought_by = scores_one_by_one(blended, state)
    found = Recommender(blended, LmdbStore(tmp_path / "state")).recommend_for(state, n)
    rows = [blended.rows[one] for one in found.item_ids]
    assert len(set(rows)) == n
    np.testing.assert_allclose(found.scores, np.sort(scores)[::-1][:n], atol=1e-5)
    np.testing.assert_allclose(found.scores, scores[rows], atol=1e-5)
    assert found.because == [brought_by.get(row, "") for row in rows]


def test_neighbours_that_may_not_come_do_not(blended: Bundle, tmp_path: Path) -> None:
    recommender = Recommender(blended, LmdbStore(tmp_path / "state"))
    state = state_of(blended, blended.item_ids[:3])
    first = recommender.recommend_for(state, 600)
    near = [item for item, because in zip(first.item_ids, first.because, strict=True) if because]
    assert len(near) > 5
    without = recommender.recommend_for(state, 600, exclude=tuple(near))
    assert set(without.item_ids) == set(blended.item_ids) - set(near)
    assert without.because == [""] * len(without.item_ids)
    category = blended.catalogue.category[blended.rows[near[0]]]
    of_one = recommender.recommend_for(state, 600, where={"category": [category]})
    assert near[0] in of_one.item_ids
    assert {blended.catalogue.category[blended.rows[one]] for one in of_one.item_ids} == {category}


@pytest.mark.parametrize(
    ("blend", "arrays", "message"),
    [
        (BLEND | {"weight": "much"}, {}, "blend.weight is 'much'; right is a number"),
        (BLEND | {"decay": 2.0}, {}, "blend: decay of the blend is 2.0; it must be above 0, and at most 1"),
        (BLEND | {"length": 1.5}, {}, "blend.length is '1.5'; right is a whole number"),
        (BLEND | {"wight": 1}, {}, "blend has the name 'wight'; right are weight, decay, length, power"),
        ({"weight": 1.0}, {}, "blend.decay is 'None'; right is a number"),
        (BLEND, {"neighbours": np.full((600, 2), 600, np.int32)}, f"{NEIGHBOURS} has a row that is not among the 600"),
        (BLEND, {"neighbours": np.full((600, 2), -2, np.int32)}, f"{NEIGHBOURS} has a row that is not among the 600"),
        (BLEND, {"neighbours": np.zeros((600, 2))}, rf"{NEIGHBOURS} is float64 \(600, 2\); right is int32 \(600, 2\)"),
        (BLEND, {"similarities": np.full((600, 2), -1, np.float32)}, f"{SIMILARITIES} has a number below 0"),
        (
            BLEND,
            {"similarities": np.full((600, 2), np.nan, np.float32)},
            f"{SIMILARITIES} has a number below 0, or one",
        ),
        (BLEND, {"similarities": np.ones((600, 3), np.float32)}, rf"{SIMILARITIES} is float32 \(600, 3\); right is"),
    ],
    ids=[
        "no number",
        "out of range",
        "no whole number",
        "unknown",
        "missing",
        "row too large",
        "row too small",
        "rows of floats",
        "negative",
        "not finite",
        "other shape",
    ],
)
def test_neighbours_that_are_none_are_refused(
    blend: dict[str, Any], arrays: dict[str, np.ndarray], message: str, bundle: Bundle, tmp_path: Path
) -> None:
    right = {"neighbours": np.zeros((600, 2), np.int32), "similarities": np.ones((600, 2), np.float32)}
    with pytest.raises(BundleError, match=message):
        check(with_neighbours(bundle, tmp_path, blend, **(right | arrays)))


def test_a_bundle_without_the_files_of_its_neighbours_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    path = Path(shutil.copytree(bundle.path, tmp_path / bundle.path.name))
    files = {name: entry for name, entry in bundle.manifest.files.items() if name not in NEIGHBOUR_FILES}
    write_manifest(path, replace(bundle.manifest, blend=BLEND, files=files))
    with pytest.raises(BundleError, match=f"lists no {NEIGHBOURS}, which every bundle has"):
        check(Bundle(path))


# Choosing the weight

ITEMS, USERS = 60, 80


@pytest.fixture(scope="module")
def rings() -> Sequences:
    """Users who walk along a ring of items, one step at a time: what follows item i is item i + 1."""
    starts = np.random.default_rng(5).integers(ITEMS, size=USERS)
    walks = (starts[:, None] + np.arange(12)) % ITEMS
    users = [f"user-{number}" for number in range(USERS)]
    ends = np.arange(USERS + 1) * 12
    return Sequences(users, walks.ravel(), np.tile(np.arange(12), USERS), ends, np.zeros((USERS, 0), np.int64))


@pytest.fixture
def model() -> InterestModel:
    config = replace(preset(DEFAULT).model, dim=8, repeats=False)
    return untrained(config, items=ITEMS).model.eval()


def asked(rings: Sequences) -> Cases:
    """The last five steps of some walks, to be told from the seven before."""
    walks = rings.items.reshape(USERS, 12)[40:].astype(np.int64)
    history = walks[:, :7]
    nobodys = np.zeros((len(walks), 0), dtype=np.int64)
    times = np.tile(np.arange(7), (len(walks), 1))
    return Cases(history, np.ones(history.shape, dtype=bool), nobodys, walks[:, 7:], times)


def test_neighbours_come_first_where_the_model_has_learned_nothing(rings: Sequences, model: InterestModel) -> None:
    knn = ItemKnn(rings, np.arange(40), ITEMS, KnnSettings(reach=5, length=20))
    cases = asked(rings)
    chosen = tune_blend(model, knn, [cases])
    assert chosen.blend.weight >= 0.4
    top = rank_by_model(model, cases, 10, neighbours=chosen)
    alone = knn.top(cases, 10, unseen_only=False)
    found, theirs = ((one[:, :, None] == cases.labels[:, None]).any(1).mean() for one in (top, alone))
    assert found >= theirs > 0.4


def test_neighbours_count_for_nothing_where_they_do_not_help(rings: Sequences, model: InterestModel) -> None:
    """What follows is what the model says, and all that neighbours know is of another walk."""
    cases = asked(rings)
    cases = replace(cases, labels=rank_by_model(model, cases, 5))
    knn = ItemKnn(rings, np.arange(40), ITEMS, KnnSettings(reach=5, length=20))
    assert tune_blend(model, knn, [cases]).blend.weight == 0
    nobody = cases.take(slice(0, 0))
    untuned = tune_blend(model, knn, [nobody]).blend
    assert (untuned.weight, untuned.power) == UNTUNED


def test_with_a_large_weight_the_list_is_item_knns(rings: Sequences, model: InterestModel) -> None:
    knn = ItemKnn(rings, np.arange(40), ITEMS, KnnSettings(reach=5, decay=0.7, own=0.3, length=20))
    blend = Blend(1e6, 0.7, 20)
    neighbours = NeighbourScores(*knn.neighbours(50, own=0.3), blend)
    cases = asked(rings)
    scores = knn.scores(cases.history, cases.mask)
    found, theirs = (
        np.take_along_axis(scores, top, 1)
        for top in (rank_by_model(model, cases, 8, neighbours=neighbours), knn.top(cases, 8, unseen_only=False))
    )
    np.testing.assert_allclose(found, theirs, rtol=1e-6)  # the items themselves, but for those of equal scores


def test_the_blend_of_a_bundle_is_what_training_chose(blended: Bundle) -> None:
    assert blended.neighbours is not None
    assert asdict(blended.neighbours.blend) == BLEND
