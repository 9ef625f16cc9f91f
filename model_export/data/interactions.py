"""The interaction log: users' behaviours with items in time order, and what is known of items and users."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from model_export.data.dense_features import DenseFeatures

__all__ = ["BLOCK", "CODED_COLUMNS", "EVENT_COLUMNS", "ITEM_COLUMNS", "RESERVED", "SEPARATOR", "InteractionLog"]

EVENT_COLUMNS = ["user_id", "item_id", "event_type", "event_time_ms"]
CODED_COLUMNS = EVENT_COLUMNS[:3]
ITEM_COLUMNS = ["item_id", "title", "category", "price"]
SEPARATOR = "|"  # between several values of one side feature
BLOCK = 1 << 20  # events looked at in one go: what is made in between stays small
# What a side feature cannot be called: arrays of a bundle beside those of the side features.
RESERVED = (*ITEM_COLUMNS, "price_band", "price_edges", "vector_map")


@dataclass(frozen=True)
class InteractionLog:
    """A cleaned log of interactions, in time order.

    Attributes
    ----------
    events : DataFrame
        One row an interaction: user_id, item_id and event_type (categoricals: integer codes of the sorted distinct
        str that occur, no others; str columns are turned into such), event_time_ms (int64, Unix time in
        milliseconds): 17 bytes. Sorted by time; interactions of the same millisecond keep the log's order.
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
    rule : str
        The behaviour rule that the events were chosen by, see `behaviours_of`; its weights are those of the events.
        Empty: all events count, and alike.
    item_vectors : DenseFeatures or None
        Dense side features of items; there may be items without one, and vectors of other items.
    impressions : DataFrame or None
        What users were only shown, in the columns and the order of `events`; None where the log does not say. Of all
        users and times of the log, whatever events were chosen.
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
    rule: str = ""
    item_vectors: DenseFeatures | None = None
    impressions: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        found = {name: _coded(self.events[name]) for name in CODED_COLUMNS}
        if coded := {name: column for name, column in found.items() if column is not None}:
            object.__setattr__(self, "events", self.events.assign(**coded))

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
        return replace(self, items=items.astype({"category": "str"}), item_vectors=None)

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
        return self.with_events(self.events.iloc[start:end].reset_index(drop=True))

    def with_events(self, events: pd.DataFrame) -> "InteractionLog":
        """Return the log with some of its events, and their items, profiles and sides alone."""
        some = replace(self, events=events)
        users, items = (some.events[name].cat.categories for name in ("user_id", "item_id"))
        of_users = set(users) if self.sides else set()
        return replace(
            some,
            items=self.items[self.items.item_id.isin(items)].reset_index(drop=True),
            profiles=self.profiles[self.profiles.user_id.isin(users)].reset_index(drop=True),
            sides={user: side for user, side in self.sides.items() if user in of_users},
        )

    def describe(self) -> str:
        """Return lines on what was read, from which columns, and what was left out and why."""
        counts = [(len(self.events), "interaction"), (len(self.profiles), "user"), (len(self.items), "item")]
        events, users, items = (f"{count:,} {noun}{'s' * (count != 1)}" for count, noun in counts)
        left_out = "; ".join(f"{count:,} {reason}" for reason, count in self.dropped.items() if count)
        columns = ", ".join(f"{field} from {column}" for field, column in self.columns.items())
        return "\n  ".join(
            [
                f"{self.source}: {events} of {users} with {items}, {self._span()}",
                *([f"read: {columns}"] if columns else []),
                f"left out: {left_out or 'nothing'}",
                *(f"note: {note}" for note in self.notes),
            ]
        )

    def _span(self) -> str:
        """Say from when to when the events are."""
        if not self.timed or not len(self.events):
            return "in their order, without times"
        ends = self.events.event_time_ms.iloc[[0, -1]].to_numpy().astype("datetime64[ms]")
        first, last = ends.astype("datetime64[D]").astype(str).tolist()
        return f"from {first} to {last} (UTC)" if first != last else f"of {first} (UTC)"


def _coded(column: pd.Series) -> pd.Categorical | None:
    """Return a column as codes of the sorted distinct str in it; None if it is so already."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        codes, values = pd.factorize(column.astype("str"), sort=True)
        return pd.Categorical.from_codes(codes, pd.Index(values, dtype="str"))
    known: pd.Categorical = column.array
    used = _used(known)
    categories = known.categories.astype("str")
    if used.all() and categories.is_monotonic_increasing and not known.ordered and categories.equals(known.categories):
        return None
    kept = categories[used].sort_values()
    places = kept.get_indexer(categories).astype(np.int32)  # (categories,), -1 where it does not occur
    codes = np.empty(len(known), dtype=np.int32)
    for at in range(0, len(known), BLOCK):
        codes[at : at + BLOCK] = places[known.codes[at : at + BLOCK]]
    return pd.Categorical.from_codes(codes, kept)


def _used(column: pd.Categorical) -> np.ndarray:
    """Tell of each category whether it occurs: bool (categories,)."""
    used = np.zeros(len(column.categories), dtype=bool)
    for at in range(0, len(column), BLOCK):
        used[column.codes[at : at + BLOCK]] = True
    return used
