"""Items that are put, changed and removed at run time: as if they had been in the catalogue all along."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace as with_fields
from typer.testing import CliRunner, Result

from index.catalogue.catalogue import Catalogue
from index.catalogue.item import Item, to_json
from index.catalogue.item_vectors import ItemVectors
from index.catalogue.lmdb_overlay import LmdbOverlayStore
from index.catalogue.overlay import Overlay
from index.catalogue.side_features import SideFeatures
from index.catalogue.snapshot import CatalogueSnapshot
from index.commands.app import app
from index.recommend.explain import candidates_as_text
from index.recommend.recommender import Recommender
from index.recommend.request import Request
from index.search.beam import BeamIndex
from index.search.exact import ExactIndex
from index.search.hnsw import HnswSettings
from index.search.index_files import build_index, open_index
from index.search.maxsim import Allowed
from index.search.overlaid_index import OverlaidIndex
from mindstream.settings import load
from model_export.bundle.bundle import (
    FEATURES,
    ITEM_EMBEDDINGS,
    REQUIRED,
    ROUTING_LOGITS,
    Bundle,
    describe_file,
    write_manifest,
)
from model_export.bundle.items.arrow_files import write_items
from model_export.bundle.registry import Registry
from model_export.bundle.serving import Serving
from model_export.data.dataset import new_features
from model_export.models.checkpoint import Checkpoint
from stream.store.lmdb_store import LmdbStore
from tests.support.index_world import run_index, state_of

NO_PLACE_FOR_IT = "a recommender that was given an overlay"


@pytest.fixture(scope="module")
def store(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LmdbStore]:
    """ "ann" and "bob" have four interests each, "cold" only a profile that names a category."""
    with LmdbStore(tmp_path_factory.mktemp("state")) as store:
        ids = bundle.item_ids
        store.put_many([state_of(bundle, "ann", ids[3:300:20]), state_of(bundle, "bob", ids[5:25])])
        cold = {"category": bundle.catalogue.category[0]}
        store.put_many([with_fields(state_of(bundle, "cold", []), profile=cold)])
        yield store


@pytest.fixture
def overlay_store(tmp_path: Path) -> Iterator[LmdbOverlayStore]:
    with LmdbOverlayStore(tmp_path / "items") as store:
        yield store


@pytest.fixture
def overlay(overlay_store: LmdbOverlayStore) -> Overlay:
    return Overlay(overlay_store)


@pytest.fixture
def recommender(bundle: Bundle, store: LmdbStore, overlay: Overlay) -> Recommender:
    return Recommender(bundle, store, overlay)


def like(bundle: Bundle, item_id: str, row: int = 0, **fields: Any) -> Item:
    """An item with category and price of one that the bundle knows."""
    item = Item(item_id, f"New {item_id}", bundle.catalogue.category[row], bundle.catalogue.price[row])
    return replace(item, **fields)


def trained_with(bundle: Bundle, snapshot: CatalogueSnapshot, path: Path, version: str = "") -> Bundle:
    """A bundle whose catalogue has these items, in the same rows: the oracle of the overlay."""
    shutil.copytree(bundle.path, path)
    new = [snapshot.item_id(row) for row in snapshot.view.new_rows.tolist()]  # as they stand among popular ones
    ids = [*bundle.item_ids, *new]
    features, vectors = SideFeatures(bundle), ItemVectors(bundle)
    made = [vectors.of(item) for item_id in new if (item := snapshot.shown(item_id))]
    np.save(path / ITEM_EMBEDDINGS, np.array([*bundle.item_embeddings, *made], dtype=np.float32))
    logits = np.zeros((len(new), bundle.manifest.num_interests), dtype=np.float32)
    np.save(path / ROUTING_LOGITS, np.concatenate([bundle.routing_logits, logits]))
    shown = [item for item_id in ids if (item := snapshot.shown(item_id))]
    values = [features.values_of(item) for item in shown]
    write_items(
        path,
        ids,
        title=[item.title for item in shown],
        category=[item.category for item in shown],
        price=[item.price for item in shown],
        popularity=[*bundle.catalogue.popularity, *([0] * len(new))],
        attributes={
            name: [list(mine.get(name, ())) for mine in values]
            for name in sorted({name for mine in values for name in mine})
        },
    )
    files = {name: describe_file(path / name) for name in REQUIRED}
    version = version or bundle.version
    write_manifest(path, replace(bundle.manifest, version=version, items=len(ids), files=files))
    return Bundle(path)


CATEGORIES = st.sampled_from([0, 1, 2, 3])
PRICES = st.sampled_from([None, 0.0, 5.0, 20.0, 1e6])
BRANDS = st.lists(st.sampled_from(["acme", "apex"]), max_size=2, unique=True)


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[str, int, float | None, str, list[str]]]:
    """Item (a new one or a known row), and how it is put: a row like it (-1: removed), price, new category, brand."""
    which = st.one_of(st.sampled_from([f"new-{number}" for number in range(8)]), st.integers(0, 599).map(str))
    one = st.tuples(which, st.integers(-1, 599), PRICES, st.sampled_from(["", "", "", "Unheard of"]), BRANDS)
    return draw(st.lists(one, min_size=1, max_size=25))


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "n": draw(st.sampled_from([1, 7, 40, 700])),
        "exclude_seen": draw(st.booleans()),
        "min_score": draw(st.sampled_from([None, None, 0.2])),
        "quota": draw(st.sampled_from([None, None, 3])),
        "by_importance": draw(st.booleans()),
        "diversity": draw(st.sampled_from([0.0, 0.3])),
        "max_cosine": draw(st.sampled_from([None, None, 0.8])),
    }


@given(changes(), requests(), st.booleans(), st.booleans(), st.integers(0, 10))
@hypothesis_settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_answers_are_those_of_a_catalogue_that_had_it_all(
    bundle: Bundle,
    store: LmdbStore,
    tmp_path_factory: pytest.TempPathFactory,
    made: list[tuple[str, int, float | None, str, list[str]]],
    wanted: dict[str, Any],
    filtered: bool,
    branded: bool,
    out: int,
) -> None:
    folder = tmp_path_factory.mktemp("oracle")
    with LmdbOverlayStore(folder / "items") as overlay_store:
        recommender = Recommender(bundle, store, Overlay(overlay_store))
        for name, row, price, category, brands in made:
            item_id = name if name.startswith("new") else bundle.item_ids[int(name)]
            if row < 0:
                recommender.catalogue.remove(item_id)
                continue
            mine = {"brand": brands} if brands else {}
            item = like(bundle, item_id, row, price=price, attributes=mine)
            if item_id in bundle.rows and category:
                item = replace(item, category=category)
            recommender.catalogue.put(item)
            _ = recommender.catalogue.current.category  # asked for, so that the next is made of it
        current = recommender.catalogue.current
        gone = [item_id for item_id, item in current.entries.items() if item is None]
        oracle = Recommender(trained_with(bundle, current, folder / "bundle"), store)
        brands_put = {brand for item in current.entries.values() if item for brand in item.attributes.get("brand", [])}
        where = (
            {"category": frozenset(bundle.catalogue.category[:4]) | {bundle.catalogue.category[9]}} if filtered else {}
        )
        if branded and brands_put:  # an attribute of which the bundle knows nothing
            where = {"brand": frozenset(brands_put)}
        ids = [*bundle.item_ids[::60], *current.new_ids[:3]]
        request = Request(where=where, exclude=frozenset(ids[:out]), **wanted)
        blocked = [*ids[out:]][:3]
        recommender.filters.block(blocked)
        oracle.filters.block([*blocked, *gone])
        users = ["ann", "nobody", "bob", "cold"]
        assert recommender.recommend_many(users, request) == oracle.recommend_many(users, request)


@pytest.mark.parametrize("size", [1, 40])
def test_over_a_graph_too(bundle: Bundle, tmp_path: Path, size: int) -> None:
    built = build_index(
        Bundle(shutil.copytree(bundle.path, tmp_path / "b")), "hnsw", HnswSettings(ef=600), progress=False
    )
    rng = np.random.default_rng(4)
    new = rng.normal(size=(size, 16)).astype(np.float32)
    graph = open_index(built)
    assert isinstance(graph, BeamIndex)
    graph.break_even = 0
    both = OverlaidIndex(graph, ExactIndex(new))
    right = ExactIndex(np.concatenate([built.item_embeddings, new]))
    users = [rng.normal(size=(k, 16)).astype(np.float32) for k in (1, 3, 4)]
    mask = rng.random(600 + size) < 0.7
    for n, allowed in (
        (5, None),
        (30, Allowed(mask)),
        (700, Allowed(mask)),
        (10, Allowed(np.arange(600 + size) >= 600)),
    ):
        out = [[0, 600], [], range(590, 600 + size)]
        for one, other in zip(
            both.search_many(users, n, out, allowed), right.search_many(users, n, out, allowed), strict=True
        ):
            assert one.rows.tolist() == other.rows.tolist()
            assert one.capsule.tolist() == other.capsule.tolist()


def test_a_new_item_is_found_and_shown(recommender: Recommender, bundle: Bundle) -> None:
    best = recommender.recommend("ann", 1).item_ids[0]
    before = recommender.recommend("ann", 700).item_ids
    recommender.catalogue.put(like(bundle, "brand-new", bundle.rows[best]))
    found = recommender.recommend("ann", 700)
    assert [item_id for item_id in found.item_ids if item_id != "brand-new"] == before
    assert "brand-new" in found.item_ids
    assert recommender.recommend("nobody", 700).item_ids[-1] == "brand-new"
    where = {"category": frozenset({bundle.catalogue.category[bundle.rows[best]]})}
    assert "New brand-new" in candidates_as_text(
        recommender.recommend("ann", 700, where=where), recommender.catalogue.current
    )
    assert recommender.catalogue.get("brand-new") == like(bundle, "brand-new", bundle.rows[best])


def test_an_embedding_is_the_one_that_cold_items_are_measured_with(bundle: Bundle, checkpoint: Checkpoint) -> None:
    known, features = bundle.catalogue, SideFeatures(bundle)
    made = [like(bundle, str(row), row) for row in range(0, 600, 50)]
    made += [Item("a", "", known.category[0]), Item("b", "", "", 3.0), Item("c", "", "Unheard of", known.price[1])]
    rows = [{"item_id": i.item_id, "title": "", "category": i.category, "price": i.price} for i in made]
    frame = pd.DataFrame(rows).astype({"category": "str", "price": float})
    coded = torch.from_numpy(new_features(frame, [], checkpoint.vocabulary))
    with torch.no_grad():
        expected = checkpoint.model.eval().embed_new(coded).numpy()
    found = np.stack([vector for item in made if (vector := features.embedding(item)) is not None])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32
    assert features.embedding(Item("d", "", "Unheard of")) is None


def test_values_count_once_and_only_the_first_ones(bundle: Bundle, tmp_path: Path) -> None:
    """Tables made by hand: "tags" of 40 values, each along an axis of its own; no unit length."""
    path = shutil.copytree(bundle.path, tmp_path / "tagged")
    tags = [f"tag-{number}" for number in range(40)]
    np.savez(path / FEATURES, tags=np.eye(41, dtype=np.float32)[:, 1:], price_edges=np.zeros(0))
    model = {**bundle.manifest.model, "unit_length": False}
    write_manifest(path, replace(bundle.manifest, feature_fields={"tags": tags}, model=model))
    features = SideFeatures(Bundle(path))

    def embedded(*values: str) -> np.ndarray:
        found = features.embedding(Item("x", "X", price=3.0, attributes={"tags": list(values), "more": ["tag-9"]}))
        assert found is not None
        return found

    np.testing.assert_allclose(
        embedded("tag-0", "tag-2", "tag-0", "other"), np.eye(40)[[0, 2]].sum(0) / 3
    )  # the id is zeros
    assert np.flatnonzero(embedded(*tags)).tolist() == list(range(32))


def test_a_known_item_that_is_put_keeps_its_vector(recommender: Recommender, bundle: Bundle) -> None:
    before = recommender.recommend("ann", 5)
    changed = before.item_ids[2]
    recommender.catalogue.put(Item(changed, "Other words", "Unheard of", 1.0, {"brand": ["acme"]}))
    assert recommender.recommend("ann", 5) == before
    assert recommender.recommend("ann", 5, where={"category": frozenset({"Unheard of"})}).item_ids == [changed]
    old = {"category": frozenset({bundle.catalogue.category[bundle.rows[changed]]})}
    assert changed not in recommender.recommend("ann", 700, where=old).item_ids
    assert recommender.recommend("ann", 5, where={"brand": frozenset({"acme"})}).scores == pytest.approx(
        [before.scores[2]]
    )
    assert "Other words (Unheard of)" in candidates_as_text(before, recommender.catalogue.current)


def test_what_was_removed_comes_back_when_it_is_put_again(recommender: Recommender, bundle: Bundle) -> None:
    before = recommender.recommend("ann", 700).item_ids
    recommender.catalogue.put(like(bundle, "new"))
    for item_id in (before[0], "new", "nobody knows it"):
        recommender.catalogue.remove(item_id)
        assert recommender.catalogue.get(item_id) is None
    for user in ("ann", "nobody"):
        assert {before[0], "new"}.isdisjoint(recommender.recommend(user, 700).item_ids)
        assert len(recommender.recommend(user, 700).item_ids) == 599
    assert recommender.catalogue.entries() == {before[0]: None, "new": None, "nobody knows it": None}
    for item_id in (before[0], "new"):
        recommender.catalogue.put(like(bundle, item_id))
    found = recommender.recommend("ann", 700).item_ids
    assert found[0] == before[0]
    assert "new" in found


def test_what_was_removed_comes_back_when_it_is_restored(recommender: Recommender, bundle: Bundle) -> None:
    before = recommender.recommend("ann", 700)
    best, second = before.item_ids[:2]
    recommender.catalogue.put_many([like(bundle, "new"), Item(second, "Other words")])
    with_new = recommender.recommend("ann", 700)
    for item_id in (best, second, "new", "nobody knows it"):
        recommender.catalogue.remove(item_id)
    assert {best, second, "new"}.isdisjoint(recommender.recommend("ann", 700).item_ids)
    restored = [recommender.catalogue.restore(item_id) for item_id in (best, second, "new", "nobody knows it")]
    known = recommender.catalogue.base.item(bundle.rows[best])
    assert restored == [known, Item(second, "Other words"), like(bundle, "new"), None]
    assert recommender.recommend("ann", 700) == with_new
    assert set(recommender.catalogue.entries()) == {second, "new"}
    assert recommender.catalogue.restore(best) == known  # it is not removed
    with pytest.raises(ValueError, match="has 0 bytes"):
        recommender.catalogue.restore("")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"category": "Unheard of", "price": None},
            r"knows no value of item 'x'; those it knows are category: .*others",
        ),
        ({"title": ""}, "the title of item 'x' is ''"),
        ({"item_id": ""}, r"the item_id '' has 0 bytes; right is 1 to 511"),
        ({"item_id": "\N{SNOWMAN}" * 171}, "has 513 bytes"),
        ({"price": float("nan")}, "the price of item 'x' is nan; right is a finite number"),
        ({"attributes": {"category": ["a"]}}, "has an attribute 'category'; right is any other name"),
        ({"attributes": {"": ["a"]}}, "has an attribute ''"),
        ({"attributes": {"colour": ["red"] * 5_000}}, "bytes as JSON; right is at most 16,384"),
        ({"title": "\ud800"}, "cannot be written as UTF-8"),
    ],
)
def test_what_is_wrong_with_an_item_is_said(
    recommender: Recommender, bundle: Bundle, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        recommender.catalogue.put_many([like(bundle, "y"), replace(like(bundle, "x"), **fields)])
    assert recommender.catalogue.entries() == {}


def test_without_an_overlay_nothing_can_be_put(bundle: Bundle, store: LmdbStore) -> None:
    catalogue = Recommender(bundle, store).catalogue
    with pytest.raises(ValueError, match=NO_PLACE_FOR_IT):
        catalogue.put(like(bundle, "new"))
    with pytest.raises(ValueError, match=NO_PLACE_FOR_IT):
        catalogue.restore("new")
    assert (catalogue.entries(), catalogue.prune()) == ({}, 0)
    assert catalogue.get(bundle.item_ids[4]) == like(bundle, bundle.item_ids[4], 4, title=bundle.catalogue.title[4])


def test_it_survives_a_restart(bundle: Bundle, store: LmdbStore, tmp_path: Path) -> None:
    answers = []
    for turn in range(2):
        with LmdbOverlayStore(tmp_path / "items") as overlay_store:
            recommender = Recommender(bundle, store, Overlay(overlay_store))
            if turn == 0:
                recommender.catalogue.put_many([like(bundle, "new"), like(bundle, "newer", 7)])
                recommender.catalogue.remove(bundle.item_ids[0])
            answers.append(recommender.recommend("ann", 700))
    assert answers[0] == answers[1]
    assert {"new", "newer"} <= set(answers[0].item_ids)


def test_what_others_write_is_seen_while_it_is_followed(
    bundle: Bundle, store: LmdbStore, overlay_store: LmdbOverlayStore
) -> None:
    with Overlay(overlay_store) as mine, Overlay(overlay_store) as others:
        recommender = Recommender(bundle, store, mine)
        for n, entry in enumerate([like(bundle, "new"), None, like(bundle, "new", 3)]):
            others.write({"new": entry})
            deadline = time.monotonic() + 480
            while recommender.catalogue.get("new") != entry:
                assert time.monotonic() < deadline, n
                time.sleep(0.02)
            assert ("new" in recommender.recommend("ann", 700).item_ids) is (entry is not None)


@pytest.mark.parametrize(
    "wrong",
    [{"attributes": {"brand": "acme"}}, {"category": None}, {"price": Decimal("49.9")}, {"title": 3}, {"item_id": 7}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_could_not_be_read_back_is_not_written(
    wrong: dict[str, Any], bundle: Bundle, store: LmdbStore, overlay: Overlay
) -> None:
    catalogue = Recommender(bundle, store, overlay).catalogue
    good = like(bundle, "good")
    with pytest.raises(ValueError, match=r"right is|cannot be kept"):
        catalogue.put_many([good, replace(like(bundle, "bad"), **wrong)])
    assert catalogue.entries() == {}
    catalogue.put(replace(good, price=49))
    assert Overlay(overlay.store).current == {"good": replace(good, price=49.0)}
    assert overlay.forget(catalogue.entries()) == 1


def test_bundles_take_turns_over_one_item_store(
    bundle: Bundle, store: LmdbStore, overlay: Overlay, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "models")
    registry.publish(bundle.path)
    serving = Serving(registry, lambda bundle: Recommender(bundle, store, overlay))
    old = serving.current
    old.catalogue.put_many([like(bundle, "absorbed"), like(bundle, "kept", 5)])
    old.catalogue.remove("nobody knows it")
    found = old.recommend("ann", 700)
    with LmdbOverlayStore(tmp_path / "others") as others:
        trained = Catalogue(bundle, Overlay(others))
        trained.put(like(bundle, "absorbed"))
        next_one = trained_with(bundle, trained.current, tmp_path / "next", version="z-next")
    vectors = np.array(next_one.item_embeddings)
    vectors[600] = 9 * vectors[int(np.argmax(vectors @ vectors[3]))]  # training has learned something else
    np.save(next_one.path / ITEM_EMBEDDINGS, vectors)
    files = {name: describe_file(next_one.path / name) for name in REQUIRED}
    write_manifest(next_one.path, replace(next_one.manifest, files=files, blend={}))
    registry.publish(next_one.path)
    assert serving.look()
    new = serving.current
    assert new.catalogue.current.new_ids == ["kept"]
    answer = new.recommend("ann", 700)
    assert set(answer.item_ids) == set(found.item_ids)
    at, before = answer.item_ids.index("absorbed"), found.item_ids.index("absorbed")
    assert abs(answer.scores[at] - found.scores[before]) > 1e-3  # the bundle's own vector
    assert old.recommend("ann", 700) == found
    assert new.catalogue.prune() == 1
    assert set(new.catalogue.entries()) == {"kept", "nobody knows it"}  # what is removed stays so, in later bundles too
    assert new.recommend("ann", 700) == answer


def test_answers_are_whole_while_items_come_and_go(recommender: Recommender, bundle: Bundle, overlay: Overlay) -> None:
    """Two items always come and go together."""
    failures: list[BaseException] = []
    done = threading.Event()

    def change() -> None:
        for number in range(60):
            pair = [like(bundle, name, number, title=str(number)) for name in ("a", "b")]
            recommender.catalogue.put_many(pair)
            overlay.write(dict.fromkeys(["a", "b"]))

    def ask(user: str) -> None:
        while not done.is_set():
            current = recommender.catalogue.current
            shown = [item.title for name in ("a", "b") if (item := current.shown(name))]
            assert len(set(shown)) == (1 if shown else 0)
            assert len(shown) in (0, 2)
            assert len({"a", "b"} & set(recommender.recommend(user, 700).item_ids)) in (0, 2)

    def note_failure(work: Any, *arguments: str) -> None:
        try:
            work(*arguments)
        except BaseException as failure:
            failures.append(failure)

    asking = [threading.Thread(target=note_failure, args=(ask, user)) for user in ("ann", "nobody", "cold")]
    changing = threading.Thread(target=note_failure, args=(change,))
    for thread in (*asking, changing):
        thread.start()
    changing.join()
    done.set()
    for thread in asking:
        thread.join()
    assert failures == []
    assert (
        recommender.recommend("ann", 700).item_ids
        == Recommender(bundle, recommender.store).recommend("ann", 700).item_ids
    )


@pytest.fixture
def home(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with a published model."""
    Registry(tmp_path / "home" / "models").publish(bundle.path)
    monkeypatch.setenv("MINDSTREAM_HOME", str(tmp_path / "home"))
    load.cache_clear()
    yield tmp_path / "home"
    load.cache_clear()


def items_command(*words: str) -> Result:
    """`mindstream index items ...` within this process."""
    return CliRunner().invoke(app, ["items", *words])


def test_the_command_line_adds_lists_and_removes(home: Path, bundle: Bundle) -> None:
    category, known = bundle.catalogue.category[0], bundle.item_ids[2]
    words = ["--title", "New mug", "--category", category, "--price", "4.5"]
    done = items_command("add", "--id", "mug", *words, "--attribute", "colour=red", "--attribute", "colour=a=b")
    assert (done.exit_code, done.stdout) == (0, "mug: new\n")
    assert items_command("add", "--id", known, *words).stdout == f"{known}: known to the model, says this now\n"
    assert items_command("remove", known).stdout == f"{known}: removed\n"
    assert items_command("remove", "typo").stdout == "typo: removed, though nobody knew it\n"
    assert items_command("remove", "typo").stdout == "typo: was removed already\n"
    listed = items_command("list")
    mug = Item("mug", "New mug", category, 4.5, {"colour": ["red", "a=b"]})
    assert [Item(**json.loads(line)) for line in listed.stdout.splitlines()] == [mug]
    *removed, counts = listed.stderr.splitlines()
    assert removed == sorted(f"removed: {item_id}" for item_id in (known, "typo"))
    assert counts == "3 entries: 1 added, 2 removed, 0 that cannot be read"
    assert items_command("prune").stdout == "0 entries dropped, 3 left\n"
    assert items_command("restore", "typo").stdout == "typo: is known to nobody\n"
    assert items_command("restore", known).stdout == f"{known}: is there again\n"
    assert items_command("restore", known).stdout == f"{known}: is there, and was not removed\n"
    assert [json.loads(line)["item_id"] for line in items_command("list").stdout.splitlines()] == sorted(["mug", known])
    items_command("remove", known)
    found = run_index(home, "query", "nobody", "-n", "700", "--where", "colour=red")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.splitlines()[1:] == [f"     0.000  popular     New mug ({category})"]
    wrong = run_index(home, "items", "add", "--id", "x", "--title", "X", "--category", "Unheard of")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "error: the model knows no value of item 'x'; those it knows are category: " in wrong.stderr
    bad = items_command("add", "--id", "x", "--title", "X", "--attribute", "red")
    assert str(bad.exception) == "--attribute is 'red'; right is name=value"


def test_the_command_line_shows_ids_and_titles_as_they_can_be_seen(home: Path, bundle: Bundle) -> None:
    odd, category = "mug\x1b[2J\x9b\u202e\ntwo", bundle.catalogue.category[0]
    printed = [items_command("add", "--id", odd, "--title", odd, "--category", category).stdout]
    printed.append(items_command("list").stdout)
    assert Item(**json.loads(printed[-1])) == Item(odd, odd, category)
    printed.append(items_command("remove", odd).stdout)
    printed.append(items_command("list").stderr.splitlines()[0])
    printed.append(items_command("restore", odd).stdout)
    for text in printed:
        assert text.rstrip("\n").isprintable()
        assert "mug" in text


def test_the_command_line_loads_a_file(home: Path, bundle: Bundle, tmp_path: Path) -> None:
    good = [to_json(like(bundle, f"new-{number}")).decode() for number in range(3)]
    file = tmp_path / "items.jsonl"
    file.write_text("\n".join([good[0], "", "{", '{"item_id": "x"}', good[1], '{"item_id": "y", "title": "Y"}']))
    done = items_command("load", str(file))
    assert str(done.exception) == f"{file}: 3 of 5 lines are no items; none was added"
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == ["line 3", "line 4", "line 6"]
    assert "missing required field `title`" in done.stdout
    assert items_command("list").stdout == ""
    file.write_text('{"item_id": "y", "title": "Y", "atributes": {}}')
    assert (
        "this is no item: 'atributes' is not known; right is any of item_id, title"
        in items_command("load", str(file)).stdout
    )
    file.write_text("\n".join(good))
    assert items_command("load", str(file)).stdout == "3 items added\n"
    for wrong, why in ((tmp_path / "none.jsonl", "No such file or directory"), (tmp_path, "Is a directory")):
        said = str(items_command("load", str(wrong)).exception)
        assert said == f"{wrong} cannot be read: {why}; right is a file of JSON lines, one item a line"
    listed = items_command("list").stdout
    assert listed.splitlines() == good
