"""Event types of a log's behaviours: which ones a model tells apart, and the rows that stand for them."""

from dataclasses import replace

import numpy as np
import pandas as pd

from mindstream.behaviour_rule import BehaviourRule
from model_export.data.behaviours import behaviours_of
from model_export.data.dataset import build_sequences, build_vocabulary, history_windows
from model_export.data.event_types import MOST_TYPES, event_types_of, type_rows
from model_export.data.interactions import InteractionLog


def log_of(*events: tuple[str, str, str]) -> InteractionLog:
    """A log of (user, item, event type), a second apart."""
    columns = dict(zip(("user_id", "item_id", "event_type"), map(list, zip(*events, strict=True)), strict=True))
    ids = sorted({item for _, item, _ in events})
    shown = {"title": ids, "category": [""] * len(ids), "price": np.nan}
    return InteractionLog(
        pd.DataFrame(columns | {"event_time_ms": 1_000 * np.arange(len(events))}),
        pd.DataFrame({"item_id": ids} | shown),
        pd.DataFrame({"user_id": sorted({user for user, _, _ in events})}),
        "a list",
    )


LOG = log_of(
    *(("ann", "wok", "View"), ("ann", "pan", "buy"), ("bob", "pan", "view"), ("ann", "cup", "impression")),
    *(("ann", "wok", "dislike"), ("bob", "cup", "cart"), ("bob", "wok", "view")),
)
RULE = BehaviourRule.parse("view=1,cart=2,buy=4,impression=0,dislike=-1")


def test_the_types_are_those_of_the_behaviours_alone() -> None:
    log = behaviours_of(LOG, RULE)
    assert event_types_of(log) == ["buy", "cart", "view"]
    # A caller who did not choose the behaviours before gets no type that the log's rule refuses either.
    assert event_types_of(replace(LOG, rule=str(RULE))) == ["buy", "cart", "view"]


def test_each_behaviour_has_the_row_of_its_type() -> None:
    log = behaviours_of(LOG, RULE)
    vocabulary = build_vocabulary(log)
    sequences = build_sequences(log, vocabulary)
    assert sequences.user_ids == ["ann", "bob"]
    names = [vocabulary.item_ids[row] for row in sequences.items]
    # The dislike took back ann's wok, so it is neither in a history nor a target; its own event is none either.
    assert list(zip(names, sequences.types.tolist(), strict=True)) == [("pan", 1), ("pan", 3), ("cup", 2), ("wok", 3)]
    assert sequences.weights.tolist() == [4, 1, 2, 1]
    _, mask, _, types = history_windows(sequences, np.array([4, 1]), np.array([1, 0]), 4)
    assert types.tolist() == [[0, 3, 2, 3], [0, 0, 0, 1]]
    assert mask.tolist() == [[False, True, True, True], [False, False, False, True]]
    other = build_sequences(log, replace(vocabulary, event_types=["view"]))
    assert other.types.tolist() == [0, 1, 0, 1]
    assert not build_sequences(log, replace(vocabulary, event_types=[])).types.any()


def test_types_beyond_the_table_are_the_rarest() -> None:
    frequent = [("ann", "pan", f"type {number:02}") for number in range(MOST_TYPES - 1) for _ in range(2)]
    log = log_of(*frequent, ("ann", "pan", "a rare one"))
    types = event_types_of(log)
    assert types == [f"type {number:02}" for number in range(MOST_TYPES - 1)]
    assert type_rows(["a rare one", "TYPE 00", "type 30"], types).tolist() == [0, 1, 31]
    assert MOST_TYPES == 32
