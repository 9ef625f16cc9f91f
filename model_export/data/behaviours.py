"""The behaviours of a log: its events by the rule for what counts, as the updater would have kept them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from mindstream.behaviour_rule import BehaviourRule
from model_export.data.impressions import impressions_of
from model_export.data.interactions import BLOCK, InteractionLog

__all__ = ["behaviours_of"]

MOST_NAMED = 10  # event types that are named; those beyond are counted together


def behaviours_of(log: InteractionLog, rule: BehaviourRule, impressions: bool = False) -> InteractionLog:
    """Return the log of the events that count as behaviours by a rule.

    They are those that serving has in the end: a negative event takes the user's earlier behaviours with the item back;
    later ones count again. An event that undoes a negative one lifts the ban on the item in answers, but brings no
    behaviour back, so here it does nothing. (Serving keeps the latest MINDSTREAM_HISTORY_LENGTH behaviours of a user;
    if one of them is taken back there, no older one takes its place.)

    `dropped` counts the events that are left out, by type, and the behaviours that were taken back; a note names the
    types that stay with their counts and weights. A log that was chosen by this rule before stays as it is.

    Parameters
    ----------
    impressions : keep what users were only shown beside; a ranker learns from it.

    Raises
    ------
    ValueError
        If no behaviour remains; names the types with their counts and the rule.
    """
    if log.rule and log.rule == str(rule):
        return log
    types = log.events.event_type.array
    weights = np.array([rule.weight(name) for name in types.categories])
    kept, taken_back = _kept_events(log, weights)
    if not kept.any():
        raise ValueError(
            f"{log.source}: no behaviour remains of its {len(kept):,} interactions by the rule {str(rule)!r} "
            f"(MINDSTREAM_BEHAVIOURS): {_listed(_counts(types), rule)}"
        )
    dropped = {**log.dropped, **_left_out(_counts(types), rule), **_named_takers(types.categories, taken_back)}
    some = log.with_events(log.events if kept.all() else log.events[kept].reset_index(drop=True))
    note = f"behaviours: {_listed(_counts(some.events.event_type.array), rule)}"
    shown = impressions_of(log.events, rule) if impressions else None
    return replace(some, dropped=dropped, notes=(*log.notes, note), rule=str(rule), impressions=shown)


def _kept_events(log: InteractionLog, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choose the behaviours that were not taken back.

    Parameters
    ----------
    weights : (types,), of the log's event types.

    Returns
    -------
    bool (E,), True at events that stay; int64 (types,), how many behaviours events of each type took back.
    """
    types, negatives = log.events.event_type.array.codes, _Negatives(log, weights < 0)
    kept, taken_back = np.zeros(len(types), dtype=bool), np.zeros(len(weights), dtype=np.int64)
    for numbers in _blocks(len(types)):
        numbers = numbers[weights[types[numbers]] > 0]
        takers = negatives.next_ones(numbers)
        kept[numbers[takers < 0]] = True
        taken_back += np.bincount(types[takers[takers >= 0]], minlength=len(weights))
    return kept, taken_back


class _Negatives:
    """The negative events of a log, by user and item.

    Parameters
    ----------
    negative : bool (types,), which event types they are.
    """

    def __init__(self, log: InteractionLog, negative: np.ndarray) -> None:
        self.users, self.items = log.events.user_id.array, log.events.item_id.array
        self.events = len(log.events)
        types = log.events.event_type.array.codes
        found = [some[negative[types[some]]] for some in _blocks(len(types))]
        numbers = np.concatenate([np.zeros(0, dtype=np.int64), *found])
        self.pairs, places = np.unique(self._pairs_of(numbers), return_inverse=True)
        self.keys = np.sort(places * self.events + numbers)  # by pair, then in time order

    def _pairs_of(self, numbers: np.ndarray) -> np.ndarray:
        """Return a number for user and item of events, by their rows in the log: int64 (n,)."""
        pairs: np.ndarray = self.users.codes[numbers].astype(np.int64) * len(self.items.categories)
        pairs += self.items.codes[numbers]
        return pairs

    def next_ones(self, numbers: np.ndarray) -> np.ndarray:
        """Return the next negative event of the same user and item after each event.

        Parameters
        ----------
        numbers : int64 (n,), rows in the log.

        Returns
        -------
        int64 (n,), rows in the log, -1 if there is none
        """
        if not len(self.keys):
            return np.full(len(numbers), -1)
        pairs = self._pairs_of(numbers)
        places = np.searchsorted(self.pairs, pairs).clip(max=len(self.pairs) - 1)
        nearest = np.searchsorted(self.keys, places * self.events + numbers, side="right")
        owners, found = np.divmod(self.keys[nearest.clip(max=len(self.keys) - 1)], self.events)
        there = (self.pairs[places] == pairs) & (nearest < len(self.keys)) & (owners == places)
        return np.where(there, found, -1)


def _blocks(events: int) -> Iterator[np.ndarray]:
    """Yield the rows of a log in parts: what is made of one in between is small."""
    return (np.arange(at, min(at + BLOCK, events)) for at in range(0, events, BLOCK))


def _counts(types: pd.Categorical) -> dict[str, int]:
    """Count the events of each type, the most frequent first."""
    counts = np.zeros(len(types.categories), dtype=np.int64)
    for some in _blocks(len(types)):
        counts += np.bincount(types.codes[some], minlength=len(counts))
    order = np.argsort(-counts, kind="stable")
    return {types.categories[place]: int(counts[place]) for place in order}


def _left_out(counts: dict[str, int], rule: BehaviourRule) -> dict[str, int]:
    """Return reason -> number of events that are no behaviours."""
    left_out = {name: count for name, count in counts.items() if not rule.is_behaviour(name)}
    named = list(left_out)[:MOST_NAMED]
    found = {f"of the type {name!r}, which {_why(name, rule)}": left_out.pop(name) for name in named}
    if left_out:
        found[f"of {len(left_out):,} further types, which are no behaviours"] = sum(left_out.values())
    return found


def _why(event_type: str, rule: BehaviourRule) -> str:
    """Say why events of a type are no behaviours."""
    if rule.undoes(event_type):
        return "only takes a negative event back"
    if rule.is_negative(event_type):
        return f"is negative (weight {rule.weight(event_type):g})"
    return "is no behaviour (weight 0)"


def _named_takers(names: pd.Index, taken_back: np.ndarray) -> dict[str, int]:
    """Return reason -> number of behaviours that were taken back, by the type that did it."""
    return {
        f"taken back by a later {name!r}": int(count) for name, count in zip(names, taken_back, strict=True) if count
    }


def _listed(counts: dict[str, int], rule: BehaviourRule) -> str:
    """List event types with their counts and weights, the most frequent first."""
    shown = [f"{name!r} {count:,} ({_weight(name, rule)})" for name, count in list(counts.items())[:MOST_NAMED]]
    others = list(counts.values())[MOST_NAMED:]
    return ", ".join([*shown, *([f"{len(others):,} further types {sum(others):,}"] if others else [])])


def _weight(event_type: str, rule: BehaviourRule) -> str:
    """Return the weight of an event type for people."""
    return "undo" if rule.undoes(event_type) else f"weight {rule.weight(event_type):g}"
