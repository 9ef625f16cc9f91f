"""What keeps an overlay in bounds: removals that are forgotten, a time to live, many items at once, what is said."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from index.catalogue.catalogue import Catalogue
from index.catalogue.item import Item
from index.catalogue.item_vectors import TITLE_APART, ItemVectors
from index.catalogue.lmdb_overlay import LmdbOverlayStore
from index.catalogue.overlay import Overlay
from index.commands.app import app
from index.search.exact import ExactIndex
from mindstream.settings import load
from model_export.bundle.bundle import Bundle
from model_export.bundle.registry import Registry
from tests.support.overlay.stores import at, spoil

DAY_S = 86_400


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbOverlayStore]:
    with LmdbOverlayStore(tmp_path / "items") as store:
        yield store


@pytest.fixture
def catalogue(bundle: Bundle, store: LmdbOverlayStore) -> Catalogue:
    return Catalogue(bundle, Overlay(store))


def mug(bundle: Bundle, item_id: str, title: str = "A mug", **fields: object) -> Item:
    return Item(item_id, title, bundle.catalogue.category[0], bundle.catalogue.price[0], **fields)  # type: ignore[arg-type]


def test_removals_of_what_nobody_knows_do_not_fill_the_store(
    catalogue: Catalogue, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.catalogue.catalogue.MOST_UNKNOWN", 3)
    monkeypatch.setattr("index.catalogue.lmdb_overlay.MOST_ITEMS", 8)
    known = bundle.item_ids[:2]
    catalogue.remove(known[0])
    for number in range(30):
        catalogue.remove(f"typo-{number}")
    assert catalogue.removed() == [known[0], "typo-27", "typo-28", "typo-29"]
    catalogue.remove_many([f"other-{number}" for number in range(2)])
    assert catalogue.removed() == [known[0], "typo-29", "other-0", "other-1"]
    catalogue.put_many([mug(bundle, f"new-{number}") for number in range(4)])
    message = (
        r"would hold 9 entries; right is at most 100,000. It holds 4 items that the model .* does not know, "
        r"0 changes of items that it knows and 4 removals.*prune.*MINDSTREAM_ITEM_DAYS"
    )
    with pytest.raises(ValueError, match=message):
        catalogue.put(mug(bundle, "new-4"))
    catalogue.put(mug(bundle, "new-3", "Another title"))  # it has its entry already
    catalogue.restore(known[0])
    catalogue.put(mug(bundle, "new-4"))


def test_a_store_that_such_removals_have_filled_before_has_room_again(
    bundle: Bundle, store: LmdbOverlayStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.catalogue.catalogue.MOST_UNKNOWN", 3)
    monkeypatch.setattr("index.catalogue.lmdb_overlay.MOST_ITEMS", 8)
    store.write({f"typo-{number}": None for number in range(8)})  # as an older version would
    catalogue = Catalogue(bundle, Overlay(store))
    catalogue.put(mug(bundle, "new"))
    assert list(catalogue.entries()) == ["typo-5", "typo-6", "typo-7", "new"]


def test_entries_live_as_long_as_was_said(bundle: Bundle, store: LmdbOverlayStore) -> None:
    """But for the removal of an item that the served model knows: it would come back."""
    now = 1_000 * DAY_S
    overlay = Overlay(store, days=7, clock=lambda: now)
    known, changed = bundle.item_ids[:2]
    at(store, now - 7 * DAY_S - 1)
    store.write({known: None, changed: mug(bundle, changed), "old": mug(bundle, "old"), "typo": None})
    at(store, now - 7 * DAY_S + 1)
    store.write({"young": mug(bundle, "young"), "typed": None})
    assert overlay.expire() == 0  # nobody could say what is known
    catalogue = Catalogue(bundle, overlay)
    overlay.look()
    assert overlay.expire() == 3
    assert set(catalogue.entries()) == {known, "young", "typed"}
    assert catalogue.current.new_ids == ["young"]
    never = Overlay(store, clock=lambda: now + 10_000 * DAY_S)
    assert (Catalogue(bundle, never).knows(known), never.expire()) == (True, 0)


def test_an_unreadable_entry_is_named_once_and_can_be_replaced(
    bundle: Bundle, store: LmdbOverlayStore, caplog: pytest.LogCaptureFixture
) -> None:
    known = bundle.item_ids[0]
    with caplog.at_level(logging.ERROR):
        store.write({"good": mug(bundle, "good")})
        spoil(store, "bad", b"{")
        spoil(store, known, b'{"item_id": 7}')
        catalogue = Catalogue(bundle, overlay := Overlay(store))
        assert [one.message.count("'bad'") for one in caplog.records] == [1]
        assert "2 in all" in caplog.records[0].message
        store.write({"another": mug(bundle, "another")})
        overlay.look()
        assert len(caplog.records) == 1
    assert set(catalogue.current.new_ids) == {"good", "another"}
    assert catalogue.get(known) == catalogue.base.item(0)  # as the bundle says
    catalogue.remove(known)
    assert catalogue.get(known) is None
    catalogue.restore(known)
    assert catalogue.get(known) == catalogue.base.item(0)
    catalogue.put(mug(bundle, "bad"))
    assert overlay.unreadable == {}
    assert "bad" in catalogue.current.new_ids


def test_many_are_removed_and_restored_with_counts_by_reason(catalogue: Catalogue, bundle: Bundle) -> None:
    known = bundle.item_ids[:3]
    catalogue.put(mug(bundle, "new"))
    done = catalogue.remove_many([*known, known[0], "new", "typo", "", "x" * 512, "\ud800"])
    assert (done.done, done.unchanged, done.unknown) == (5, 0, 1)
    assert list(done.refused) == ["", "x" * 512, "\ud800"]
    assert "has 512 bytes; right is 1 to 511" in done.refused["x" * 512]
    assert set(catalogue.removed()) == {*known, "new", "typo"}
    again = catalogue.remove_many([known[1], "typo", bundle.item_ids[7]])
    assert (again.done, again.unchanged, again.unknown) == (1, 2, 0)
    back = catalogue.restore_many([known[0], "new", bundle.item_ids[5], "nobody knows it", ""])
    assert (back.done, back.unchanged, back.unknown, list(back.refused)) == (2, 1, 1, [""])
    assert catalogue.current.new_ids == ["new"]
    back = catalogue.restore_many(catalogue.removed())
    assert (back.done, back.unchanged, back.unknown) == (3, 0, 1)  # of the typo there is nothing to come back
    assert catalogue.entries() == {"new": mug(bundle, "new")}


def test_new_items_of_the_same_values_are_told_apart_and_none_of_them_is_dropped(
    catalogue: Catalogue, bundle: Bundle
) -> None:
    """Forty alike items: each interest finds others of them first, and their scores differ by what was turned only."""
    group = [mug(bundle, f"alike-{number}", f"Mug {number % 20}") for number in range(40)]  # each title twice
    catalogue.put_many(group)
    table = np.stack([catalogue.current.vectors[np.array(catalogue.current.rows([one.item_id]))][0] for one in group])
    made = catalogue.vectors.features.embedding(group[0])
    assert made is not None
    length = np.linalg.norm(made)
    np.testing.assert_allclose(np.linalg.norm(table, axis=1), length, rtol=1e-5)
    cosines = table @ made / length**2
    np.testing.assert_allclose(cosines, 1 / np.sqrt(1 + TITLE_APART**2), rtol=1e-5)
    assert len(np.unique(table, axis=0)) == 40
    alike, other = table[0] @ table[20], table[0] @ table[1]
    assert alike > other  # of the same title, and of another one
    rng = np.random.default_rng(0)
    bests = [ExactIndex(table).search(rng.normal(size=(1, len(made))).astype(np.float32), 5).rows for _ in range(30)]
    assert len(set(np.concatenate(bests).tolist())) >= 30  # who comes first is not always the same
    with_it = ItemVectors(bundle).of(group[3])
    assert with_it is not None
    assert with_it.tobytes() == table[3].tobytes()  # in every process


@pytest.mark.parametrize(
    ("vector", "model", "message"),
    [
        ([1.0], "", r"has 1 numbers; right is 16"),
        ([0.5] * 16, "", r"has the length 2; right is"),
        ([float("nan")] * 16, "", r"cannot be kept|NaN or infinite numbers; right are finite"),
        ([0.25] * 16, "another", r"is of the model 'another'; right is a vector of the model '.*', which is served"),
        ([], "", r"has 0 numbers"),
        ([0.0] * 16, "", r"has the length 0; right is"),
    ],
)
def test_a_vector_that_does_not_fit_is_refused(
    catalogue: Catalogue, bundle: Bundle, vector: list[float], model: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        catalogue.put(mug(bundle, "new", vector=vector, vector_model=model))
    assert catalogue.entries() == {}


def test_a_vector_of_the_caller_stands_for_the_item_while_its_model_is_served(
    bundle: Bundle, other_bundle: Bundle, store: LmdbOverlayStore
) -> None:
    catalogue = Catalogue(bundle, Overlay(store))
    own = np.asarray(bundle.item_embeddings[7], dtype=np.float64)
    catalogue.put(Item("own", "Nothing that the model knows", "Unheard of", vector=own.tolist()))
    catalogue.put(mug(bundle, "both", vector=own.tolist()))
    vectors = [catalogue.current.vectors[np.array(catalogue.current.rows([one]))][0] for one in ("own", "both")]
    for vector in vectors:
        np.testing.assert_allclose(vector, own, atol=2e-3)
    assert vectors[0].tolist() != vectors[1].tolist()
    kept = catalogue.get("own")
    assert kept is not None
    assert kept.vector_model == bundle.version
    another = Catalogue(other_bundle, Overlay(store)).current  # its vectors lie in another space
    assert another.new_ids == ["both"]
    made = ItemVectors(other_bundle).of(mug(bundle, "both"))
    assert made is not None
    assert another.vectors[np.array(another.rows(["both"]))][0].tolist() == made.tolist()


@pytest.fixture
def home(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with a published model."""
    Registry(tmp_path / "home" / "models").publish(bundle.path)
    monkeypatch.setenv("MINDSTREAM_HOME", str(tmp_path / "home"))
    load.cache_clear()
    yield tmp_path / "home"
    load.cache_clear()


def items_command(*words: str) -> Result:
    return CliRunner().invoke(app, ["items", *words])


@pytest.mark.usefixtures("home")
def test_the_command_line_removes_and_restores_many(bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "ids.txt"
    file.write_text("\n".join([*bundle.item_ids[:3], "typo", "", "x" * 600]))
    done = items_command("remove", "--file", str(file))
    assert done.stdout.splitlines()[0] == "4 items removed, 1 of them known to nobody; 0 removed before"
    assert "has 600 bytes; right is 1 to 511" in done.stdout
    assert str(done.exception) == "1 id left out, since no item can be called so"
    done = items_command("restore", bundle.item_ids[0], bundle.item_ids[9])
    assert done.stdout == "1 item restored, 1 not removed before, 0 known to nobody\n"
    assert items_command("restore", "--all").stdout == "2 items restored, 0 not removed before, 1 known to nobody\n"
    assert items_command("list").stderr == "0 entries: 0 added, 0 removed, 0 that cannot be read\n"
    for words in (["remove"], ["restore", "a", "--file", str(file)], ["restore", "a", "--all"]):
        assert re.search("right (is|are)", str(items_command(*words).exception))


def test_the_command_line_lists_what_no_answer_can_have_and_no_more_than_is_asked(home: Path, bundle: Bundle) -> None:
    with LmdbOverlayStore(home / "state" / "items") as store:
        own = Item("own", "Own", vector=[1.0], vector_model="older")
        store.write({"b": mug(bundle, "b"), "own": own, "c": None, "d": None})
        spoil(store, "bad", b"{")
    found = items_command("list")
    assert [line.split(",")[0] for line in found.stdout.splitlines()] == ['{"item_id":"b"', '{"item_id":"own"']
    said = found.stderr.splitlines()
    assert said[:2] == ["removed: c", "removed: d"]
    assert said[2].startswith(
        "in no answer: the vector of item 'own' is of the model 'older'; right is a vector of the"
    )
    assert said[3].startswith("cannot be read: bad: this is no item: ")
    assert said[4:] == ["5 entries: 2 added, 2 removed, 1 that cannot be read"]
    found = items_command("list", "--limit", "2")
    assert [line.split(",")[0] for line in found.stdout.splitlines()] == ['{"item_id":"b"']
    [removed, _, summary] = found.stderr.splitlines()
    assert removed == "removed: c"
    assert summary.endswith("; --limit 2 is reached, so not all were printed")


def test_the_command_line_drops_what_cannot_be_read(home: Path) -> None:
    with LmdbOverlayStore(home / "state" / "items") as store:
        spoil(store, "bad", b"{")
    assert items_command("prune").stdout == "0 entries dropped, 0 left\n"
    assert items_command("prune", "--unreadable").stdout == "1 entry dropped, 0 left\n"
    with LmdbOverlayStore(home / "state" / "items") as store:
        assert store.since(0).unreadable == {}


def test_what_is_put_while_a_new_bundle_is_filled_is_there_before_it_is_served(
    bundle: Bundle, other_bundle: Bundle, store: LmdbOverlayStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each hundredth entry of the old ones another item comes: to the old catalogue at once, to the new one too."""
    overlay = Overlay(store)
    serving = Catalogue(bundle, overlay)
    serving.put_many([mug(bundle, f"new-{number}") for number in range(500)])
    rests: list[float] = []

    def put_meanwhile(seconds: float) -> None:
        rests.append(seconds)
        serving.put(mug(bundle, f"late-{len(rests)}"))
        serving.remove(f"new-{len(rests)}")
        assert serving.get(f"late-{len(rests)}") is not None

    monkeypatch.setattr("index.catalogue.catalogue.time.sleep", put_meanwhile)
    made = Catalogue(other_bundle, overlay)
    assert len(rests) == 5
    assert dict(made.current.entries) == dict(Catalogue(other_bundle, Overlay(store)).current.entries)
    assert {f"late-{number}" for number in range(1, 6)} <= set(made.current.new_ids)
    assert not {f"new-{number}" for number in range(1, 6)} & set(made.current.new_ids)
