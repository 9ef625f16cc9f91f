"""The interaction log: codes instead of strings, and parts of it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from model_export.data.interactions import InteractionLog

ROWS = [("bob", "y", "click"), ("ann", "x", "buy"), ("bob", "x", "click"), ("cid", "z", "click"), ("ann", "x", "view")]


def log_of(rows: list[tuple[str, str, str]] = ROWS, **columns: Any) -> InteractionLog:
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "event_type"]).assign(**columns)
    users, items = sorted({row[0] for row in rows}), sorted({row[1] for row in rows})
    return InteractionLog(
        events.assign(event_time_ms=np.arange(len(rows)) * 1_000),
        pd.DataFrame({"item_id": items, "title": items, "category": "", "price": np.nan}),
        pd.DataFrame({"user_id": users}),
        "log.csv",
        dropped={"without a user": 3},
        sides=dict.fromkeys(users, "train"),
        notes=("read with care",),
    )


def categories(log: InteractionLog) -> list[list[str]]:
    return [log.events[name].cat.categories.tolist() for name in ("user_id", "item_id", "event_type")]


def rows_of(log: InteractionLog) -> list[tuple[str, str, str]]:
    return list(log.events[["user_id", "item_id", "event_type"]].itertuples(index=False, name=None))


def test_strings_become_codes_of_the_sorted_distinct_ones() -> None:
    log = log_of()
    assert categories(log) == [["ann", "bob", "cid"], ["x", "y", "z"], ["buy", "click", "view"]]
    assert log.events.user_id.cat.codes.tolist() == [1, 0, 1, 2, 0]
    assert rows_of(log) == ROWS
    assert {str(log.events[name].cat.categories.dtype) for name in ("user_id", "item_id", "event_type")} == {"str"}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (pd.Categorical(["y", "x", "x", "z", "x"], categories=["z", "y", "x"]), "not sorted"),
        (pd.Categorical(["y", "x", "x", "z", "x"], categories=["a", "x", "y", "z"]), "one does not occur"),
        (pd.Categorical(["y", "x", "x", "z", "x"], categories=["x", "y", "z"], ordered=True), "ordered"),
        (np.array(["y", "x", "x", "z", "x"], dtype=object), "objects"),
    ],
)
def test_other_columns_become_the_same_codes(given: object, why: str) -> None:
    pd.testing.assert_frame_equal(log_of(item_id=given).events, log_of().events)


def test_numbers_become_text() -> None:
    assert categories(log_of(item_id=[10, 9, 9, 7, 9]))[1] == ["10", "7", "9"]
    assert categories(log_of(item_id=pd.Categorical([10, 9, 9, 7, 9])))[1] == ["10", "7", "9"]


def test_coded_events_are_taken_as_they_are() -> None:
    log = log_of()
    assert replace(log, source="again").events is log.events


def test_an_event_takes_17_bytes() -> None:
    users, items = 300_000, 100_000
    events = pd.DataFrame(
        {
            "user_id": pd.Categorical.from_codes(
                np.arange(users, dtype=np.int32), pd.Index([f"{n:07}" for n in range(users)], dtype="str")
            ),
            "item_id": pd.Categorical.from_codes(
                np.arange(users, dtype=np.int32) % items, pd.Index([f"{n:07}" for n in range(items)], dtype="str")
            ),
            "event_type": ["click"] * users,
            "event_time_ms": np.arange(users),
        }
    )
    nothing = pd.DataFrame({"item_id": []}), pd.DataFrame({"user_id": []})
    log = InteractionLog(events, *nothing, "large")
    arrays = [log.events[name].array.codes for name in ("user_id", "item_id", "event_type")]
    assert [array.itemsize for array in (*arrays, log.events.event_time_ms.to_numpy())] == [4, 4, 1, 8]


def test_a_part_knows_its_own_users_items_and_types_alone() -> None:
    part = log_of().between(0.2, 0.6)  # ann's x and bob's x
    assert rows_of(part) == ROWS[1:3]
    assert categories(part) == [["ann", "bob"], ["x"], ["buy", "click"]]
    assert part.items.item_id.tolist() == ["x"]
    assert part.profiles.user_id.tolist() == ["ann", "bob"]
    assert part.sides == {"ann": "train", "bob": "train"}
    # What the reading left out is not forgotten where a part is looked at.
    assert (part.dropped, part.notes) == ({"without a user": 3}, ("read with care",))
    assert (
        "2 interactions of 2 users with 1 item, of 1970-01-01 (UTC)\n  left out: 3 without a user\n" in part.describe()
    )


def test_before_and_after_a_time() -> None:
    log = log_of()
    assert categories(log.before(2_000)) == [["ann", "bob"], ["x", "y"], ["buy", "click"]]
    assert categories(log.after(3_000)) == [["ann"], ["x"], ["view"]]
    empty = log.after(9_999)
    assert (len(empty.events), categories(empty), len(empty.items)) == (0, [[], [], []], 0)
