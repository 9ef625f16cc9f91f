"""Bytes that sequences and what training makes of them take for each event of a large log."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from mindstream.behaviour_rule import BehaviourRule
from model_export.data.behaviours import behaviours_of
from model_export.data.dataset import Sequences, build_sequences, build_vocabulary, item_counts
from model_export.data.interactions import InteractionLog
from model_export.evaluation.cases import comirec_cases, next_item_cases
from model_export.models.training_config import TrainingConfig
from model_export.training.sampler import Sampler
from model_export.training.train import repeated_share

EVENTS, USERS, ITEMS = 4_000_000, 50_000, 5_000
RULE = BehaviourRule.parse("view=1,buy=4,impression=0,dislike=-1")


def ids(letter: str, number: int) -> pd.Index:
    return pd.Index([f"{letter}{at:06}" for at in range(number)], dtype="str")


@pytest.fixture(scope="module")
def log() -> InteractionLog:
    """Four million events, half of them views; items are small numbers, and 1 % dislikes."""
    rng = np.random.default_rng(3)
    types = rng.choice(4, size=EVENTS, p=[0.1, 0.01, 0.39, 0.5]).astype(np.int8)
    users, items = rng.integers(USERS, size=EVENTS, dtype=np.int32), rng.integers(ITEMS, size=EVENTS, dtype=np.int32)
    events = pd.DataFrame(
        {
            "user_id": pd.Categorical.from_codes(users, ids("u", USERS)),
            "item_id": pd.Categorical.from_codes(items, ids("i", ITEMS)),
            "event_type": pd.Categorical.from_codes(
                types, pd.Index(["buy", "dislike", "impression", "view"], dtype="str")
            ),
            "event_time_ms": 1_000 * np.arange(EVENTS),
        }
    )
    item_ids = ids("i", ITEMS)
    table = pd.DataFrame({"item_id": item_ids, "title": item_ids, "category": "", "price": np.nan})
    return InteractionLog(events, table, pd.DataFrame({"user_id": ids("u", USERS)}), "large")


def bytes_an_event(work: Callable[[], object], events: int) -> tuple[float, float]:
    """What the result of the work takes, and what it takes at its peak, both for each event."""
    tracemalloc.start()
    try:
        result = work()
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result is not None
    return kept / events, peak / events


def test_behaviours_are_chosen_in_little_memory(log: InteractionLog) -> None:
    kept, peak = bytes_an_event(lambda: behaviours_of(log, RULE), EVENTS)
    assert kept < 0.6 * 17 + 2  # 60 % stay
    assert peak < 2.2 * 17  # blocks of a million are a quarter of these events


@pytest.fixture(scope="module")
def sequences(log: InteractionLog) -> Sequences:
    some = behaviours_of(log, RULE)
    return build_sequences(some, build_vocabulary(some))


def test_sequences_take_at_most_32_bytes_an_event(log: InteractionLog, sequences: Sequences) -> None:
    parts = [sequences.items, sequences.times, sequences.weights]
    assert [part.dtype for part in parts] == [np.int32, np.int64, np.float32]
    assert {len(part) for part in parts} == {len(sequences.items)}
    some = behaviours_of(log, RULE)
    vocabulary = build_vocabulary(some)
    kept, peak = bytes_an_event(lambda: build_sequences(some, vocabulary), len(some.events))
    assert kept < 16 + 4  # user_ids and starts are of the users
    assert peak < 32


def test_what_training_makes_of_all_behaviours_is_small(sequences: Sequences) -> None:
    users, events = np.arange(USERS), len(sequences.items)
    training = TrainingConfig(recency_half_life=0.3, batch_size=64, negatives=8)
    cpu = torch.device("cpu")
    kept, peak = bytes_an_event(lambda: Sampler(sequences, users, 20, training, ITEMS, cpu), events)
    assert kept < 8 + 2  # the cumulative weights
    assert peak < 8 + 40  # blocks of a million are 40 % of these events
    for work in (
        lambda: item_counts(sequences, users, ITEMS),
        lambda: np.array(repeated_share(sequences)),
        lambda: comirec_cases(sequences, users, 20, most=1_000),
        lambda: next_item_cases(sequences, users, 20, most=1_000, seed=7),
    ):
        assert bytes_an_event(work, events)[1] < 24
