"""The comparison of models: what it averages, and that it runs from a log to its last line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.accuracy import Judged, main, mean_of, without_side_features
from model_export.cases import Cases
from model_export.cosines import cosines, mean_over, pairs
from model_export.presets import PRESETS, one_interest
from model_export.readers import write_table
from model_export.simulator import SimulatedShop
from tests.untrained import untrained


def judged(*recalls: float) -> Judged:
    return Judged("x", {"recall@50": np.array(recalls)}, {"recall@50": 1 - np.array(recalls)})


def test_the_mean_over_trainings_is_taken_for_each_user() -> None:
    found = mean_of("both", [judged(0.0, 1.0, 0.5), judged(1.0, 1.0, 0.0)])
    assert found.name == "both"
    assert found.answers["recall@50"].tolist() == [0.5, 1.0, 0.25]
    assert found.unseen["recall@50"].tolist() == [0.5, 0.0, 0.75]


def test_ids_only_leaves_nothing_else_of_an_item(shop: SimulatedShop) -> None:
    log = without_side_features(shop.log)
    assert set(log.items.category) == {""}
    assert log.items.price.isna().all()
    assert log.items.item_id.equals(shop.log.items.item_id)


def test_from_a_log_to_the_last_line(shop: SimulatedShop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(write_table(shop.log, tmp_path / "shop.parquet"), model="mind", seeds=1, steps=5)
    *lines, last = capsys.readouterr().out.splitlines()
    figures = json.loads(last)
    assert figures["model"] == "mind"
    assert {"recall50", "hr50", "ndcg50", "recall50_unseen", "recall50_knn", "recall50_k1"} <= figures.keys()
    assert figures["seconds_per_1000_steps"] > 0
    names = [line.split("  ")[0].strip() for line in lines]
    for name in ("most popular", "item-kNN", "mind", "mind, one interest", "mind, fresh logits"):
        assert names.count(name) == (2 if name != "mind" and name != "mind, one interest" else 3), name


# How alike capsules are


def test_cosines_between_capsules_by_hand() -> None:

    capsules = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]], [[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]]])
    active = torch.tensor([[True, True, True], [True, False, False]])
    found = mean_over(pairs(capsules), active[:, :, None] & active[:, None, :])
    assert found[0].item() == pytest.approx(1 / 3)  # 0, 1 and 0
    assert found[1].isnan()  # a single capsule has nobody to be compared with


def test_one_interest_has_no_slot_cosine_and_still_items_do_not_move(shop: SimulatedShop) -> None:

    mask = np.ones((2, 4), dtype=bool)
    history = np.array([[3, 3, 3, 3], [5, 5, 5, 5]])
    cases = Cases(history, mask, np.zeros((2, 2), dtype=np.int64), history[:, :1], np.zeros_like(history))
    model = untrained(one_interest(PRESETS["steady"]).model).model
    found = cosines(model, cases)
    assert np.isnan(found.slot)
    assert found.event == pytest.approx(1)  # the mean of equal behaviours is the same without the last
