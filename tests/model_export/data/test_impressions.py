"""Impressions of a log: what counts as one, and what of them a user did not take."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mindstream.behaviour_rule import BehaviourRule
from model_export.data.behaviours import behaviours_of
from model_export.data.dataset import build_sequences, build_vocabulary
from model_export.data.impressions import ShownItems
from model_export.data.interactions import InteractionLog

MINUTE = 60_000
NOON = 1_720_000_000_000
SHOWN, TAKEN = "impression", "click"

ROWS: list[tuple[str, str, str, int]] = [  # user, item, type, minutes after noon
    ("ann", "mug", TAKEN, 0),
    ("ann", "tea", SHOWN, 50),
    ("ann", "cup", SHOWN, 51),
    ("ann", "pot", SHOWN, 51),
    ("ann", "pot", TAKEN, 52),  # so it was shown and taken
    ("ann", "tea", SHOWN, 53),  # after the moment at which she is asked
    ("ann", "cup", TAKEN, 200),  # another visit
    ("bob", "tea", TAKEN, 40),
    ("bob", "tea", SHOWN, 100),  # an hour after he took it
    ("bob", "jar", SHOWN, 101),  # nobody takes a jar
    ("bob", "mug", TAKEN, 110),
    ("eve", "mug", SHOWN, 5),  # has no behaviours
]


def log_of(rows: list[tuple[str, str, str, int]], **others: Any) -> InteractionLog:
    rows = sorted(rows, key=lambda row: row[3])
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "event_type", "minute"])
    events = events.assign(event_time_ms=NOON + MINUTE * events.pop("minute"))
    ids = sorted(set(events.item_id))
    items = pd.DataFrame({"item_id": ids, "title": ids, "category": "", "price": np.nan})
    return InteractionLog(events, items, pd.DataFrame({"user_id": sorted(set(events.user_id))}), "a log", **others)


def shown_of(log: InteractionLog) -> tuple[ShownItems, list[str], list[str]]:
    """What was shown, and the ids of users and items."""
    vocabulary = build_vocabulary(log)
    sequences = build_sequences(log, vocabulary)
    assert log.impressions is not None
    return ShownItems(log.impressions, sequences, vocabulary.item_ids), sequences.user_ids, vocabulary.item_ids


def test_what_was_shown_and_not_taken_by_hand() -> None:
    log = behaviours_of(log_of(ROWS), BehaviourRule.parse("impression=0"), impressions=True)
    assert len(log.events) == 5
    shown, users, items = shown_of(log)
    asked = {"ann": [0, 52, 52, 200], "bob": [40, 110]}
    cases = [(users.index(user), NOON + MINUTE * minute) for user, minutes in asked.items() for minute in minutes]
    asked_users, asked_ms = np.array(cases).T
    found = shown.before(asked_users, asked_ms, most=2)
    names = [[items[row] if row >= 0 else "" for row in rows] for rows in found.tolist()]
    assert names == [["", ""], ["cup", "tea"], ["cup", "tea"], ["", ""], ["", ""], ["tea", ""]]
    assert shown.before(np.array([0]), np.array([NOON + 52 * MINUTE]), most=1).tolist() == [[items.index("cup")]]
    assert shown.left_out == 2  # the jar, and Eve's mug


@pytest.mark.parametrize(
    ("event_type", "rule", "is_one"),
    [
        ("impression", "impression=0", True),
        ("itemShown", "itemshown=0", True),
        ("view_item_list", "view_item_list=0", True),
        ("view_list", "view_list=undo", False),  # it does something else
        ("impression", "impression=-1", False),
        ("impression", "click=1", False),  # it counts as a behaviour
        ("scroll", "scroll=0", False),
    ],
)
def test_which_types_are_impressions(event_type: str, rule: str, is_one: bool) -> None:
    log = log_of([("ann", "mug", TAKEN, 0), ("ann", "tea", event_type, 1)])
    log = behaviours_of(log, BehaviourRule.parse(rule), impressions=True)
    assert (log.impressions is not None) == is_one
    if log.impressions is not None:
        assert log.impressions.item_id.tolist() == ["tea"]


def test_choosing_again_keeps_them() -> None:
    rule = BehaviourRule.parse("impression=0")
    assert behaviours_of(log_of(ROWS), rule).impressions is None  # nobody asked for them
    log = behaviours_of(log_of(ROWS), rule, impressions=True)
    again = behaviours_of(log.before(NOON + 100 * MINUTE), rule)
    assert again.impressions is log.impressions
