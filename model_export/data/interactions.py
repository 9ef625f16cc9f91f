"""The interaction log: users' behaviours with items in time order, and what is known of items and users."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

__all__ = ["EVENT_COLUMNS", "ITEM_COLUMNS", "RESERVED", "SEPARATOR", "InteractionLog"]

EVENT_COLUMNS = ["user_id", "item_id", "event_type", "event_time_ms"]
ITEM_COLUMNS = ["item_id", "title", "category", "price"]
SEPARATOR = "|"  # between several values of one side feature
RESERVED = (*ITEM_COLUMNS, "price_band", "price_edges")  # what a side feature cannot be called: made of the price


@dataclass(frozen=True)
class InteractionLog:
    """A cleaned log of interactions, in time order.

    Attributes
    ----------
    events : DataFrame
        One row an interaction: user_id (str), item_id (str), event_type (str), event_time_ms (int64, Unix
        time in milliseconds). Sorted by time; interactions of the same millisecond keep the log's order.
    items : DataFrame
        One row an item of the log, in order of item_id (str, unique): title (str, the id where none is
        known), category (str, "" where unknown), price (float, NaN where unknown). `category` is the one main
        category that people see. Further columns are side features of items, which only the model sees: str, ""
        where unknown, several values of one item joined by "|". None is called as a `RESERVED` name.
    profiles : DataFrame
        One row a user, in order of user_id (str, unique), and one str column for each profile field (""
        where unknown). Without profile fields only the user_id column.
    source : str
        The file or folder it was read from, for messages and manifests.
    dropped : dict
        Reason -> number of rows that were left out for it.
    sides : dict
        user_id -> "train", "valid" or "test", as the publisher divides the users; empty if there is no such split.
    timed : bool
        Whether event_time_ms are times; else they are positions in the user's sequence.
    columns : dict
        Field -> the column, or columns, of the log that it was read from, for people.
    notes : tuple of str
        Sentences on what the reading noticed: what was read in which way, and what looks suspicious.
    """

    events: pd.DataFrame
    items: pd.DataFrame
    profiles: pd.DataFrame
    source: str
    dropped: dict[str, int] = field(default_factory=dict)
    sides: dict[str, str] = field(default_factory=dict)
    timed: bool = True
    columns: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def side_features(self) -> list[str]:
        """Return the item columns that are side features beside category and price."""
        return [str(name) for name in self.items if name not in ITEM_COLUMNS]

    def between(self, start: float, end: float) -> "InteractionLog":
        """Return the events from the share `start` to the share `end` (0 to 1), by time order.

        Items, profiles and sides are those of the events that remain.
        """
        rows = len(self.events)
        return self._rows(round(rows * start), round(rows * end))

    def without_side_features(self) -> "InteractionLog":
        """Return the log with items known by their ids and titles alone."""
        items = self.items[ITEM_COLUMNS].assign(category="", price=np.nan)
        return replace(self, items=items.astype({"category": "str"}))

    def before(self, time_ms: int) -> "InteractionLog":
        """Return the log of the events earlier than a time (Unix milliseconds).

        Items and profiles are those of the events.
        """
        return self._rows(0, int(self.events.event_time_ms.searchsorted(time_ms, side="left")))

    def after(self, time_ms: int) -> "InteractionLog":
        """Return the log of the events later than a time (Unix milliseconds).

        Items and profiles are those of the events.
        """
        return self._rows(int(self.events.event_time_ms.searchsorted(time_ms, side="right")), len(self.events))

    def _rows(self, start: int, end: int) -> "InteractionLog":
        """Return the log of the events in these rows."""
        events = self.events.iloc[start:end].reset_index(drop=True)
        users = set(events.user_id)
        return InteractionLog(
            events=events,
            items=self.items[self.items.item_id.isin(events.item_id.unique())].reset_index(drop=True),
            profiles=self.profiles[self.profiles.user_id.isin(users)].reset_index(drop=True),
            source=self.source,
            sides={user: side for user, side in self.sides.items() if user in users},
            timed=self.timed,
        )

    def describe(self) -> str:
        """Return one line on the events that were read and those dropped, with the reasons."""
        dropped = "; ".join(f"{count:,} {reason}" for reason, count in self.dropped.items() if count)
        kept = (
            f"{self.source}: {len(self.events):,} interactions of {self.events.user_id.nunique():,} users "
            f"with {len(self.items):,} items"
        )
        return f"{kept}; rows dropped: {dropped or 'none'}"
