"""Impressions: events by whose name an item was only shown to a user. No behaviours, but what a user did not take."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mindstream.behaviour_rule import BehaviourRule
from model_export.data.dataset import Sequences
from model_export.data.event_type_words import has_words

__all__ = ["SHOWN", "ShownItems", "impressions_of"]

WINDOW_MS = 30 * 60_000  # what was shown longer ago belongs to another visit

# Sets of words; a type is meant if it has all words of one of them.
SHOWN: tuple[str, ...] = (
    *("impression", "impressions", "impr", "imp", "shown", "exposure", "exposed", "display", "displayed", "served"),
    *("view list", "viewed list", "view promotion", "viewed promotion", "viewport"),
)


def impressions_of(events: pd.DataFrame, rule: BehaviourRule) -> pd.DataFrame | None:
    """Return the events that are impressions; None if there are none.

    They are those of types whose name says so and that the rule ignores.

    Parameters
    ----------
    events : as `InteractionLog.events`.
    """
    types = events.event_type.array
    meant = np.array([has_words(name, SHOWN) and not rule.counts(name) for name in types.categories], dtype=bool)
    if not meant.any():
        return None
    found: pd.DataFrame = events[meant[types.codes]].reset_index(drop=True)
    return found


class ShownItems:
    """What users were shown and did not take within half an hour before or after.

    Parameters
    ----------
    impressions : of a log, as `InteractionLog.impressions`.
    sequences : behaviours of all users of that log.
    item_ids : the items that have rows, in the order of their rows; others are left out.
    """

    def __init__(self, impressions: pd.DataFrame, sequences: Sequences, item_ids: Sequence[str]) -> None:
        users = pd.Index(sequences.user_ids).get_indexer(impressions.user_id.cat.categories)
        items = pd.Index(item_ids).get_indexer(impressions.item_id.cat.categories)
        shown = pd.DataFrame(
            {
                "user": users[impressions.user_id.cat.codes],
                "item": items[impressions.item_id.cat.codes],
                "time": impressions.event_time_ms.to_numpy(),
            }
        )
        shown = shown[(shown.user >= 0) & (shown.item >= 0)]
        self.left_out = len(impressions) - len(shown)
        shown = shown[~_was_taken(shown, sequences)].sort_values(["user", "time"], kind="stable")
        self.items, self.times = shown.item.to_numpy(np.int64), shown.time.to_numpy(np.int64)
        self.starts = np.searchsorted(shown.user.to_numpy(), np.arange(len(sequences.user_ids) + 1))

    def before(self, users: np.ndarray, asked_ms: np.ndarray, most: int) -> np.ndarray:
        """Return what users were shown last, within half an hour before they were asked.

        Parameters
        ----------
        users : int64 (C,), indices into sequences.user_ids.
        asked_ms : int64 (C,), Unix time in milliseconds; what was shown at that very time counts.
        most : at most so many of each.

        Returns
        -------
        int64 (C, most), item rows, the latest first; -1 behind the last
        """
        found = np.full((len(users), most), -1, dtype=np.int64)
        for at, (user, asked) in enumerate(zip(users.tolist(), asked_ms.tolist(), strict=True)):
            begin, end = self.starts[user], self.starts[user + 1]
            first, last = begin + np.searchsorted(self.times[begin:end], [asked - WINDOW_MS, asked + 1])
            rows = self.items[max(first, last - most) : last][::-1]
            found[at, : len(rows)] = rows
        return found


def _was_taken(shown: pd.DataFrame, sequences: Sequences) -> np.ndarray:
    """Tell which of the impressions the user took within half an hour: bool (n,).

    Parameters
    ----------
    shown : columns user, item and time, in time order.
    """
    owners = np.repeat(np.arange(len(sequences.user_ids)), sequences.lengths)
    taken = pd.DataFrame({"user": owners, "item": sequences.items.astype(np.int64), "time": sequences.times})
    both = ["user", "item"]
    taken = taken.merge(shown[both].drop_duplicates(), on=both).sort_values("time", kind="stable").assign(taken=True)
    shown = shown.astype(dict.fromkeys((*both, "time"), np.int64))
    near = pd.merge_asof(shown, taken, on="time", by=both, direction="nearest", tolerance=WINDOW_MS)
    return near.taken.notna().to_numpy()
