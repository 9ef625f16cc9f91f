"""From a user to candidates, in a world of two interests that is made by hand."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper

from index.catalogue.item import Item
from index.catalogue.lmdb_overlay import LmdbOverlayStore
from index.catalogue.overlay import Overlay
from index.recommend.recommender import Recommender
from index.recommend.request import Request
from index.search.hnsw import HnswSettings
from index.search.index_files import build_index
from model_export.bundle.bundle import (
    EXTRACTOR,
    ITEM_EMBEDDINGS,
    LINKS,
    REQUIRED,
    ROUTING_LOGITS,
    Bundle,
    describe_file,
    write_manifest,
)
from model_export.bundle.extractor import Capsules, Extractor
from model_export.bundle.items.arrow_files import write_items
from model_export.bundle.registry import Registry
from model_export.bundle.scoring.history_raises import raised_by
from stream.events.position import Position
from stream.store.feedback import Feedback, ItemFeedback
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState, in_half_precision
from tests.support.index_world import run_index

ROOT = Path(__file__).parents[3]

# Item: its embedding and its popularity. Teas lie along the first axis, bikes along the second.
PLANTED = {
    "tea-1": ((4.0, 0.0), 1),
    "tea-2": ((3.0, 0.0), 9),
    "tea-3": ((2.0, 0.0), 3),
    "bike-1": ((0.0, 3.5), 5),
    "bike-2": ((0.0, 2.5), 9),
    "bike-3": ((0.0, 1.5), 2),
    "both": ((1.0, 1.0), 0),
    "neither": ((-1.0, -2.0), 4),
}
HISTORY = ("bike-2", "tea-1", "tea-2", "tea-1", "gone", "bike-1")
# Share of each behaviour that went into the first of two interests; the rest went into the second one.
TEAS = {"tea-1": 1.0, "tea-2": 0.5, "bike-1": 0.25, "bike-2": 0.25}


@pytest.fixture(scope="module")
def planted(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The session's bundle with planted items and a planted graph in place of its own.

    Embeddings are padded with zeros.
    """
    path = shutil.copytree(bundle.path, tmp_path_factory.mktemp("planted") / "by-hand")
    table = np.zeros((len(PLANTED), bundle.manifest.dim), dtype=np.float32)
    table[:, :2] = [vector for vector, _ in PLANTED.values()]
    np.save(path / ITEM_EMBEDDINGS, table)
    routing = np.zeros((len(PLANTED), bundle.manifest.num_interests), dtype=np.float32)
    routing[:, :2] = [(TEAS.get(item_id, 0.0), 1 - TEAS.get(item_id, 0.0)) for item_id in PLANTED]
    np.save(path / ROUTING_LOGITS, routing)
    onnx.save(graph_by_hand(onnx.load(path / EXTRACTOR)), path / EXTRACTOR)
    write_planted(path, list(PLANTED))
    files = {name: describe_file(path / name) for name in REQUIRED}
    by_hand = replace(bundle.manifest, version="by-hand", items=len(PLANTED), repeat_bonus=[], blend={}, files=files)
    write_manifest(path, by_hand)
    return Bundle(path)


def write_planted(path: Path, item_ids: list[str]) -> None:
    """The planted items' files, under these ids."""
    write_items(
        path,
        item_ids,
        title=[item_id.replace("-", " number ") for item_id in PLANTED],
        category=[item_id.split("-")[0] for item_id in PLANTED],
        price=[None] * len(PLANTED),
        popularity=[popularity for _, popularity in PLANTED.values()],
    )


def graph_by_hand(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph of the same inputs and outputs for users with two interests, one along each axis.

    An item's routing logits are its routing weights.
    """
    graph = model.graph
    _, interests, dim = (one.dim_value for one in graph.output[0].type.tensor_type.shape.dim)
    has = np.arange(interests) < 2
    axes = np.zeros((1, interests, dim), dtype=np.float32)
    axes[0, [0, 1], [0, 1]] = 1
    constants = {"axes": axes, "has": has[None], "one": np.array([1]), "minus_one": np.array([-1])}
    nodes = [
        helper.make_node("Cast", ["mask"], ["read"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["read", "one"], ["read_by_interest"]),
        helper.make_node("Mul", ["routing_logits", "read_by_interest"], ["routing_weights"]),
        helper.make_node("ReduceMax", ["read", "one"], ["any"], keepdims=1),  # (B, 1)
        helper.make_node("Cast", ["any"], ["reads_any"], to=onnx.TensorProto.BOOL),
        helper.make_node("And", ["reads_any", "has"], ["interest_mask"]),
        helper.make_node("Unsqueeze", ["any", "minus_one"], ["any_by_number"]),
        helper.make_node("Mul", ["any_by_number", "axes"], ["capsules"]),
    ]
    initial = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "by hand", graph.input, graph.output, initial)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=model.ir_version)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with LmdbStore(tmp_path / "state") as store:
        yield store


@pytest.fixture(params=["exact", "hnsw"])
def recommender(request: pytest.FixtureRequest, planted: Bundle, store: LmdbStore, tmp_path: Path) -> Recommender:
    """Over either index; the store knows "ann", who has the planted interests."""
    store.put_many([ann(planted)])
    copy = Bundle(shutil.copytree(planted.path, tmp_path / "bundle"))
    return Recommender(build_index(copy, request.param, HnswSettings(), progress=False), store)


def user(
    user_id: str, history: tuple[str, ...], capsules: Capsules, profile: dict[str, str] | None = None
) -> UserState:
    times = tuple(range(1_700_000_000_000, 1_700_000_000_000 + len(history)))
    return UserState(
        user_id, History(history, times, ("",) * len(history)), capsules, Position("life", 0, 7), profile or {}
    )


def ann(bundle: Bundle) -> UserState:
    """A user with one capsule along each axis."""
    vectors = np.eye(2, bundle.manifest.dim, dtype=np.float32)
    return user("ann", HISTORY, Capsules(vectors, np.array([0.6, 0.4], dtype=np.float32), bundle.version))


def test_candidates_name_the_interest_that_brought_each(recommender: Recommender) -> None:
    found = recommender.recommend("ann", 5)
    assert found.item_ids == ["tea-1", "bike-1", "tea-2", "bike-2", "tea-3"]
    assert found.scores == [4, 3.5, 3, 2.5, 2]
    assert found.capsule == [0, 1, 0, 1, 0]
    assert found.path == "capsules"
    assert found.model_version == "by-hand"


def test_interests_name_the_behaviours_that_formed_them(recommender: Recommender) -> None:
    """The strongest first, of equal ones the most recent; each item once."""
    teas, bikes = recommender.recommend("ann", 1).interests
    assert [(one.item_id, one.weight) for one in teas.behaviours] == [
        ("tea-1", 1.0),
        ("tea-2", 0.5),
        ("bike-1", 0.25),
        ("bike-2", 0.25),
    ]
    assert [(one.item_id, one.weight) for one in bikes.behaviours] == [
        ("bike-1", 0.75),
        ("bike-2", 0.75),
        ("tea-2", 0.5),
    ]
    assert (teas.importance, bikes.importance) == pytest.approx((0.6, 0.4))


def test_seen_items_are_left_out_when_asked(recommender: Recommender) -> None:
    found = recommender.recommend("ann", 3, exclude_seen=True)
    assert found.item_ids == ["tea-3", "bike-3", "both"]
    assert found.capsule == [0, 1, 0]
    assert recommender.recommend("ann", 99, exclude_seen=True).item_ids == ["tea-3", "bike-3", "both", "neither"]


def test_more_than_there_are(recommender: Recommender) -> None:
    found = recommender.recommend("ann", 1_000)
    assert sorted(found.item_ids) == sorted(PLANTED)
    assert found.item_ids[-2:] == ["both", "neither"]
    assert found.scores[-2:] == [1, -1]
    assert len(recommender.recommend("nobody", 1_000).item_ids) == len(PLANTED)


def test_an_unknown_user_gets_popular_items_marked_as_such(recommender: Recommender) -> None:
    found = recommender.recommend("nobody", 4)
    assert found.item_ids == ["tea-2", "bike-2", "bike-1", "neither"]  # the first two are equal: by row
    assert found.scores == [9, 9, 5, 4]
    assert found.capsule == [-1] * 4
    assert found.interests == []
    assert found.path == "popular"
    assert found.model_version == "by-hand"
    without = recommender.recommend("nobody", 2, exclude=frozenset({"tea-2", "bike-1", "gone"}))
    assert without.item_ids == ["bike-2", "neither"]


NO_CAPSULES = Capsules(np.zeros((0, 2), "f4"), np.zeros(0, "f4"), "by-hand")


def refusing(state: UserState, *item_ids: str) -> UserState:
    """The same user, who has refused these items."""
    items = tuple(ItemFeedback(item_id, 1_700_000_000_000, "") for item_id in item_ids)
    return msgspec.structs.replace(state, feedback=Feedback(items))


ASKED: list[dict[str, Any]] = [
    {},
    {"exclude_seen": True},
    {"exclude": frozenset({"both"})},
    {"where": {"category": frozenset({"bike", "tea"})}},
    {"quota": 2},
    {"diversity": 0.1, "max_cosine": 0.9999},
    {"by_importance": True, "min_score": 0.5},
]


@pytest.mark.parametrize("wanted", ASKED, ids=lambda wanted: "-".join(wanted) or "plain")  # sets have no one order
@pytest.mark.parametrize("user_id", ["ann", "bob", "cleo"])
def test_refused_items_never_come_back(
    recommender: Recommender, store: LmdbStore, planted: Bundle, wanted: dict[str, Any], user_id: str
) -> None:
    """By capsules, among popular items, and among those of the category that a profile names."""
    users = {
        "ann": ann(planted),
        "bob": user("bob", (), NO_CAPSULES),
        "cleo": user("cleo", (), NO_CAPSULES, {"category": "bike"}),
    }
    before = recommender.recommend_for(users[user_id], 1_000, **wanted).item_ids
    refused = before[:2]
    assert len(before) > 2
    store.put_many([refusing(users[user_id], *refused, "gone")], {"ann": users["ann"].position})
    found = recommender.recommend(user_id, 1_000, **wanted)
    assert found.path == recommender.recommend_for(users[user_id], 1, **wanted).path
    assert not set(refused) & set(found.item_ids)
    if not set(wanted) & {"quota", "max_cosine"}:  # with these others take their place
        assert found.item_ids == before[2:]


def test_n_items_come_back_all_the_same(recommender: Recommender, planted: Bundle) -> None:
    found = recommender.recommend_for(refusing(ann(planted), "tea-1", "bike-1"), 3)
    assert found.item_ids == ["tea-2", "bike-2", "tea-3"]


def test_a_refused_item_that_the_model_does_not_know_keeps_nothing_out(
    recommender: Recommender, planted: Bundle
) -> None:
    assert len(recommender.recommend_for(refusing(ann(planted), "gone"), 99).item_ids) == len(PLANTED)


def test_a_refused_item_is_refused_by_its_user_only(recommender: Recommender, planted: Bundle) -> None:
    states = [refusing(ann(planted), "tea-1"), None, ann(planted)]
    refused, nobody, other = recommender.recommend_for_many(states, Request(99))
    assert "tea-1" not in refused.item_ids
    assert "tea-1" in nobody.item_ids
    assert "tea-1" in other.item_ids
    assert "tea-1" in recommender.similar("tea-2", Request(99)).item_ids


def test_an_item_that_was_added_since_can_be_refused(planted: Bundle, store: LmdbStore, tmp_path: Path) -> None:
    with LmdbOverlayStore(tmp_path / "items") as items, Overlay(items) as overlay:
        recommender = Recommender(planted, store, overlay)
        recommender.catalogue.put(Item("tea-new", "A new tea", "Audio"))
        for state in (ann(planted), msgspec.structs.replace(ann(planted), history=History(), capsules=NO_CAPSULES)):
            assert "tea-new" in recommender.recommend_for(state, 99).item_ids
            assert "tea-new" not in recommender.recommend_for(refusing(state, "tea-new"), 99).item_ids


def test_no_bonus_brings_a_refused_item_back(planted: Bundle, store: LmdbStore, tmp_path: Path) -> None:
    """A state may be of a history from before the refusal: what is refused is refused."""
    path = shutil.copytree(planted.path, tmp_path / "bonus")
    write_manifest(path, replace(planted.manifest, repeat_bonus=[9.0] * planted.manifest.history_length))
    recommender = Recommender(str(path), store)
    assert recommender.recommend_for(ann(planted), 1).item_ids == ["tea-1"]
    assert "tea-1" not in recommender.recommend_for(refusing(ann(planted), "tea-1"), 99).item_ids


@pytest.mark.parametrize("version", ["by-hand", "older"])
def test_a_user_whose_items_are_all_unknown_gets_popular_items(
    recommender: Recommender, store: LmdbStore, version: str
) -> None:
    [capsules] = recommender.extractor.encode([["gone", "lost"]])
    store.put_many([user("bob", ("gone", "lost"), msgspec.structs.replace(capsules, model_version=version))])
    found = recommender.recommend("bob", 2, exclude_seen=True)
    assert found.item_ids == ["tea-2", "bike-2"]
    assert found.path == "popular"


@pytest.mark.parametrize("user_id", ["ann", "nobody", ""])
@pytest.mark.parametrize("n", [0, -1])
def test_n_is_at_least_one(recommender: Recommender, user_id: str, n: int) -> None:
    with pytest.raises(ValueError, match=f"n is {n}; it must be at least 1"):
        recommender.recommend(user_id, n)


@pytest.mark.parametrize("user_id", ["", "x" * 600, "Zoë"])
def test_any_name_may_be_asked_for(recommender: Recommender, user_id: str) -> None:
    assert recommender.recommend(user_id, 1).path == "popular"


def test_capsules_of_another_model_are_made_anew_from_the_history(bundle: Bundle, store: LmdbStore) -> None:
    history = tuple(bundle.item_ids[3:13])
    profile = {"region": "north", "age": "25-34"}
    [right] = in_half_precision(Extractor(bundle).encode([history], [profile]))
    strange = Capsules(np.ones((1, 3), np.float32), np.ones(1, np.float32), "another")
    store.put_many([user("new", history, right, profile), user("old", history, strange, profile)])
    recommender = Recommender(bundle, store)
    found = recommender.recommend("old", 20)
    assert found == recommender.recommend("new", 20)
    assert found.path == "capsules"
    assert found.model_version == bundle.version
    scores = (right.vectors.astype(np.float32) @ bundle.item_embeddings.T).max(0)
    scores += raised_by(bundle, bundle.rows.known(history)).spread(len(scores))
    scores[3:13] = -np.inf
    unseen = recommender.recommend("old", 20, exclude_seen=True)
    assert unseen.item_ids == [bundle.item_ids[row] for row in np.argsort(-scores)[:20]]
    assert len(found.interests) == len(right.vectors) == 4
    [without_profile] = Extractor(bundle).encode([history])
    assert not np.allclose(without_profile.vectors, right.vectors)
    [stored] = store.get_many(["old"])
    assert stored is not None
    assert stored.capsules.model_version == "another"  # the recommender only reads


def test_query_prints_a_table_or_json(planted: Bundle, tmp_path: Path) -> None:
    Registry(tmp_path / "models").publish(planted.path)
    with LmdbStore(tmp_path / "state") as store:
        store.put_many([ann(planted)])
    table = run_index(tmp_path, "query", "ann", "-n", "3", "--exclude-seen")
    assert (table.returncode, table.stderr) == (0, "")
    assert table.stdout.splitlines() == [
        "model by-hand, path: capsules",
        "interest 0 (60 % of the behaviours): tea number 1 100 %; tea number 2 50 %; bike number 1 25 %",
        "interest 1 (40 % of the behaviours): bike number 1 75 %; bike number 2 75 %; tea number 2 50 %",
        "     2.000  interest 0  tea number 3 (tea)",
        "     1.500  interest 1  bike number 3 (bike)",
        "     1.000  interest 0  both (both)",
    ]
    popular = run_index(tmp_path, "query", "nobody", "-n", "1")
    assert popular.stdout.splitlines() == ["model by-hand, path: popular", "     9.000  popular     tea number 2 (tea)"]
    asked = [
        "--category",
        "bike",
        "--where",
        "category=both",
        "--exclude",
        "bike-1",
        "--quota",
        "1",
        "--min-score",
        "1",
    ]
    chosen = run_index(tmp_path, "query", "ann", *asked, "--by-importance", "--diversity", "0.1", "--max-cosine", "0.9")
    assert [line.split("  ")[-1] for line in chosen.stdout.splitlines()[3:]] == ["bike number 2 (bike)", "both (both)"]
    found = json.loads(run_index(tmp_path, "query", "ann", "--n", "2", "--json").stdout)
    assert found["item_ids"] == ["tea-1", "bike-1"]
    assert found["capsule"] == [0, 1]
    assert found["interests"][0]["behaviours"][0] == {"item_id": "tea-1", "weight": 1.0}
    assert found["path"] == "capsules"


def test_what_others_wrote_does_nothing_to_the_terminal(planted: Bundle, tmp_path: Path) -> None:
    """An item_id stands in a bundle and in histories as somebody's log or Kafka brought it."""
    odd = "gone\x1b[2J\x9b\x7f\u202e\ntwo"
    path = shutil.copytree(planted.path, tmp_path / "by-hand")
    write_planted(path, [odd if one == "tea-1" else one for one in PLANTED])
    files = {name: describe_file(path / name) for name in REQUIRED}
    write_manifest(path, replace(planted.manifest, files=files))
    Registry(tmp_path / "models").publish(path)
    state = ann(planted)
    history = History((odd, "tea-2"), state.history.event_times_ms[:2], ("", ""))
    with LmdbStore(tmp_path / "state") as store, LmdbOverlayStore(tmp_path / "state" / "items") as items:
        store.put_many([msgspec.structs.replace(state, history=history)])
        items.write({"tea-2": Item("tea-2", odd, odd)})
    table, found = run_index(tmp_path, "query", "ann"), run_index(tmp_path, "query", "ann", "--json")
    assert all(line.isprintable() for line in table.stdout.splitlines())
    assert r"gone\x1b[2J\x9b\x7f\u202e\ntwo 50 %" in table.stdout
    assert r"gone\x1b[2J\x9b\x7f\u202e\ntwo (gone" in table.stdout
    assert found.stdout.rstrip("\n").isprintable()
    assert json.loads(found.stdout)["interests"][0]["behaviours"][0]["item_id"] == odd


def test_build_adds_the_index(bundle: Bundle, tmp_path: Path) -> None:
    path = shutil.copytree(bundle.path, tmp_path / "bundle")
    done = run_index(tmp_path, "build", str(path), "--kind", "hnsw", "--m", "8", "--ef", "60")
    assert (done.returncode, done.stdout) == (0, f"{path}: hnsw index of 600 items\n")
    built = Bundle(path)
    built.verify()
    assert LINKS in built.manifest.files
    assert (built.manifest.index["m"], built.manifest.index["ef"]) == (8, 60)


@pytest.mark.parametrize("recall", [0.5, 1.0])
def test_build_says_the_breadth_that_it_measured(bundle: Bundle, tmp_path: Path, recall: float) -> None:
    """Two links an item do not lead everywhere, however broad the search."""
    path = shutil.copytree(bundle.path, tmp_path / "bundle")
    options = ["--kind", "hnsw", "--m", "2", "--ef-construction", "2", "--recall", str(recall)]
    done = run_index(tmp_path, "build", str(path), *options)
    assert done.returncode == 0
    index = Bundle(path).manifest.index
    assert done.stdout.splitlines()[1:] == [
        f"N = {n}: ef {index['ef'][n]}, recall {index['recall'][n]:.4f}" for n in ("10", "100")
    ]
    missed = [f"{n} ({found:.4f})" for n, found in index["recall"].items() if found < recall]
    assert bool(missed) is (recall == 1)
    said = f"warning: no breadth that was tried has recall {recall} at N = {', '.join(missed)}, so the largest is taken"
    assert ("warning" in done.stderr, said in done.stderr.splitlines()[-1]) == (bool(missed), bool(missed))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["query", "ann"], "error: no model was published in"),
        (["build", "no-such-folder"], "error: bundle: path 'no-such-folder' does not exist; see `"),
        (["query", "ann", "--n", "0"], "error: --n / -n is 0; it must be greater than or equal to 1; see `"),
        (["query", "ann", "--where", "tea"], "error: --where is 'tea'; right is attribute=value"),
        (["query", "ann", "--max-cosine", "2"], "error: max_cosine is 2.0; right is at least 0 and below 1"),
        (["query"], "error: Missing argument 'user'; see `"),
        (["sort"], "error: No such command 'sort'; see `"),
    ],
)
def test_what_cannot_be_done_is_said_without_a_traceback(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = run_index(tmp_path, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    if message.startswith("error"):
        assert done.stderr.count("\n") == 1


def test_an_unknown_kind_is_said(planted: Bundle, tmp_path: Path) -> None:
    done = run_index(tmp_path, "build", str(planted.path), "--kind", "annoy")
    assert done.returncode == 2
    assert done.stderr == "error: the kind of index is 'annoy'; right is auto, exact or hnsw\n"


@pytest.mark.parametrize(
    ("arguments", "words"), [([], ["build", "query"]), (["query"], ["--exclude-seen", "--diversity", "--json"])]
)
def test_help_names_what_there_is(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    done = run_index(tmp_path, *arguments, "--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in words)
