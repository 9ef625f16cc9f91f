"""The event types that a model may tell apart: those of the behaviours of its log, each with a row of its own."""

from collections.abc import Sequence

import numpy as np

from mindstream.behaviour_rule import BehaviourRule
from model_export.data.interactions import BLOCK, InteractionLog

__all__ = ["MOST_TYPES", "event_types_of", "type_rows"]

MOST_TYPES = 32  # rows of a model's table, of which row 0 is "unknown"


def event_types_of(log: InteractionLog) -> list[str]:
    """Return the event types of a log's behaviours, in lower case, by the alphabet.

    Of more than MOST_TYPES - 1 the most frequent ones. Types that the log's rule does not count as behaviours are never
    among them.
    """
    rule, types = BehaviourRule.parse(log.rule), log.events.event_type.array
    counts = np.zeros(len(types.categories), dtype=np.int64)
    for at in range(0, len(types), BLOCK):
        counts += np.bincount(types.codes[at : at + BLOCK], minlength=len(counts))
    by_name: dict[str, int] = {}
    for name, number in zip(types.categories, counts.tolist(), strict=True):
        if number and rule.is_behaviour(name):
            by_name[name.lower()] = by_name.get(name.lower(), 0) + number
    most = sorted(by_name, key=lambda name: (-by_name[name], name))[: MOST_TYPES - 1]
    return sorted(most)


def type_rows(names: Sequence[str], event_types: Sequence[str]) -> np.ndarray:
    """Return the row of each event type: 1 + its place in `event_types`, or 0.

    Parameters
    ----------
    names : event types (n,) in upper or lower case.
    event_types : in lower case, at most MOST_TYPES - 1.

    Returns
    -------
    uint8 (n,)
    """
    rows = {name: row for row, name in enumerate(event_types, start=1)}
    return np.array([rows.get(name.lower(), 0) for name in names], dtype=np.uint8)
