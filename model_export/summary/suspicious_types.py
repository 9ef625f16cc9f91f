"""Suspicions about event types: impressions and dislikes that count, one type that is nearly all, ratings, too many."""

import re

import numpy as np

from model_export.data.event_type_words import has_words
from model_export.data.impressions import SHOWN
from model_export.summary.clues import Clues, count_of, example_of, of_all, option, other_rule, said

__all__ = [
    "dislikes_that_count",
    "impressions_that_count",
    "no_behaviours",
    "one_type_drowns_the_others",
    "ratings_for_types",
    "too_many_types",
]

# Sets of words; a type is meant if it has all words of one of them.
DISLIKED: tuple[str, ...] = (
    *("dislike", "disliked", "unlike", "unliked", "downvote", "thumbs down", "uninterested", "not interested", "hide"),
    *("hidden", "block", "blocked", "reject", "rejected", "skip", "skipped", "unfollow", "unsubscribe", "remove"),
    *("removed", "delete", "deleted", "return", "returned", "refund", "refunded", "cancel", "cancelled", "canceled"),
)
PAGE = ("view", "views", "viewed", "pageview", "pv", "page", "visit", "browse", "detail", "click", "clicks")
NEARLY_ALL = 0.95
MOST_TYPES = 50
MOST_RATINGS = 20
CODED = r"behaviou?r|action|event|interaction|activity"  # in names of columns of types, which ratings have not


def no_behaviours(clues: Clues) -> str | None:
    """Say that no event counts as a behaviour."""
    types = clues.events.types.values
    if any(clues.rule.is_behaviour(name) for name in types):
        return None
    setting = other_rule(clues, **{str(types[0]): 1.0})
    return (
        f"no event counts as a behaviour by the rule {said(clues.rule)}, so there is nothing to learn from: the types "
        f"are {example_of(types)}{' and others' if len(types) > 2 else ''}"
        + (f"; {setting} counts the first" if setting else "")
    )


def impressions_that_count(clues: Clues) -> str | None:
    """Say that a type counts as a behaviour whose name says that the item was only shown."""
    return _wrong_weight(clues, SHOWN, 0.0, "looks like items that were only shown, and counts as a behaviour")


def dislikes_that_count(clues: Clues) -> str | None:
    """Say that a type counts as a behaviour whose name says that it is a refusal."""
    return _wrong_weight(clues, DISLIKED, -1.0, "looks like items that users did not want, and counts as a behaviour")


def _wrong_weight(clues: Clues, phrases: tuple[str, ...], right: float, why: str) -> str | None:
    """Say that the most frequent type with words of such a phrase has a weight above 0."""
    types = clues.events.types
    wrong = [
        row for row, name in enumerate(types.values) if has_words(str(name), phrases) and clues.rule.is_behaviour(name)
    ]
    if not wrong:
        return None
    names = [str(types.values[row]) for row in sorted(wrong, key=lambda row: -types.counts[row])]
    setting = other_rule(clues, **dict.fromkeys(names, right))
    events = of_all(int(types.counts[wrong].sum()), len(clues.events))
    shown = ", ".join(said(name) for name in names[:3])
    return f"type {shown} ({events} events) {why}" + (f"; {setting} mends it" if setting else "")


def one_type_drowns_the_others(clues: Clues) -> str | None:
    """Say that views are nearly all behaviours, and that nothing weighs more than they do."""
    types = clues.events.types
    weights = {str(name): clues.rule.weight(name) for name in types.values}
    counting = [row for row, weight in enumerate(weights.values()) if weight > 0]
    if clues.few or len(counting) < 2 or len({weights[str(types.values[row])] for row in counting}) > 1:
        return None
    total, most = int(types.counts[counting].sum()), max(counting, key=lambda row: types.counts[row])
    name = str(types.values[most])
    if types.counts[most] < NEARLY_ALL * total or not has_words(name, PAGE):
        return None
    others = [str(types.values[row]) for row in counting if row != most]
    setting = other_rule(clues, **dict.fromkeys(others, 4.0)) if len(others) <= 5 else None
    return (
        f"{said(name)} is the type of {of_all(int(types.counts[most]), total)} behaviours, and what says more of a "
        f"user ({', '.join(map(said, others[:3]))}) weighs no more"
        + (f"; {setting} gives it weight" if setting else "")
    )


def ratings_for_types(clues: Clues) -> str | None:
    """Say that the types are numbers of a scale."""
    names = clues.events.types.values
    if not 3 <= len(names) <= MOST_RATINGS or not all(re.fullmatch(r"-?\d{1,3}(\.\d+)?", str(name)) for name in names):
        return None
    numbers = sorted(map(float, names))
    column = clues.log.columns.get("type", "COLUMN")
    if re.search(CODED, column, re.IGNORECASE) and all(str(name).isdigit() for name in names):
        codes = sorted(map(str, names), key=int)
        setting = other_rule(clues, **dict.fromkeys(codes, 1.0))
        return (
            f"the event types are numbers, {', '.join(codes)}, and all of them count alike: the publisher of the log "
            f"says which is a view and which a purchase; {setting} gives each a weight"
        )
    return (
        f"the event types are numbers from {numbers[0]:g} to {numbers[-1]:g}: probably ratings; --value {column} "
        f"--min-value {np.ceil(np.median(numbers)):g} makes high ones behaviours"
    )


def too_many_types(clues: Clues) -> str | None:
    """Say that there are more event types than anybody has."""
    names = clues.events.types.values
    if len(names) <= MOST_TYPES:
        return None
    return (
        f"there are {count_of(len(names), 'event type')}, such as {example_of(names)}: probably another column; "
        f"{option(clues, 'type')}"
    )
