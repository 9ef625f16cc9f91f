"""Dense side features in training: only the vectors tell where a new item belongs, and the model finds it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from model_export.bundle.bundle import FEATURES, Bundle, BundleError
from model_export.bundle.check import check
from model_export.bundle.check.tables import check_features
from model_export.data.dataset import build_vocabulary
from model_export.data.dense_features import DenseFeatures
from model_export.data.interactions import InteractionLog
from model_export.export.bundle_writer import export, write_arrays
from model_export.models.checkpoint import Checkpoint, load, new_model, save
from model_export.models.presets import preset
from model_export.training.train import train
from model_export.training.warm_start import warm_start

GROUPS, EACH, NUMBERS = 4, 10, 6
IDS = [f"g{group}-{number}" for group in range(GROUPS) for number in range(EACH)]
OF = np.repeat(np.arange(GROUPS), EACH)


def vectors_of(groups: np.ndarray, seed: int) -> np.ndarray:
    """A vector an item: its group's direction, of whatever length, and a little noise."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(np.random.default_rng(0).normal(size=(NUMBERS, NUMBERS)))[0][:GROUPS]
    vectors = directions[groups] + 0.1 * rng.normal(size=(len(groups), NUMBERS))
    return np.asarray(rng.uniform(0.1, 50, size=(len(groups), 1)) * vectors, dtype=np.float32)


def shop(vectors: DenseFeatures | None) -> InteractionLog:
    """The log of 120 users who take eight items of one group each; nothing else is known of the items."""
    rng = np.random.default_rng(1)
    users = [
        (f"u{user:03}", IDS[row]) for user in range(120) for row in user % GROUPS * EACH + rng.permutation(EACH)[:8]
    ]
    events = pd.DataFrame(users, columns=["user_id", "item_id"], dtype="str")
    events["event_type"], events["event_time_ms"] = "click", np.arange(len(users), dtype="int64")
    items = pd.DataFrame({"item_id": IDS, "title": IDS, "category": "", "price": np.nan}).astype({"category": "str"})
    people = pd.DataFrame({"user_id": sorted({user for user, _ in users})}, dtype="str")
    return InteractionLog(events, items, people, "planted", item_vectors=vectors)


@pytest.fixture(scope="module")
def trained() -> Checkpoint:
    base = preset("youtube-dnn")
    training = replace(base.training, seed=1, steps=300, batch_size=64)
    log = shop(DenseFeatures(IDS, vectors_of(OF, seed=2)))
    return train(log, replace(base.model, dim=16, history_length=8), training, progress=False)


@torch.no_grad()
def neighbours(checkpoint: Checkpoint, groups: np.ndarray, vectors: np.ndarray) -> float:
    """The share of the ten nearest items of new ones that are of the new one's own group."""
    dense = DenseFeatures(list(map(str, range(len(groups)))), vectors).of(list(map(str, range(len(groups)))))
    model = checkpoint.model.eval()
    nothing = torch.zeros(len(groups), 0, dtype=torch.int64)
    new, known = model.embed_new(nothing, torch.from_numpy(dense)), model.item_table()
    scores = torch.nn.functional.normalize(new, dim=-1) @ torch.nn.functional.normalize(known, dim=-1).T
    near = OF[scores.topk(EACH).indices.numpy()]
    return float((near == groups[:, None]).mean())


def test_a_new_item_lies_among_what_its_vector_is_like(trained: Checkpoint) -> None:
    new = np.repeat(np.arange(GROUPS), 5)
    assert neighbours(trained, new, vectors_of(new, seed=3)) > 0.9
    assert neighbours(trained, new, vectors_of((new + 1) % GROUPS, seed=3)) < 0.1  # it is the vectors that say it


def test_a_checkpoint_keeps_the_vectors_and_older_ones_have_none(trained: Checkpoint, tmp_path: Path) -> None:
    save(trained, tmp_path / "model.pt")
    again = load(tmp_path / "model.pt")
    assert again.vocabulary.item_vectors is not None
    assert trained.vocabulary.item_vectors is not None
    np.testing.assert_array_equal(again.vocabulary.item_vectors, trained.vocabulary.item_vectors)
    torch.testing.assert_close(again.model.item_table(), trained.model.eval().item_table())
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    assert not any("item_vectors" in name for name in content["weights"])  # they are there once
    before = build_vocabulary(shop(None))
    content = content | {"weights": new_model(trained.model.config, before).state_dict()}
    content["vocabulary"] = {k: v for k, v in content["vocabulary"].items() if k != "item_vectors"}
    torch.save(content, tmp_path / "older.pt")
    assert load(tmp_path / "older.pt").vocabulary.item_vectors is None


@pytest.fixture(scope="module")
def exported(trained: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(trained, tmp_path_factory.mktemp("bundles"), progress=False)


def test_a_bundle_carries_the_map(trained: Checkpoint, exported: Bundle) -> None:
    check(exported)
    assert trained.model.items.vector_map is not None
    assert exported.vector_map is not None
    assert exported.vector_map.dtype == np.float32
    np.testing.assert_array_equal(exported.vector_map, trained.model.items.vector_map.weight.detach().numpy().T)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param(np.zeros((6, 15), np.float32), r"vector_map has shape \(6, 15\); right is \(6, 16\)", id="width"),
        pytest.param(np.zeros(16, np.float32), r"vector_map has shape \(16,\); right is \(D, 16\)", id="no rows"),
        pytest.param(np.zeros((0, 16), np.float32), r"right is \(D, 16\), D at least 1", id="empty"),
        pytest.param(np.full((6, 16), np.nan, np.float32), "vector_map holds NaN", id="nan"),
        pytest.param(np.zeros((6, 16)), "vector_map is float64; right is float32", id="float64"),
    ],
)
def test_a_map_that_is_none_is_refused(exported: Bundle, tmp_path: Path, wrong: np.ndarray, said: str) -> None:
    (tmp_path / "manifest.json").write_bytes((exported.path / "manifest.json").read_bytes())
    write_arrays(tmp_path / FEATURES, {"price_edges": np.zeros(0), "vector_map": wrong})
    with pytest.raises(BundleError, match=said):
        check_features(Bundle(tmp_path))


def test_a_warm_start_begins_where_the_bundle_ends(trained: Checkpoint, exported: Bundle) -> None:
    torch.manual_seed(5)
    model = new_model(trained.model.config, trained.vocabulary)
    assert warm_start(model, trained.vocabulary, exported) == len(IDS)
    torch.testing.assert_close(model.item_table(), torch.from_numpy(np.array(exported.item_embeddings)))
    assert model.items.vector_map is not None
    assert torch.equal(model.items.vector_map.weight, torch.from_numpy(exported.vector_map.T))  # type: ignore[union-attr]
