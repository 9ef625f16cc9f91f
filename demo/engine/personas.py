"""A few users of the log, ready-made for the demo."""

from collections.abc import Callable

import pandas as pd

from mindstream.behaviour_rule import BehaviourRule
from model_export.data.interactions import InteractionLog
from stream.events.event import Event
from stream.events.replay import event_times, profiles_of

__all__ = ["Personas"]

MOST = 20
BEHAVIOURS = 30  # of each; enough for several interests
NAMED = 2  # categories that describe a persona; the sidebar is too narrow for more


class Personas:
    """Users with a good number of behaviours.

    Attributes
    ----------
    user_ids : at most 20, those with the most behaviours among users of a usual length.
    past : user_id -> the last events of the log that count by the rule: behaviours, and what takes items out of them.
    tastes : user_id -> the categories that most of these are of; empty if the log has no categories.
    """

    def __init__(self, log: InteractionLog, rule: BehaviourRule) -> None:
        self.timed = log.timed
        lengths = _of_types(log.events, rule.is_behaviour).user_id.value_counts()
        lengths = lengths[lengths > 0]
        usual = lengths[lengths <= max(BEHAVIOURS * 3, int(lengths.min()) if len(lengths) else 0)].sort_index()
        self.user_ids = usual.sort_values(ascending=False, kind="stable").index[:MOST].tolist()
        mine = log.events[log.events.user_id.isin(self.user_ids)]
        by_user = _of_types(mine, rule.counts).groupby("user_id", observed=True)
        self.past = {str(user_id): rows.tail(BEHAVIOURS) for user_id, rows in by_user}
        self.profiles = profiles_of(log.profiles[log.profiles.user_id.isin(self.user_ids)])
        category = log.items.set_index("item_id").category
        self.tastes = {
            user_id: category[rows.item_id][lambda found: found != ""].value_counts().index[:NAMED].tolist()
            for user_id, rows in self.past.items()
        }

    def label(self, user_id: str) -> str:
        """Name a persona as people choose it."""
        tastes = ", ".join(self.tastes.get(user_id, []))
        return f"{user_id} · {tastes}" if tastes else user_id

    def events(self, user_id: str) -> list[Event]:
        """Return the user's last events in the log that count, oldest first."""
        rows = self.past[user_id]
        times = event_times(rows.event_time_ms, self.timed)
        columns = zip(rows.item_id, times, rows.event_type, strict=True)
        profile = self.profiles.get(user_id)
        return [Event(user_id, item, time_ms, kind, profile=profile) for item, time_ms, kind in columns]


def _of_types(events: pd.DataFrame, wanted: Callable[[str], bool]) -> pd.DataFrame:
    """Return the events of the wanted types."""
    return events[events.event_type.isin([one for one in events.event_type.unique() if wanted(str(one))])]
