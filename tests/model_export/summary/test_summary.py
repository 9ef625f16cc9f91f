"""What is in a log, on logs whose figures can be counted by hand, and what looks suspicious in them."""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mindstream.behaviour_rule import BehaviourRule
from model_export.data.interactions import InteractionLog
from model_export.summary.clues import Clues, of_all
from model_export.summary.coded import coded_events
from model_export.summary.figures import TypeCount, count_duplicates, summarise
from model_export.summary.plot import events_by_period
from model_export.summary.suspicions import SUSPICIONS
from model_export.summary.text import as_text

DAY_MS = 86_400_000
START_MS = 1_735_689_600_000  # 2025-01-01 00:00 UTC
NOW_MS = START_MS + 365 * DAY_MS
RULE = BehaviourRule.parse("impression=0,dislike=-1")

Rows = list[tuple[str, str, str, int]]  # user, item, type, time


def log_of(rows: Rows, coded: bool = False, **values: object) -> InteractionLog:
    """A log of these events; all items have a title and a category, unless others are given."""
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "event_type", "event_time_ms"])
    events = events.sort_values("event_time_ms", kind="stable", ignore_index=True)
    items = sorted(set(events.item_id))
    table = pd.DataFrame(
        {"item_id": items, "title": [f"Lamp {item}" for item in items], "category": "lamps", "price": 5.0}
    )
    profiles = pd.DataFrame({"user_id": sorted(set(events.user_id))})
    if coded:
        events = events.astype(dict.fromkeys(["user_id", "item_id", "event_type"], "category"))
    return replace(InteractionLog(events, table, profiles, "by hand"), **values)  # type: ignore[arg-type]


def usual() -> Rows:
    """400 events of 40 users with 20 items over 40 days, in which nothing is wrong."""
    return [
        (
            f"u{user:02}",
            f"i{(user + 3 * number) % 20:02}",
            ("view", "view", "view", "cart")[(user + number) % 4],
            START_MS + (4 * number + user % 4) * DAY_MS + (user * 3_607 + number * 11_003) * 1_000,
        )
        for user in range(40)
        for number in range(10)
    ]


def suspicions(log: InteractionLog, rule: BehaviourRule = RULE) -> tuple[str, ...]:
    return summarise(log, rule, NOW_MS).suspicious


# Figures


FEW: Rows = [
    ("ann", "lamp", "view", START_MS),
    ("ann", "lamp", "view", START_MS),  # a duplicate, and a repeat
    ("ann", "lamp", "cart", START_MS),  # a repeat of another type
    ("bob", "lamp", "view", START_MS),
    ("ann", "mug", "view", START_MS + 1),
    ("ann", "lamp", "view", START_MS + DAY_MS),  # a repeat at another time
    ("bob", "mug", "dislike", START_MS + 3 * DAY_MS),
    ("cid", "lamp", "view", START_MS + 3 * DAY_MS + 5_000),
]


@pytest.mark.parametrize("coded", [False, True])
def test_figures_that_can_be_counted(coded: bool) -> None:
    found = summarise(log_of(FEW, coded), RULE, NOW_MS)
    assert (found.events, found.users, found.items) == (8, 3, 2)
    assert (found.first, found.last, found.days) == ("2025-01-01 00:00:00", "2025-01-04 00:00:05", 4)
    assert found.types == (
        TypeCount("view", 6, 1, False),
        TypeCount("cart", 1, 1, False),
        TypeCount("dislike", 1, -1, False),
    )
    assert found.behaviours == 7
    assert (found.median_events, found.most_events, found.heaviest_user) == (2, 5, "ann")
    assert found.p99_events == pytest.approx(2 + 0.98 * 3)  # between bob's 2 and ann's 5
    assert found.repeats == pytest.approx(3 / 8)
    assert found.duplicates == 1
    assert found.items_with_few == 1  # the mug has 2
    assert found.users_with_one == 1
    assert found.by_day == {"2025-01-01": 5, "2025-01-02": 1, "2025-01-04": 2}
    assert found.suspicious == (
        "too little to learn from: 8 interactions of 3 users with 2 items; right are at least 100 interactions, "
        "20 users and 2 items, and far more are better",
    )


def test_duplicates_do_not_stand_beside_each_other() -> None:
    rows: Rows = [("a", "x", "view", 5), ("b", "x", "view", 5), ("a", "x", "view", 5), ("a", "x", "view", 6)]
    assert summarise(log_of([*rows, ("b", "x", "cart", 5), ("a", "y", "view", 5)]), RULE, NOW_MS).duplicates == 1


def test_the_same_at_another_time_is_no_duplicate() -> None:
    assert (
        summarise(log_of([("a", "x", "view", START_MS), ("a", "x", "view", START_MS + 1)]), RULE, NOW_MS).duplicates
        == 0
    )


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_pandas(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [(f"u{u}", f"i{i}", f"t{t}", int(time)) for u, i, t, time in rng.integers(0, [7, 5, 3, 9], (300, 4))]
    log = log_of(rows, coded=bool(seed % 2))
    found, events = summarise(log, RULE, NOW_MS), log.events.astype("object")
    assert found.duplicates == events.duplicated().sum()
    assert all(count_duplicates(coded_events(log), block) == found.duplicates for block in (1, 7, 299))
    assert found.repeats == pytest.approx(events.duplicated(["user_id", "item_id"]).mean())
    assert {one.event_type: one.events for one in found.types} == events.event_type.value_counts().to_dict()


def test_a_category_that_no_event_has_counts_for_nothing() -> None:
    log = log_of(FEW, coded=True)
    events = log.events.assign(user_id=log.events.user_id.cat.add_categories(["nobody"]))
    assert summarise(replace(log, events=events), RULE, NOW_MS).users == 3


def test_a_log_without_times_has_no_days() -> None:
    rows = [(user, item, kind, number) for number, (user, item, kind, _) in enumerate(usual())]
    found = summarise(log_of(rows, timed=False), RULE, NOW_MS)
    assert (found.first, found.last, found.days, found.by_day, found.duplicates) == (None, None, 0, {}, 0)
    assert found.suspicious == ()
    assert "none, only an order" in as_text(found)


def test_a_log_of_impressions_alone() -> None:
    found = summarise(log_of([("a", "x", "impression", 5), ("b", "x", "impression", 6)]), RULE, NOW_MS)
    assert found.behaviours == 0
    assert found.suspicious[0].startswith("no event counts as a behaviour by the rule 'dislike=-1,impression=0'")
    assert "MINDSTREAM_BEHAVIOURS=dislike=-1,impression=1 counts the first" in found.suspicious[0]


def test_as_json_has_everything() -> None:
    found = json.loads(json.dumps(summarise(log_of(FEW), RULE, NOW_MS).as_json()))
    assert found["types"][0] == {"event_type": "view", "events": 6, "weight": 1.0, "undoes": False}
    assert found["by_day"]["2025-01-04"] == 2
    assert found["rule"] == "dislike=-1,impression=0"


def test_the_text_is_aligned_and_counts() -> None:
    lines = as_text(summarise(log_of(FEW), BehaviourRule.parse("dislike=undo,view=0.5"), NOW_MS)).splitlines()
    assert lines[:5] == [
        "event type  events   share  weight",
        "----------  ------  ------  ------",
        "view             6  75.0 %     0.5",
        "cart             1  12.5 %       1",
        "dislike          1  12.5 %    undo",
    ]
    assert "7 of 8 (88 %) events count as behaviours: those with a weight above 0" in lines
    assert "heaviest user                           'ann' with 5 of 8 (62 %) events" in lines
    assert (
        "times (UTC)                             2025-01-01 00:00:00 to 2025-01-04 00:00:05; 4 days, 3 with events"
        in lines
    )
    assert lines[-1].startswith("- too little to learn from: 8 interactions")


def test_what_others_wrote_cannot_move_the_cursor() -> None:
    text = as_text(summarise(log_of([("a\x1b[2J", "x", "vi\new", START_MS)]), RULE, NOW_MS))
    assert "\x1b" not in text
    assert "vi\\new" in text


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (1, 3, "1 of 3 (33 %)"),
        (3, 3, "3 of 3 (100 %)"),
        (1999, 2000, "1,999 of 2,000 (99.95 %)"),
        (1, 5000, "1 of 5,000 (0.02 %)"),
        (1, 10**6, "1 of 1,000,000 (under 0.01 %)"),
        (10**6 - 1, 10**6, "999,999 of 1,000,000 (99.99 %)"),
        (0, 9, "0 of 9 (0 %)"),
    ],
)
def test_shares_in_words(part: int, whole: int, said: str) -> None:
    assert of_all(part, whole) == said


# Suspicions: each appears where it is planted, and only there


def with_rows(*more: tuple[str, str, str, int]) -> Rows:
    return [*usual(), *more]


def each(change: Callable[[str, str, str, int, int], tuple[str, str, str, int]]) -> Rows:
    """The usual events, each changed; the last argument is its number."""
    return [change(*row, number) for number, row in enumerate(usual())]


def busy(user: str, times: int) -> Rows:
    return [(user, f"i{n % 20:02}", "view", START_MS + n * 3_600_000 + 77_000) for n in range(times)]


def with_titles(count: int) -> InteractionLog:
    log = log_of(usual())
    return replace(log, items=log.items.assign(title=["Unknown"] * count + [f"Lamp {n}" for n in range(20 - count)]))


COLUMNS = {"user": "visitor", "item": "context.item", "type": "event", "title": "name"}

PLANTED: dict[str, tuple[InteractionLog, str]] = {
    "a bot": (
        log_of(with_rows(*busy("bot's", 120)), columns=COLUMNS),
        r"^user 'bot's' has 120 of 520 \(23 %\) events: a bot.* --where (?P<quoted>.*) leaves these events out",
    ),
    "nobody's id": (
        log_of(with_rows(*busy("anonymous", 21))),
        r"^user 'anonymous', who has 21 of 421 \(5 %\) events, is probably everybody",
    ),
    "an item that is a page": (
        log_of(with_rows(*((f"u{n % 40:02}", "home", "view", START_MS + n * 3_600_001) for n in range(400)))),
        r"^item 'home' is in 400 of 800 \(50 %\) events: a page.*--where with an SQL condition",
    ),
    "one second": (
        log_of(each(lambda u, i, t, ms, n: (u, i, t, START_MS + 7_000 + n if n % 3 else ms))),
        r"^266 of 400 \(66 %\) events are within one second, 2025-01-01 00:00:07: .*--untimed",
    ),
    "dates without times": (
        log_of(each(lambda u, i, t, ms, n: (u, i, t, ms // DAY_MS * DAY_MS if n % 5 else ms))),
        r"^321 of 400 \(80 %\) events are at 00:00:00: dates without a time of day",
    ),
    "dates of another zone": (
        log_of(each(lambda u, i, t, ms, n: (u, i, t, ms // DAY_MS * DAY_MS + 16 * 3_600_000))),
        r"^400 of 400 \(100 %\) events are at 16:00:00: dates",
    ),
    "the future": (
        log_of(with_rows(("u01", "i01", "view", NOW_MS + 3 * DAY_MS), ("u01", "i01", "view", NOW_MS + 40 * DAY_MS))),
        r"^2 of 402 \(0.5 %\) events are in the future, up to 2026-02-10",
    ),
    "a wrong unit": (
        log_of(each(lambda u, i, t, ms, n: (u, i, t, ms // 1_000))),
        r"^the last event is of 1970-01-21: a wrong unit",
    ),
    "default dates": (
        log_of(with_rows(("u01", "i01", "view", 0))),
        r"^1 event of 401 takes most of the time range, from 1970-01-01 to 2025-01-01",
    ),
    "a missing part": (
        log_of(each(lambda u, i, t, ms, n: (u, i, t, ms + 10 * DAY_MS * (ms > START_MS + 20 * DAY_MS)))),
        r"^there is no event from 2025-01-21 to 2025-01-30 \(10 days\), although 42 of 42 \(100 %\) of the other days",
    ),
    "ids through a spreadsheet": (
        log_of(each(lambda u, i, t, ms, n: (u, f"1.2{i[1:]}E+18", t, ms))),
        r"^20 of 20 \(100 %\) item ids are rounded numbers, such as '1.2\d\dE\+18', '1.2\d\dE\+18': a spreadsheet",
    ),
    "ids through a float": (
        log_of(each(lambda u, i, t, ms, n: (f"12345678901234{u[1:]}00", i, t, ms))),
        r"^40 of 40 \(100 %\) user ids are rounded numbers, such as '12345678901234\d\d00'",
    ),
    "upper and lower case": (
        log_of(each(lambda u, i, t, ms, n: (u, i.upper() if n % 7 == 0 else i, t, ms))),
        r"^40 of 40 \(100 %\) item ids differ from another only in upper and lower case or blanks, .* 'I00', 'i00'",
    ),
    "e-mail addresses": (
        log_of(each(lambda u, i, t, ms, n: (f"{u}@shop.example" if u < "u30" else u, i, t, ms))),
        r"^30 of 40 \(75 %\) user ids look like e-mail addresses: personal data",
    ),
    "IP addresses": (
        log_of(each(lambda u, i, t, ms, n: (f"10.0.0.{int(u[1:])}", i, t, ms))),
        r"^40 of 40 \(100 %\) user ids look like IP addresses",
    ),
    "impressions": (
        log_of(each(lambda u, i, t, ms, n: (u, i, "Product_Exposure" if n % 2 else t, ms))),
        r"^type 'Product_Exposure' \(200 of 400 \(50 %\) events\) looks like items that were only shown.*"
        r"MINDSTREAM_BEHAVIOURS=dislike=-1,impression=0,product_exposure=0 mends it",
    ),
    "lists of GA4": (
        log_of(each(lambda u, i, t, ms, n: (u, i, "view_item_list" if n % 2 else t, ms))),
        r"^type 'view_item_list' .*view_item_list=0 mends it",
    ),
    "what was taken out of the cart": (
        log_of(each(lambda u, i, t, ms, n: (u, i, "removeFromCart" if n % 10 == 0 else t, ms))),
        r"^type 'removeFromCart' \(40 of 400 \(10 %\) events\) looks like items that users did not want.*=-1 mends it",
    ),
    "views that drown purchases": (
        log_of(each(lambda u, i, t, ms, n: (u, i, "page_view" if n % 40 else "purchase", ms))),
        r"^'page_view' is the type of 390 of 400 \(98 %\) behaviours, .*\('purchase'\) weighs no more; "
        r"MINDSTREAM_BEHAVIOURS=dislike=-1,impression=0,purchase=4 gives it weight",
    ),
    "ratings": (
        log_of(each(lambda u, i, t, ms, n: (u, i, str(1 + n % 5), ms)), columns={"type": "stars"}),
        r"^the event types are numbers from 1 to 5: probably ratings; --value stars --min-value 3 makes",
    ),
    "numbers for types": (
        log_of(each(lambda u, i, t, ms, n: (u, i, str(1 + n % 4), ms)), columns={"type": "behavior_type"}),
        r"^the event types are numbers, 1, 2, 3, 4, .*BEHAVIOURS=dislike=-1,impression=0,1=1,2=1,3=1,4=1 gives",
    ),
    **{
        reason: (log_of(usual(), dropped={reason: 100}), rf"^100 of 500 \(20 %\) rows are left out, {reason}")
        for reason in (
            "without a user",
            "without an item",
            "without a readable time",
            "with a time outside of 1973 to 2100",
            "malformed",
        )
    },
    "one user": (
        log_of([("u", i, t, ms) for _, i, t, ms in usual()[:40]]),
        r"^too little to learn from: 40 interactions of 1 user with",
    ),
    "titles for types": (
        log_of(each(lambda u, i, t, ms, n: (u, i, f"Lamp number {n % 60}", ms)), columns=COLUMNS),
        r"^there are 60 event types, such as 'Lamp number 0', 'Lamp .*--type names another column than 'event'",
    ),
    "an event's id": (
        log_of(each(lambda u, i, t, ms, n: (u, f"e{n}", t, ms)), columns=COLUMNS),
        r"^there are 400 items in 400 events, nearly one each.*--item names another column than 'context.item'",
    ),
    "a session's id": (
        log_of(each(lambda u, i, t, ms, n: (f"s{n}" if n > 20 else f"s{n % 10}", i, t, ms))),
        r"^379 of 389 \(97 %\) users have a single event.*--user names another column$",
    ),
    "variants": (
        log_of(each(lambda u, i, t, ms, n: (u, f"v{n % 150}", t, ms))),
        r"^150 of 150 \(100 %\) items have fewer than 5 events, and are hardly learnt",
    ),
    "swapped columns": (
        log_of([(f"u{n % 2}", f"i{n % 150}", "view", START_MS + n * 3_600_001) for n in range(900)]),
        r"^only 2 users have 900 events with 150 items: have user and item been swapped\?",
    ),
    "a log that was joined": (
        log_of([*usual(), *usual()[:20]]),
        r"^20 of 420 \(5 %\) events repeat an earlier one exactly",
    ),
    "one title for many": (
        replace(with_titles(6), columns=COLUMNS),
        r"^6 of 20 \(30 %\) items with a title are called 'Unknown': .*--title names another column than 'name'",
    ),
    "a category for each item": (
        replace(log_of(usual()), items=log_of(usual()).items.assign(category=[f"c{n}" for n in range(20)])),
        r"^20 items have 20 categories, nearly one each",
    ),
    "prices of nothing": (
        replace(log_of(usual()), items=log_of(usual()).items.assign(price=[0.0] * 5 + [3.0] * 10 + [np.nan] * 5)),
        r"^5 of 15 \(33 %\) items with a price cost nothing or less",
    ),
}

# What is near, and nothing to worry about.
HARMLESS: dict[str, InteractionLog] = {
    "nothing": log_of(usual()),
    "nothing, coded": log_of(usual(), coded=True),
    "a user with a good share": log_of([*(row for row in usual() if row[0] < "u20"), *busy("u20", 20)]),
    "a keen user": log_of(with_rows(*busy("keen", 20))),
    "a guest who comes seldom": log_of(with_rows(*busy("guest", 10))),
    "a popular item": log_of(
        with_rows(*((f"u{n % 40:02}", "hit", "view", START_MS + n * 3_600_001) for n in range(390)))
    ),
    "some at midnight": log_of(
        each(lambda u, i, t, ms, n: (u, i, t, ms // DAY_MS * DAY_MS if n % 3 else ms)[:4] if n % 2 else (u, i, t, ms))
    ),
    "a day of rest": log_of(with_rows(("u01", "i01", "view", START_MS + 43 * DAY_MS))),
    "closed on Sundays": log_of(each(lambda u, i, t, ms, n: (u, i, t, ms + DAY_MS * ((ms // DAY_MS + 4) % 7 == 0)))),
    "a dozen long ids": log_of(each(lambda u, i, t, ms, n: (f"1234567890123456{int(u[1:]) * 7 + 1:03}", i, t, ms))),
    "ids with an e": log_of(each(lambda u, i, t, ms, n: (u, f"1e{i[1:]}a", t, ms))),
    "a few duplicates": log_of([*usual(), *usual()[:8]]),
    "types by hand": log_of(each(lambda u, i, t, ms, n: (u, i, "wishlist" if n % 3 else "showroom", ms))),
    "impressions that do not count": log_of(each(lambda u, i, t, ms, n: (u, i, "impression" if n % 2 else t, ms))),
    "dislikes that are negative": log_of(each(lambda u, i, t, ms, n: (u, i, "dislike" if n % 9 == 0 else t, ms))),
    "few titles alike": with_titles(4),
    "no titles at all": replace(
        log_of(usual()), items=log_of(usual()).items.assign(title=[f"i{n:02}" for n in range(20)])
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_said_with_its_numbers(name: str) -> None:
    log, sentence = PLANTED[name]
    said = suspicions(log)
    assert [one for one in said if re.search(sentence, one)], said


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_all_that_is_said(name: str) -> None:
    """Of one mistake people should not have to read three sentences."""
    assert len(suspicions(PLANTED[name][0])) == 1


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_usual_is_not_suspicious(name: str) -> None:
    assert suspicions(HARMLESS[name]) == ()


def test_every_suspicion_is_planted_somewhere() -> None:
    logs = [log for log, _ in PLANTED.values()] + [log_of([("a", "x", "impression", START_MS)])]
    clues = [Clues(log, RULE, (events := coded_events(log)), count_duplicates(events), NOW_MS) for log in logs]
    assert [look.__name__ for look in SUSPICIONS if not any(map(look, clues))] == []


def test_the_condition_that_leaves_a_user_out_is_sql_in_the_shell_s_quotes() -> None:
    log, sentence = PLANTED["a bot"]
    [found] = filter(None, (re.search(sentence, one) for one in suspicions(log)))
    assert shlex.split(found["quoted"]) == ["visitor <> 'bot''s'"]


def test_weights_that_differ_already_are_left_alone() -> None:
    log = PLANTED["views that drown purchases"][0]
    assert suspicions(log, BehaviourRule.parse("purchase=4")) == ()


def test_a_type_that_cannot_stand_in_a_rule_gets_no_example() -> None:
    log = log_of(each(lambda u, i, t, ms, n: (u, i, "impression, shown" if n % 2 else t, ms)))
    [sentence] = suspicions(log)
    assert "MINDSTREAM" not in sentence


# Plots


def test_days_are_added_up_to_periods_that_fit() -> None:
    days = {str(np.datetime64("2024-12-30") + n): n for n in range(60)}  # from a Monday on
    assert events_by_period(days, 60) == ("day", days)
    name, weeks = events_by_period(days, 50)
    assert (name, len(weeks)) == ("week", 9)
    assert weeks["2024-12-30"] == sum(range(7))
    assert weeks["2025-01-06"] == sum(range(7, 14))
    assert events_by_period(days, 8) == (
        "month",
        {"2024-12-01": 1, "2025-01-01": sum(range(2, 33)), "2025-02-01": sum(range(33, 60))},
    )


def test_days_without_events_are_there() -> None:
    assert events_by_period({"2025-01-01": 2, "2025-01-04": 3}) == (
        "day",
        {"2025-01-01": 2, "2025-01-02": 0, "2025-01-03": 0, "2025-01-04": 3},
    )
    assert events_by_period({"1970-01-01": 2, "2611-01-04": 3})[0] == "century"
