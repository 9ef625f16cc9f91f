"""Training and serving agree on what a user's behaviours are."""

import numpy as np
import pandas as pd
import pytest

from mindstream.behaviour_rule import BehaviourRule
from model_export.data.behaviours import behaviours_of
from model_export.data.dataset import build_sequences, build_vocabulary
from model_export.data.interactions import InteractionLog
from stream.events.position import Position
from stream.events.replay import events_of
from stream.store.state import Arrival, apply

RULES = [
    "impression=0,dislike=-1",
    "view=1,purchase=4,impression=0,dislike=-1,undo-dislike=undo",
    "purchase=1,dislike=-1,return=-1,undo-dislike=undo,*=0",
]
TYPES = ["view", "purchase", "impression", "dislike", "return", "undo-dislike"]


def log_of(seed: int, apart_ms: int) -> InteractionLog:
    """Forty users who look at few items again and again, and change their minds about them."""
    rng = np.random.default_rng(seed)
    number = 2_000
    events = pd.DataFrame(
        {
            "user_id": [f"u{user:02}" for user in rng.integers(40, size=number)],
            "item_id": [f"i{item}" for item in rng.integers(6, size=number)],
            "event_type": rng.choice(TYPES, size=number, p=[0.35, 0.15, 0.2, 0.12, 0.06, 0.12]),
            "event_time_ms": 1_700_000_000_000 + apart_ms * np.arange(number),
        }
    )
    items, users = np.unique(events.item_id), np.unique(events.user_id)
    table = pd.DataFrame({"item_id": items, "title": items, "category": "", "price": np.nan})
    return InteractionLog(events, table, pd.DataFrame({"user_id": users}), "planted")


def served_histories(log: InteractionLog, rule: BehaviourRule) -> dict[str, tuple[list[str], list[int]]]:
    """Items and times of each user's history after the updater has applied every event of the log."""
    by_user: dict[str, list[Arrival]] = {}
    for offset, event in enumerate(events_of(log)):
        if rule.counts(event.event_type):
            by_user.setdefault(event.user_id, []).append((event, Position("life", 0, offset), event.event_time_ms))
    found = {}
    for user_id, events in by_user.items():
        applied = apply(user_id, None, events, 10_000, rule)
        assert applied is not None
        if applied.history.item_ids:
            found[user_id] = list(applied.history.item_ids), list(applied.history.event_times_ms)
    return found


def trained_histories(log: InteractionLog, rule: BehaviourRule) -> dict[str, tuple[list[str], list[int]]]:
    """Items and times of each user's sequence in training."""
    some = behaviours_of(log, rule)
    vocabulary = build_vocabulary(some)
    sequences = build_sequences(some, vocabulary)
    found = {}
    for user, user_id in enumerate(sequences.user_ids):
        own = slice(sequences.starts[user], sequences.starts[user + 1])
        found[user_id] = [vocabulary.item_ids[row] for row in sequences.items[own]], sequences.times[own].tolist()
    return found


@pytest.mark.parametrize("apart_ms", [1_000, 0])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(3))
def test_a_history_is_the_same_in_training_and_in_serving(seed: int, rule: str, apart_ms: int) -> None:
    log, parsed = log_of(seed, apart_ms), BehaviourRule.parse(rule)
    served = served_histories(log, parsed)
    assert len(served) > 30
    assert trained_histories(log, parsed) == served
