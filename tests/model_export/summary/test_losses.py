"""Rows that are left out, and logs that are too small, among what looks suspicious."""

import pandas as pd
import pytest

from mindstream.behaviour_rule import BehaviourRule
from model_export.data.interactions import InteractionLog
from model_export.summary.figures import summarise

HOUR = 3_600_000
START_MS = 1_735_689_600_000  # 2025-01-01 00:00 UTC


def suspicions(users: int = 20, items: int = 10, events: int = 200, **values: object) -> tuple[str, ...]:
    """What is suspicious in a log of so many users, items and events, an event every 5 hours."""
    rows = [
        (f"u{n % users:02}", f"i{(n // users + n) % items:02}", "view", START_MS + n * (5 * HOUR + 61_000))
        for n in range(events)
    ]
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "event_type", "event_time_ms"])
    names = sorted(set(table.item_id))
    known = pd.DataFrame({"item_id": names, "title": names, "category": "", "price": 5.0})
    profiles = pd.DataFrame({"user_id": sorted(set(table.user_id))})
    log = InteractionLog(table, known, profiles, "by hand", **values)  # type: ignore[arg-type]
    return summarise(log, BehaviourRule.parse(""), START_MS + 365 * 24 * HOUR).suspicious


@pytest.mark.parametrize(
    ("reason", "way"),
    [
        ("without a user", "--user who,OTHER"),
        ("without an item", "--item what,OTHER"),
        ("without a readable time", "--time-format"),
        ("with a time outside of 1973 to 2100, which the stream does not take", "--time-format"),
        ("malformed (wrong number of columns)", "--delimiter"),
    ],
)
def test_more_than_a_twentieth_that_is_lost_is_suspicious(reason: str, way: str) -> None:
    columns = {"user": "who", "item": "what", "time": "when"}
    [sentence] = suspicions(dropped={reason: 50}, columns=columns)
    assert sentence.startswith(f"50 of 250 (20 %) rows are left out, {reason}")
    assert way in sentence
    assert suspicions(dropped={reason: 10}, columns=columns) == ()


def test_the_columns_that_may_hold_the_user_are_named() -> None:
    note = "cookie may hold the user where it is missing: `--user who,cookie`"
    [sentence] = suspicions(dropped={"without a user": 50}, notes=(note,))
    assert sentence.endswith(note)


def test_rows_that_somebody_wants_left_out_are_not_suspicious() -> None:
    assert suspicions(dropped={"left out by --where": 900, "with a value below 3": 900}) == ()


@pytest.mark.parametrize(
    ("users", "items", "events", "said"),
    [(19, 10, 200, "200 interactions of 19 users"), (20, 1, 200, "with 1 item;"), (20, 10, 99, "99 interactions of")],
)
def test_too_little(users: int, items: int, events: int, said: str) -> None:
    found = [one for one in suspicions(users, items, events) if one.startswith("too little to learn from")]
    assert len(found) == 1
    assert said in found[0]


def test_enough() -> None:
    assert suspicions(20, 10, 200) == ()
