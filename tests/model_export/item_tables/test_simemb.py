"""SimEmb's item table against A W in NumPy, what a checkpoint keeps of it, and what a warm start makes of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from model_export.bundle.bundle import Bundle
from model_export.data.simulator import SimulatedShop
from model_export.export.bundle_writer import export
from model_export.item_tables.simemb import SimilarityEmbedding, neighbour_shares
from model_export.models.checkpoint import load, new_model, save
from model_export.models.model_config import ModelConfig
from model_export.models.presets import preset
from model_export.training.train import train
from model_export.training.warm_start import warm_start

# Item 0 stands beside 1 three times, beside 2 once; item 3 beside nothing; 4 beside itself alone.
PAIRS = csr_matrix(np.array([[0.0, 3, 1, 0, 0], [3, 2, 4, 0, 0], [1, 4, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 6]]))
# Half is the item's own, half its neighbours' by their counts; who has none has all of it.
A = np.array([[4, 3, 1, 0, 0], [3, 7, 4, 0, 0], [1, 4, 5, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]], dtype=float)
A /= A.sum(1, keepdims=True)


def dense(neighbours: np.ndarray, shares: np.ndarray) -> np.ndarray:
    found = np.zeros((len(neighbours), len(neighbours)))
    np.add.at(found, (np.arange(len(neighbours))[:, None], neighbours), shares)
    return found


def test_rows_of_a_are_the_item_and_its_neighbours() -> None:
    np.testing.assert_allclose(dense(*neighbour_shares(PAIRS, 3)), A, atol=1e-6)
    strongest = dense(*neighbour_shares(PAIRS, 2))  # of each the strongest neighbour alone
    expected = np.eye(5) / 2
    expected[[0, 1, 2], [1, 2, 1]] = 0.5
    expected[[3, 4], [3, 4]] = 1
    np.testing.assert_allclose(strongest, expected, atol=1e-6)


def test_rows_of_e_and_their_gradients_are_those_of_a_w() -> None:
    table = SimilarityEmbedding(5, 2, 3)
    table.set_neighbours(*neighbour_shares(PAIRS, 3))
    weight = np.arange(10.0).reshape(5, 2) ** 2
    with torch.no_grad():
        table.weight.copy_(torch.from_numpy(weight))
    rows = torch.tensor([[4, 0, 1], [0, 2, 3]])
    found = table(rows)
    np.testing.assert_allclose(found.detach().numpy(), (A @ weight)[rows.numpy()], rtol=1e-5)
    found[0].sum().backward()  # of rows 4, 0 and 1 of A
    assert table.weight.grad is not None
    np.testing.assert_allclose(table.weight.grad.numpy(), np.tile(A[[4, 0, 1]].sum(0)[:, None], 2), atol=1e-6)


def test_without_neighbours_it_is_a_table_of_ids() -> None:
    table = SimilarityEmbedding(3, 2, 4)
    with torch.no_grad():
        table.weight.normal_()
    assert torch.equal(table(torch.tensor([2, 0])), table.weight[[2, 0]])


def test_vectors_that_are_asked_for_come_out() -> None:
    table = SimilarityEmbedding(5, 2, 3)
    table.set_neighbours(*neighbour_shares(PAIRS, 3))
    vectors = torch.tensor([[1.0, 0], [0, 1], [1, 1], [-1, 2], [0.5, 0]])
    table.set_vectors(vectors)
    torch.testing.assert_close(table(torch.arange(5)).detach(), vectors, atol=1e-3, rtol=0)


@pytest.fixture
def small_simemb() -> ModelConfig:
    model = preset("simemb").model
    return replace(model, dim=8, num_interests=2, history_length=12, table_neighbours=5)


def test_a_checkpoint_carries_a_and_a_bundle_e(small_simemb: ModelConfig, shop: SimulatedShop, tmp_path: Path) -> None:
    training = replace(preset("simemb").training, steps=3, batch_size=64, negatives=32)
    trained = train(shop.log, small_simemb, training, progress=False)
    ids = trained.model.items.ids
    assert isinstance(ids, SimilarityEmbedding)
    assert ((ids.shares > 0).sum(1) > 1).float().mean() > 0.9  # most items of the shop have neighbours
    torch.testing.assert_close(ids.shares.sum(1), torch.ones(len(ids.shares)))
    save(trained, tmp_path / "model.pt")
    again = load(tmp_path / "model.pt").model
    torch.testing.assert_close(again.item_table(), trained.model.item_table())
    bundle = export(trained, tmp_path, progress=False)
    np.testing.assert_allclose(bundle.item_embeddings, again.item_table().detach().numpy(), atol=1e-6)


def test_a_warm_start_comes_near_the_bundle(small_simemb: ModelConfig, bundle: Bundle, shop: SimulatedShop) -> None:
    config = replace(small_simemb, dim=bundle.manifest.dim)
    trained = train(shop.log, config, replace(preset("simemb").training, steps=1, batch_size=64), progress=False)
    model = new_model(config, trained.vocabulary).eval()
    ids, before = model.items.ids, trained.model.items.ids
    assert isinstance(ids, SimilarityEmbedding)
    assert isinstance(before, SimilarityEmbedding)
    ids.set_neighbours(before.neighbours.numpy(), before.shares.numpy())
    assert warm_start(model, trained.vocabulary, bundle) == len(bundle.item_embeddings)
    cosines = (model.item_table().detach().numpy() * bundle.item_embeddings).sum(1)
    assert cosines.mean() > 0.95


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"item_table": "svd"}, "item_table is 'svd'; it must be one of ids, simemb"),
        ({"table_neighbours": 1}, "table_neighbours is 1; it must be at least 2"),
    ],
    ids=["table", "neighbours"],
)
def test_settings_that_cannot_be(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig(**setting)  # type: ignore[arg-type]
