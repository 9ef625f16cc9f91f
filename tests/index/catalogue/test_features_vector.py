"""New items that are put with a dense vector of their text or image: placed by the bundle's map, over HTTP too."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from index.catalogue.catalogue import Catalogue
from index.catalogue.item import Item, from_json, to_json
from index.catalogue.item_vectors import ItemVectors
from index.catalogue.lmdb_overlay import LmdbOverlayStore
from index.catalogue.overlay import Overlay
from index.catalogue.side_features import SideFeatures
from mindstream.parsing.unit_rows import unit_rows
from model_export.bundle.bundle import Bundle
from model_export.bundle.check import check
from model_export.export.bundle_writer import export
from model_export.models.checkpoint import Checkpoint, new_model
from model_export.models.presets import DEFAULT, preset
from stream.store.lmdb_store import LmdbStore
from tests.support.api_world import app_of, client_of
from tests.support.bundles.untrained import ITEMS, untrained

NUMBERS = 5


def checkpoint_of(numbers: int) -> Checkpoint:
    """An untrained model of 30 items with a category each, and a dense vector of so many numbers; 0: none."""
    plain = untrained(replace(preset(DEFAULT).model, dim=8), items=ITEMS)
    dense = unit_rows(np.random.default_rng(4).normal(size=(ITEMS, numbers))) if numbers else None
    vocabulary = replace(plain.vocabulary, item_vectors=dense)
    return replace(plain, model=new_model(plain.model.config, vocabulary), vocabulary=vocabulary)


@pytest.fixture(scope="module")
def trained() -> Checkpoint:
    return checkpoint_of(NUMBERS)


@pytest.fixture(scope="module")
def mapped(trained: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with a map of dense vectors."""
    return export(trained, tmp_path_factory.mktemp("mapped"), progress=False)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of before: without a map."""
    return export(checkpoint_of(0), tmp_path_factory.mktemp("plain"), progress=False)


@pytest.fixture
def overlay(tmp_path: Path) -> Iterator[Overlay]:
    with LmdbOverlayStore(tmp_path / "items") as store:
        yield Overlay(store)


def vector_of(catalogue: Catalogue, item_id: str) -> np.ndarray:
    [row] = catalogue.current.rows([item_id])
    return np.asarray(catalogue.current.vectors[np.array([row])][0])


def test_the_embedding_is_that_of_the_model(trained: Checkpoint, mapped: Bundle) -> None:
    check(mapped)
    numbers = [3.0, 0.0, 4.0, 0.0, 0.0]
    items = [
        Item("a", "A", "b", features_vector=numbers),
        Item("b", "B", features_vector=numbers),
        Item("c", "C", "b"),
        Item("d", "D", "b", features_vector=[1e30 * one for one in numbers]),  # its direction alone counts
    ]
    features, dense = torch.tensor([[2], [0], [2], [2]]), torch.tensor([[0.6, 0, 0.8, 0, 0]] * 4)
    dense[2] = 0
    with torch.no_grad():
        expected = trained.model.eval().embed_new(features, dense).numpy()
    found = np.stack([vector for item in items if (vector := SideFeatures(mapped).embedding(item)) is not None])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert abs(found[0] - found[2]).max() > 0.01


def test_a_new_item_is_found_by_its_dense_vector_alone(mapped: Bundle, overlay: Overlay) -> None:
    catalogue = Catalogue(mapped, overlay)
    numbers = [0.5, -1.0, 2.0, 0.0, 1.0]
    catalogue.put(Item("new", "New", features_vector=numbers))
    catalogue.put(Item("twin", "Other words", features_vector=numbers))
    made = SideFeatures(mapped).embedding(Item("new", "", features_vector=numbers))
    assert made is not None
    np.testing.assert_allclose(vector_of(catalogue, "new"), made, atol=2e-3)  # and told apart from its twin
    assert vector_of(catalogue, "new").tolist() != vector_of(catalogue, "twin").tolist()
    kept = catalogue.get("new")
    assert kept is not None
    assert kept.features_vector == numbers
    assert from_json(to_json(kept)) == kept


def test_the_next_model_maps_it_anew_or_goes_by_its_values(mapped: Bundle, plain: Bundle, overlay: Overlay) -> None:
    catalogue = Catalogue(mapped, overlay)
    numbers = [0.5, -1.0, 2.0, 0.0, 1.0]
    catalogue.put(Item("both", "Both", "c", features_vector=numbers))
    catalogue.put(Item("alone", "Alone", features_vector=numbers))
    again = Catalogue(mapped, overlay)
    assert vector_of(again, "alone").tolist() == vector_of(catalogue, "alone").tolist()
    other = Catalogue(plain, overlay)  # it has no map
    assert other.current.new_ids == ["both"]
    made = ItemVectors(plain).of(Item("both", "Both", "c"))
    assert made is not None
    assert vector_of(other, "both").tolist() == made.tolist()
    assert other.left_out()["vector"] == 1
    assert "trained without --item-vectors" in other.current.fault_of("alone")


@pytest.mark.parametrize("item_id", ["new", "item-003"])  # the model knows the latter
@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        pytest.param([1.0] * 4, "has 4 numbers; right is 5, as the vectors have that the model was", id="length"),
        pytest.param([0.0] * 5, "is all zeros; right is a vector with a direction, or none", id="zeros"),
        pytest.param([float("inf")] * 5, "cannot be kept|holds NaN or infinite numbers", id="infinite"),
        pytest.param([], "has 0 numbers; right is as many as the model's", id="empty"),
        pytest.param([1.0] * 4_097, "has 4,097 numbers; right is as many as the model's", id="too many"),
    ],
)
def test_a_wrong_one_is_refused(
    mapped: Bundle, overlay: Overlay, item_id: str, numbers: list[float], said: str
) -> None:
    catalogue = Catalogue(mapped, overlay)
    with pytest.raises(ValueError, match=said):
        catalogue.put(Item(item_id, "New", "b", features_vector=numbers))
    assert catalogue.entries() == {}


def test_a_model_without_a_map_refuses_it(plain: Bundle, overlay: Overlay) -> None:
    said = "features_vector of item 'new' cannot be read: the model served was trained without --item-vectors"
    with pytest.raises(ValueError, match=said):
        Catalogue(plain, overlay).put(Item("new", "New", "b", features_vector=[1.0]))


def test_over_http(mapped: Bundle, tmp_path: Path) -> None:
    with LmdbStore(tmp_path / "state") as store:
        client = client_of(app_of(mapped, store, tmp_path)[0])
        known = np.random.default_rng(4).normal(size=(ITEMS, NUMBERS))
        new: dict[str, Any] = {"item_id": "new", "title": "New", "features_vector": known[3].tolist()}
        assert client.post("/items", json=[new]).status_code == 204
        assert client.get("/items/new").json()["features_vector"] == new["features_vector"]
        assert client.get("/items/new/similar?n=1").status_code == 200
        answer = client.post("/items", json=[{**new, "features_vector": [1.0]}])
        assert answer.status_code == 422
        assert "has 1 numbers; right is 5" in answer.json()["error"]
