"""Does learning work? The planted interests of users that training did not see come back as capsules."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from benchmarks.quality import planted
from model_export.bundle.bundle import Bundle
from model_export.data.simulator import SimulatedShop, simulate
from model_export.export.bundle_writer import export
from model_export.models.checkpoint import Checkpoint, new_model
from model_export.models.model_config import ModelConfig
from model_export.models.presets import DEFAULT, preset
from model_export.models.training_config import TrainingConfig
from model_export.training.train import train

TRAINING = TrainingConfig(steps=200, batch_size=128, negatives=512, validate_every=100)


@pytest.fixture(scope="module")
def shop() -> SimulatedShop:
    return simulate(users=600, seed=1)


@pytest.fixture(scope="module")
def trained(shop: SimulatedShop) -> Checkpoint:
    return train(shop.log, ModelConfig(), TRAINING, progress=False)


@pytest.fixture(scope="module")
def trained_default(shop: SimulatedShop) -> Checkpoint:
    default = preset(DEFAULT)
    short = replace(default.training, steps=200, batch_size=128, validate_every=100)
    return train(shop.log, default.model, short, progress=False)


def found(checkpoint: Checkpoint, shop: SimulatedShop, folder: Path) -> float:
    bundle = export(checkpoint, folder, progress=False)
    return planted.interests_found(bundle, shop, planted.user_ids_for_test(shop, TRAINING))


@pytest.mark.slow
def test_training_finds_the_planted_interests(trained: Checkpoint, shop: SimulatedShop, tmp_path: Path) -> None:
    assert len(planted.user_ids_for_test(shop, TRAINING)) > 50
    assert found(trained, shop, tmp_path) > 0.8


@pytest.mark.slow
def test_so_does_the_default_model(trained_default: Checkpoint, shop: SimulatedShop, tmp_path: Path) -> None:
    assert found(trained_default, shop, tmp_path) > 0.6


@pytest.mark.slow
def test_without_training_there_is_nothing_to_find(trained: Checkpoint, shop: SimulatedShop, tmp_path: Path) -> None:
    torch.manual_seed(1)
    untrained = replace(trained, model=new_model(trained.model.config, trained.vocabulary))
    assert found(untrained, shop, tmp_path) < 0.1


def test_an_interest_is_found_by_more_than_half_of_a_capsules_top_20() -> None:
    category = ["cups"] * 25 + ["hats"] * 25 + ["rugs"] * 10 + ["toys"] * 11
    kinds = ["cups", "hats", "rugs", "toys"]
    embeddings = np.array([[float(of == kind) for kind in kinds] for of in category])
    bundle = cast(Bundle, SimpleNamespace(item_embeddings=embeddings, catalogue=SimpleNamespace(category=category)))

    def of(*vectors: list[float]) -> set[str]:
        return planted.main_categories(bundle, np.array(vectors))

    assert of([1, 0, 0, 0]) == {"cups"}
    assert of([0.9, 1, 0, 0]) == {"hats"}
    assert of([1, 0, 0, 2]) == {"toys"}  # 11 toys, then 9 cups
    assert of([0, 0, 2, 1]) == set()  # 10 rugs, then 10 toys
    assert of([1, 0, 0, 0], [0, 0, 2, 1], [0, 1, 0, 0]) == {"cups", "hats"}
