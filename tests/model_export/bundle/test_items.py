"""The items of a bundle: columns of Arrow files, and of schema 1, answer like the lists and dictionaries of before."""

import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.catalogue.bundle_catalogue import BundleCatalogue
from index.recommend.recommender import Recommender
from index.recommend.request import Request
from model_export.bundle.bundle import Bundle
from model_export.bundle.check import check
from model_export.bundle.items import arrow_files, item_rows
from model_export.bundle.items.arrow_files import make_tables, open_items, write_items
from model_export.bundle.items.item_table import ItemTable
from model_export.bundle.items.text_columns import TextColumn
from stream.store.lmdb_store import LmdbStore
from tests.support.bundles.schema_one import as_schema_one

IDS = ["tea", "", "Käse", "a\x00b", "mug"]
SHOWN: dict[str, Any] = {
    "title": ["Tea", "", "Käse 🧀", "zero", "Mug"],
    "category": ["drink", "", "food", "food", "drink"],
    "price": [2.5, None, 0.0, -1.0, None],
    "popularity": [3, 0, 7, 3, 2**40],
    "attributes": {
        "color": [["red", "blue"], [], ["blue"], [], ["red", "red"]],
        "category": [["x"]] * 5,
        "none": [[]] * 5,
    },
}  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> ItemTable:
    write_items(tmp_path, IDS, **SHOWN)
    return open_items(tmp_path)


@pytest.fixture(params=["schema 2", "schema 1"])
def either(request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path) -> Bundle:
    return bundle if request.param == "schema 2" else as_schema_one(bundle, tmp_path / bundle.version)


def test_columns_read_like_lists(table: ItemTable) -> None:
    catalogue = table.catalogue
    assert list(table.ids) == table.ids[:] == IDS
    assert [table.ids[row] for row in (2, -1, 3)] == ["Käse", "mug", "a\x00b"]
    assert table.ids[1:4:2] == ["", "a\x00b"]
    assert list(catalogue.title) == SHOWN["title"]
    assert list(catalogue.category) == SHOWN["category"]
    assert list(catalogue.price) == SHOWN["price"]
    assert catalogue.popularity.tolist() == SHOWN["popularity"]
    assert list(catalogue.attributes["color"]) == SHOWN["attributes"]["color"]
    assert table.popular.tolist() == [4, 2, 0, 3, 1]
    for column in (table.ids, catalogue.category, catalogue.price, catalogue.attributes["color"]):
        for row in (5, -6):
            with pytest.raises(IndexError):
                column[row]


def test_values_know_their_items(table: ItemTable) -> None:
    """The category is what is shown, whatever side features say; and no other attribute's values are among these."""
    attributes = table.catalogue.attributes
    assert set(attributes) == {"category", "color", "none"}
    assert {value: attributes["color"].rows_of(value).tolist() for value in ("red", "blue", "drink", "", "z")} == {
        "red": [0, 4], "blue": [0, 2], "drink": [], "": [], "z": [],
    }  # fmt: skip
    assert {value: attributes["category"].rows_of(value).tolist() for value in ("drink", "food", "x")} == {
        "drink": [0, 4], "food": [2, 3], "x": [],
    }  # fmt: skip
    assert list(attributes["category"]) == [["drink"], [], ["food"], ["food"], ["drink"]]
    assert list(attributes["none"].values) == []


def test_nothing_is_copied(table: ItemTable) -> None:
    """Arrays over memory-mapped files, which all processes share, cannot be written."""
    catalogue, rows = table.catalogue, table.rows
    arrays = (table.ids.utf8, catalogue.popularity, catalogue.price.values, catalogue.category.codes, table.popular)
    assert not any(array.flags.writeable or array.flags.owndata for array in arrays)
    assert not catalogue.attributes["color"].rows_of("red").flags.owndata
    assert rows["mug"] == 4


def test_of_very_many_values_those_that_there_are_are_found(tmp_path: Path) -> None:
    """Some values have no place, and some are no text that a file could have."""
    brands = [f"brand {number:03}" for number in range(100)]
    some: dict[str, Any] = {"category": [""] * 100, "price": [None] * 100, "popularity": [0] * 100}
    write_items(tmp_path, brands, title=brands, **some, attributes={"brand": [[one] for one in brands]})
    column = open_items(tmp_path).catalogue.attributes["brand"]
    wanted = {f"brand {number:03}" for number in range(50, 150)} | {"\ud800", ""}
    for few in (wanted, sorted(wanted)[50:60]):
        assert column.numbers_of(few) == {one: brands.index(one) for one in few if one in brands}


def test_items_without_any_value(tmp_path: Path) -> None:
    write_items(tmp_path, ["tea"], title=["Tea"], category=[""], price=[None], popularity=[0])
    catalogue = open_items(tmp_path).catalogue
    assert (list(catalogue.category), list(catalogue.category.values)) == ([""], [])
    assert catalogue.attributes["category"].rows_of("drink").tolist() == []


@given(ids=st.lists(st.text(max_size=300), max_size=20))
def test_hashes_of_all_ids_are_those_of_each(ids: list[str]) -> None:
    """CRC-32 as others compute it; the longest ids have more bytes than are taken at once."""
    ids += [one * 50 for one in ids]
    assert item_rows.hashes_of(TextColumn.of(ids)).tolist() == [zlib.crc32(one.encode()) for one in ids]
    assert item_rows.hash_of(b"123456789") == 0xCBF43926


@pytest.mark.parametrize("hash_of", [zlib.crc32, lambda utf8: len(utf8) % 2, lambda utf8: 0])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(st.text(), min_size=1, max_size=30, unique=True), asked=st.lists(st.text(), max_size=10))
def test_rows_are_found_by_any_id(
    hash_of: Callable[[bytes], int], ids: list[str], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids whose hashes are equal too: two hashes for all, or one."""
    monkeypatch.setattr(item_rows, "hash_of", hash_of)
    monkeypatch.setattr(arrow_files, "hashes_of", lambda ids: np.array([hash_of(one.encode()) for one in ids], "u4"))
    some: dict[str, Any] = {
        "title": ids,
        "category": [""] * len(ids),
        "price": [None] * len(ids),
        "popularity": [0] * len(ids),
    }
    rows, right = ItemTable(make_tables(ids, **some, attributes={})).rows, {one: row for row, one in enumerate(ids)}
    for _ in range(2):  # as it is found, and as it is kept at hand
        assert dict(rows) == right
        assert [rows.get(one) for one in asked] == [right.get(one) for one in asked]
        assert [rows.get(one, -1) for one in asked] == [right.get(one, -1) for one in asked]
        assert [one in rows for one in asked] == [one in right for one in asked]
        assert rows.known(asked) == [right[one] for one in asked if one in right]


def test_ids_that_there_cannot_be(table: ItemTable) -> None:
    assert "\ud800" not in table.rows
    assert 7 not in table.rows  # type: ignore[comparison-overlap]
    with pytest.raises(KeyError, match="cup"):
        table.rows["cup"]


def test_both_schemas_answer_the_same(either: Bundle, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> None:
    check(either)
    assert list(either.item_ids) == list(bundle.item_ids)
    assert [BundleCatalogue(either).item(row) for row in range(600)] == [
        BundleCatalogue(bundle).item(row) for row in range(600)
    ]
    band, categories = bundle.catalogue.attributes["price_band"].values[:1], bundle.catalogue.category.values[1:]
    with LmdbStore(tmp_path_factory.mktemp("state")) as store:
        for where in ({}, {"price_band": band}, {"category": categories, "price_band": band}):
            request = Request(600, where={name: frozenset(values) for name, values in where.items()})
            [found], [right] = (Recommender(one, store).recommend_for_many([None], request) for one in (either, bundle))
            assert found == right
            assert found.item_ids


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"item_ids": ["mug", "\ud800"]},
            r"item_id of item '\\ud800' is '\\ud800'; right is text that UTF-8 can write",
        ),
        ({"title": ["", "a\udfffb"]}, r"title of item 'cup' is 'a\\udfffb'; right is text that UTF-8"),
        ({"category": ["\udc00", ""]}, r"category of item 'mug' is '\\udc00'; right is text"),
        ({"attributes": {"brand": [["A"], ["B", "\ud83d"]]}}, r"brand of item 'cup' is '\\ud83d'; right is text"),
        ({"price": [1.0, float("inf")]}, "price of item 'cup' is inf; right is a finite number, or none"),
        ({"popularity": [-1, 2]}, "popularity of item 'mug' is -1; right is from 0 to 9007199254740992"),
        ({"popularity": [1, 2**63]}, "popularity of item 'cup' is 9223372036854775808; right is from 0 to"),
    ],
)
def test_what_no_bundle_may_have_is_not_written(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    columns = {"item_ids": ["mug", "cup"], "title": ["", ""], "category": ["", ""], "price": [None, None]}
    with pytest.raises(ValueError, match=said):
        write_items(tmp_path, **{**columns, "popularity": [1, 2], **changed})
    assert list(tmp_path.iterdir()) == []


def test_ids_that_differ_by_their_normal_form_are_two_items(tmp_path: Path) -> None:
    """As they are two for Kafka, stores and clients: an answer has the id as the shop wrote it."""
    ids = [unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD")]
    write_items(tmp_path, ids, title=ids, category=["", ""], price=[-0.0, 5e-324], popularity=[2**53, 0])
    items = open_items(tmp_path)
    assert [items.rows.find(item_id) for item_id in ids] == [0, 1]
    assert list(items.catalogue.price) == [0.0, 5e-324]
    assert items.catalogue.popularity.tolist() == [2**53, 0]
