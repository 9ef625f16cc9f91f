"""Suspicions about users and items: ids that lost digits, ids of something else, bots, titles that are none."""

import numpy as np
import pandas as pd

from model_export.summary.clues import FEW_EVENTS, Clues, example_of, leave_out, of_all, option, said
from model_export.summary.coded import Coded

__all__ = [
    "a_category_for_each_item",
    "a_heavy_item",
    "a_heavy_user",
    "addresses_for_users",
    "duplicates",
    "items_only_once",
    "numbers_that_lost_digits",
    "one_title_for_many",
    "prices_of_nothing",
    "rare_items",
    "same_but_for_case",
    "swapped",
    "users_only_once",
    "users_without_a_name",
]

HEAVY_USER, TIMES_THE_OTHERS = 0.05, 10
HEAVY_ITEM = 0.5
MOST_RARE = 0.8
WORTH_LEARNING = 100  # events
ONLY_ONCE = 0.9
SOME = 0.01
MANY_DUPLICATES = 0.02
COMMON_TITLE, LEAST_TITLES = 0.2, 5
LONGEST_EXACT = 16  # digits that a floating-point number keeps
NOBODY = ("0", "-1", "anonymous", "anon", "guest", "unknown", "default", "test", "visitor", "nobody", "none", "n/a")
EMAIL = r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}"
ADDRESS = r"(\d{1,3}\.){3}\d{1,3}"
SCIENTIFIC = r"-?\d+([.,]\d+)?[eE]\+?\d+"
FIELDS = ("user", "item")


def _both(clues: Clues) -> tuple[tuple[str, Coded], ...]:
    """Return the users and the items, with the names of their fields."""
    return ("user", clues.events.users), ("item", clues.events.items)


def _matching(values: pd.Index, pattern: str) -> np.ndarray:
    """Tell which of some ids a regular expression meets as a whole: bool."""
    return values.astype("str").str.fullmatch(pattern).astype(bool)


def a_heavy_user(clues: Clues) -> str | None:
    """Say that one user has far more events than the others."""
    users, events = clues.events.users, len(clues.events)
    most = int(users.counts.argmax())
    count = int(users.counts[most])
    others = (events - count) / max(1, len(users.counts) - 1)
    if clues.few or count <= HEAVY_USER * events or count <= TIMES_THE_OTHERS * others or len(users.counts) == 1:
        return None
    return (
        f"user {said(users.values[most])} has {of_all(count, events)} events: a bot, a test account, or everybody "
        f"without an id; {leave_out(clues, 'user', users.values[most])}, --max-events-per-user keeps the latest"
    )


def users_without_a_name(clues: Clues) -> str | None:
    """Say that a user's id is a word for nobody."""
    users = clues.events.users
    least = max(SOME * len(clues.events), 2 * float(np.median(users.counts)))
    frequent = np.flatnonzero(users.counts > least).tolist()
    named = [row for row in frequent if str(users.values[row]).strip().lower() in NOBODY]
    if clues.few or not named or a_heavy_user(clues):
        return None
    row = max(named, key=lambda one: users.counts[one])
    count = of_all(int(users.counts[row]), len(clues.events))
    return (
        f"user {said(users.values[row])}, who has {count} events, is probably everybody without an id; "
        f"{leave_out(clues, 'user', users.values[row])}"
    )


def a_heavy_item(clues: Clues) -> str | None:
    """Say that one item is in half of all events."""
    items, events = clues.events.items, len(clues.events)
    most = int(items.counts.argmax())
    if clues.few or len(items.counts) < 4 or items.counts[most] < HEAVY_ITEM * events:
        return None
    return (
        f"item {said(items.values[most])} is in {of_all(int(items.counts[most]), events)} events: a page, a default or "
        f"a missing id rather than an item; {leave_out(clues, 'item', items.values[most])}"
    )


def users_only_once(clues: Clues) -> str | None:
    """Say that nearly all users have a single event."""
    counts = clues.events.users.counts
    single = int((counts == 1).sum())
    if clues.few or single <= ONLY_ONCE * len(counts):
        return None
    return (
        f"{of_all(single, len(counts))} users have a single event, of which nothing can be learnt: is it the id of a "
        f"session, an order or an event? {option(clues, 'user')}"
    )


def items_only_once(clues: Clues) -> str | None:
    """Say that there are nearly as many items as events."""
    items, events = clues.events.items, len(clues.events)
    if clues.few or len(items.counts) <= ONLY_ONCE * events:
        return None
    return (
        f"there are {len(items.counts):,} items in {events:,} events, nearly one each, and nothing can be learnt: is "
        f"it the id of an event or an order? {option(clues, 'item')}"
    )


def rare_items(clues: Clues) -> str | None:
    """Say that most items have fewer events than a model needs to learn them."""
    items, rare = clues.events.items, int((clues.events.items.counts < FEW_EVENTS).sum())
    if len(clues.events) < WORTH_LEARNING or rare <= MOST_RARE * len(items.counts) or items_only_once(clues):
        return None
    return (
        f"{of_all(rare, len(items.counts))} items have fewer than {FEW_EVENTS} events, and are hardly learnt: a longer "
        f"log, or an id of the product instead of its variant or offer, would help; {option(clues, 'item')}"
    )


def swapped(clues: Clues) -> str | None:
    """Say that there are few users with very many events and far more items."""
    users, items, events = len(clues.events.users.counts), len(clues.events.items.counts), len(clues.events)
    if users < 2 or users * 50 > items or events < 200 * users or items > ONLY_ONCE * events:
        return None
    return (
        f"only {users:,} users have {events:,} events with {items:,} items: have user and item been swapped? --user "
        "and --item name the columns"
    )


def numbers_that_lost_digits(clues: Clues) -> str | None:
    """Say that ids are rounded numbers: in scientific notation, or too long to be exact."""
    for field, coded in _both(clues):
        lost = np.flatnonzero(_matching(coded.values, SCIENTIFIC))
        if not len(lost):
            long = np.flatnonzero(_matching(coded.values, rf"\d{{{LONGEST_EXACT + 1},}}"))
            rounded = long[_matching(coded.values[long], r"\d+00")]
            lost = rounded if len(rounded) >= 5 and len(rounded) > 0.5 * len(long) else rounded[:0]
        if len(lost) > SOME * len(coded.values):
            return (
                f"{of_all(len(lost), len(coded.values))} {field} ids are rounded numbers, such as "
                f"{example_of(coded.values[lost])}: a spreadsheet or a float column has lost their last digits, and "
                f"different {field}s became one; export the ids as text"
            )
    return None


def addresses_for_users(clues: Clues) -> str | None:
    """Say that user ids are e-mail or IP addresses."""
    users = clues.events.users.values
    if (mails := int(_matching(users, EMAIL).sum())) > SOME * len(users):
        return (
            f"{of_all(mails, len(users))} user ids look like e-mail addresses: personal data, which would stand in the "
            "topic, the store, the model's files and every log; put a hash or a number in their place"
        )
    if (addresses := int(_matching(users, ADDRESS).sum())) > SOME * len(users):
        return (
            f"{of_all(addresses, len(users))} user ids look like IP addresses: personal data, and all people behind "
            f"one router are one user; {option(clues, 'user')}"
        )
    return None


def same_but_for_case(clues: Clues) -> str | None:
    """Say that ids differ from others only in upper and lower case."""
    for field, coded in _both(clues):
        lower = coded.values.astype("str").str.strip().str.lower()
        twice = np.flatnonzero(lower.duplicated(keep=False))
        if len(twice) > SOME * len(lower):
            pair = coded.values[lower == lower[twice[0]]]
            return (
                f"{of_all(len(twice), len(lower))} {field} ids differ from another only in upper and lower case or "
                f"blanks, such as {example_of(pair)}: probably one {field} under two names; write them alike"
            )
    return None


def duplicates(clues: Clues) -> str | None:
    """Say that many events are exact duplicates."""
    if clues.few or clues.duplicates <= MANY_DUPLICATES * len(clues.events):
        return None
    count = of_all(clues.duplicates, len(clues.events))
    return (
        f"{count} events repeat an earlier one exactly (user, item, type and time): the log was joined or exported "
        "twice, a page sends its events twice, or the times are too coarse; each counts"
    )


def one_title_for_many(clues: Clues) -> str | None:
    """Say that many items have the same title."""
    titles = clues.log.items.title[clues.log.items.title != clues.log.items.item_id]
    if titles.empty:
        return None
    counts = titles.value_counts()
    if counts.iloc[0] < LEAST_TITLES or counts.iloc[0] <= COMMON_TITLE * len(titles):
        return None
    count = of_all(int(counts.iloc[0]), len(titles))
    return (
        f"{count} items with a title are called {said(counts.index[0])}: another column is the title, or there is "
        f"none; {option(clues, 'title')}"
    )


def a_category_for_each_item(clues: Clues) -> str | None:
    """Say that nearly every item has a category of its own."""
    known = clues.log.items.category[clues.log.items.category != ""]
    different = known.nunique()
    if len(known) < LEAST_TITLES * 2 or different <= ONLY_ONCE * len(known):
        return None
    return (
        f"{len(known):,} items have {different:,} categories, nearly one each, so that a category says nothing: "
        f"another column is the category; {option(clues, 'category')}"
    )


def prices_of_nothing(clues: Clues) -> str | None:
    """Say that many prices are zero or below."""
    known = clues.log.items.price.dropna()
    wrong = int((known <= 0).sum())
    if wrong < LEAST_TITLES or wrong <= 0.1 * len(known):
        return None
    return (
        f"{of_all(wrong, len(known))} items with a price cost nothing or less: 0 stands for an unknown price, or rows "
        f"are returns; {option(clues, 'price')}"
    )
