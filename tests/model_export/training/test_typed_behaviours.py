"""A world in which purchases alone tell what is next, and views are noise: what event types are worth there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mindstream.behaviour_rule import BehaviourRule
from model_export.data.behaviours import behaviours_of
from model_export.data.dataset import build_sequences, history_windows
from model_export.data.interactions import InteractionLog
from model_export.evaluation.cases import Cases
from model_export.evaluation.model_ranker import rank_by_model
from model_export.models.checkpoint import Checkpoint, load, save
from model_export.models.presets import Preset, preset
from model_export.models.switches import apply_settings
from model_export.training.train import train

GROUPS, SIZE, LENGTH = 8, 10, 20  # groups of items, items of each, behaviours of a user
RULE = BehaviourRule.parse("pv=0.01,buy=1")


def world(users: int, seed: int) -> InteractionLog:
    """Each user buys of one group of items at every fourth behaviour, the last one too, and views those of another."""
    rng = np.random.default_rng(seed)
    taste, other = np.array([rng.permutation(GROUPS)[:2] for _ in range(users)]).T[:, :, None]
    buys = np.arange(LENGTH) % 4 == 3
    items = SIZE * np.where(buys, taste, other) + rng.integers(SIZE, size=(users, LENGTH))  # (users, LENGTH)
    ids = [f"item-{row:02}" for row in range(GROUPS * SIZE)]
    events = {
        "user_id": np.repeat([f"u-{user:03}" for user in range(users)], LENGTH),
        "item_id": np.array(ids)[items.ravel()],
        "event_type": np.tile(np.where(buys, "buy", "pv"), users),
        "event_time_ms": np.tile(1_000 * np.arange(LENGTH), users),
    }
    log = InteractionLog(
        pd.DataFrame(events).sort_values("event_time_ms", kind="stable", ignore_index=True),
        pd.DataFrame({"item_id": ids, "title": ids, "category": "", "price": np.nan}),
        pd.DataFrame({"user_id": sorted(set(events["user_id"]))}),
        "a planted world",
    )
    return behaviours_of(log, RULE)


def small(*settings: str) -> Preset:
    """The default model, in small, with one interest: two would have one for each of a user's groups."""
    chosen = apply_settings(preset("steady"), [*settings, "dim=16", "num_interests=1", "history_length=20"])
    shorter = replace(chosen.training, steps=150, batch_size=64, negatives=32, learning_rate=0.02)
    return replace(chosen, training=replace(shorter, valid_share=0, test_share=0))


def trained(log: InteractionLog, *settings: str) -> Checkpoint:
    chosen = small(*settings)
    return train(log, chosen.model, chosen.training, progress=False)


def hit_rate(checkpoint: Checkpoint, log: InteractionLog) -> float:
    """The share of users whose last purchase is among the SIZE best items, from what came before it."""
    sequences = build_sequences(log, checkpoint.vocabulary)
    first, ends = sequences.starts[:-1], sequences.starts[1:] - 1
    history, mask, *beside = history_windows(sequences, ends, first, LENGTH)
    labels = sequences.items[ends].astype(np.int64)[:, None]
    top = rank_by_model(checkpoint.model, Cases(history, mask, sequences.profiles, labels, *beside), SIZE)
    return float((top == labels).any(1).mean())


@pytest.fixture(scope="module")
def log() -> InteractionLog:
    return world(users=200, seed=0)


def test_types_tell_purchases_from_noise(log: InteractionLog) -> None:
    strangers = world(users=100, seed=1)
    typed, untyped = trained(log), trained(log, "types=false")
    assert typed.model.config.types
    assert not untyped.model.config.types
    assert (typed.vocabulary.event_types, untyped.vocabulary.event_types) == (["buy", "pv"], [])
    weights = typed.model.extractor.get_parameter("type_weights")[0]
    assert weights[1] > weights[0] > weights[2]  # a purchase, an unknown type, a view
    assert hit_rate(typed, strangers) > hit_rate(untyped, strangers) + 0.1
    assert {name for *_, types in typed.histories for name in types} <= {"buy", "pv"}


def test_behaviours_of_one_type_train_no_types(log: InteractionLog) -> None:
    chosen = small()
    purchases = behaviours_of(replace(log, rule=""), BehaviourRule.parse("pv=0,buy=1"))
    quick = replace(chosen.training, steps=1)
    assert not train(purchases, chosen.model, quick, progress=False).model.config.types


def test_a_checkpoint_keeps_its_types_and_one_of_before_has_none(log: InteractionLog, tmp_path: Path) -> None:
    chosen, path = small(), tmp_path / "model.pt"
    made = train(log, chosen.model, replace(chosen.training, steps=1), progress=False)
    kept = replace(made, histories=[(["item-01", "item-02"], [1, 2], ["buy", ""])])
    save(kept, path)
    assert load(path).histories == kept.histories
    assert load(path).vocabulary.event_types == ["buy", "pv"]
    save(replace(made, histories=[(["item-01", "item-02"], [1, 2])]), path)  # type: ignore[list-item]
    assert load(path).histories == [(["item-01", "item-02"], [1, 2], ["", ""])]
