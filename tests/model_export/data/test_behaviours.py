"""Events that count as behaviours, and those that are taken back."""

import numpy as np
import pandas as pd
import pytest

from mindstream.behaviour_rule import BehaviourRule
from model_export.data import behaviours
from model_export.data.behaviours import behaviours_of
from model_export.data.interactions import InteractionLog

RULE = BehaviourRule.parse("view=1,purchase=4,impression=0,dislike=-1,report=-2,undislike=undo")


def log_of(rows: list[tuple[str, str, str]]) -> InteractionLog:
    """A log of (user, item, type), one a second."""
    users, items = sorted({row[0] for row in rows}), sorted({row[1] for row in rows})
    return InteractionLog(
        pd.DataFrame(rows, columns=["user_id", "item_id", "event_type"]).assign(
            event_time_ms=1_000 * np.arange(len(rows))
        ),
        pd.DataFrame({"item_id": items, "title": items, "category": "", "price": np.nan}),
        pd.DataFrame({"user_id": users}),
        "log.csv",
        dropped={"without a user": 2},
        sides=dict.fromkeys(users, "train"),
        notes=("read with care",),
    )


def rows_of(log: InteractionLog) -> list[tuple[str, str, str]]:
    return list(log.events[["user_id", "item_id", "event_type"]].itertuples(index=False, name=None))


def kept(rows: list[tuple[str, str, str]], rule: BehaviourRule = RULE) -> list[int]:
    """The seconds of the behaviours that stay."""
    return [time // 1_000 for time in behaviours_of(log_of(rows), rule).events.event_time_ms]


def test_a_negative_event_takes_the_earlier_behaviours_with_the_item_back() -> None:
    rows = [
        ("ann", "x", "view"),  # 0: taken back by 4
        ("ann", "y", "view"),
        ("bob", "x", "view"),  # 2: another user's
        ("ann", "x", "purchase"),  # 3: taken back by 4
        ("ann", "x", "dislike"),
        ("ann", "x", "undislike"),  # 5: lifts the ban, and brings nothing back
        ("ann", "x", "view"),  # 6: later
    ]
    assert kept(rows) == [1, 2, 6]


def test_the_next_negative_event_is_the_one_that_took_it_back() -> None:
    rows = [
        ("ann", "x", "view"),
        ("ann", "x", "dislike"),
        ("ann", "x", "view"),
        ("ann", "x", "view"),
        ("ann", "x", "report"),
        ("ann", "y", "view"),
    ]
    log = behaviours_of(log_of(rows), RULE)
    assert rows_of(log) == [("ann", "y", "view")]
    assert log.dropped == {
        "without a user": 2,
        "of the type 'dislike', which is negative (weight -1)": 1,
        "of the type 'report', which is negative (weight -2)": 1,
        "taken back by a later 'dislike'": 1,
        "taken back by a later 'report'": 2,
    }


def test_everything_that_is_left_out_is_counted() -> None:
    rows = [
        *[("ann", "x", "view")] * 5,
        ("ann", "y", "Purchase"),  # upper and lower case are the same
        *[("ann", "w", "impression")] * 3,
        ("cid", "x", "impression"),
        ("bob", "z", "undislike"),
        ("ann", "v", "search"),  # not named: 1
    ]
    log = behaviours_of(log_of(rows), RULE)
    assert log.dropped == {
        "without a user": 2,
        "of the type 'impression', which is no behaviour (weight 0)": 4,
        "of the type 'undislike', which only takes a negative event back": 1,
    }
    assert len(log.events) + 4 + 1 == len(rows)
    assert log.notes == (
        "read with care",
        "behaviours: 'view' 5 (weight 1), 'Purchase' 1 (weight 4), 'search' 1 (weight 1)",
    )
    assert log.rule == str(RULE)
    # Users and items without a behaviour go with their events.
    assert (log.items.item_id.tolist(), log.profiles.user_id.tolist()) == (["v", "x", "y"], ["ann"])
    assert log.sides == {"ann": "train"}
    assert behaviours_of(log, RULE) is log


def test_a_log_without_a_behaviour_is_an_error() -> None:
    rows = [("ann", "x", "impression"), ("ann", "x", "impression"), ("ann", "x", "dislike")]
    with pytest.raises(ValueError, match="no behaviour remains of its 3 interactions") as refused:
        behaviours_of(log_of(rows), RULE)
    for part in (
        "log.csv",
        "'impression' 2 (weight 0)",
        "'dislike' 1 (weight -1)",
        str(RULE),
        "MINDSTREAM_BEHAVIOURS",
    ):
        assert part in str(refused.value)
    with pytest.raises(ValueError, match=r"'dislike' 1 .*'view' 1 \(weight 1\)"):  # everything was taken back
        behaviours_of(log_of([("ann", "x", "view"), ("ann", "x", "dislike")]), RULE)


def test_of_many_types_the_most_frequent_are_named() -> None:
    rows = [("ann", "x", "view"), *[("ann", "x", f"type-{n:02}") for n in range(30) for _ in range(40 - n)]]
    log = behaviours_of(log_of(rows), BehaviourRule.parse("view=1,*=0"))
    assert len(log.dropped) == 1 + 10 + 1
    assert log.dropped["of the type 'type-00', which is no behaviour (weight 0)"] == 40
    assert log.dropped["of 20 further types, which are no behaviours"] == sum(40 - n for n in range(10, 30))
    everything = behaviours_of(log_of(rows), BehaviourRule.parse(""))
    assert len(everything.events) == len(rows)
    assert everything.notes[-1].endswith(f"21 further types {sum(40 - n for n in range(10, 30)) + 1}")


def served(rows: list[tuple[str, str, str]], rule: BehaviourRule) -> list[int]:
    """What a history has in the end where each event is applied as it comes, in plain Python."""
    histories: dict[str, list[tuple[int, str]]] = {}
    for number, (user, item, event_type) in enumerate(rows):
        history = histories.setdefault(user, [])
        if rule.is_negative(event_type):
            history[:] = [one for one in history if one[1] != item]
        elif rule.is_behaviour(event_type):
            history.append((number, item))
    return sorted(number for history in histories.values() for number, _ in history)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("block", [7, 1 << 20])
def test_the_same_stays_as_where_events_are_applied_one_by_one(
    seed: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behaviours, "BLOCK", block)
    rng = np.random.default_rng(seed)
    types = ["view", "purchase", "impression", "dislike", "report", "undislike"]
    rows = [
        (f"u{rng.integers(4)}", f"i{rng.integers(5)}", str(rng.choice(types, p=[0.4, 0.1, 0.2, 0.1, 0.1, 0.1])))
        for _ in range(200)
    ]
    expected = served(rows, RULE)
    assert 0 < len(expected) < 100
    assert kept(rows) == expected
