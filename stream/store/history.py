"""The history of a user: the most recent behaviours, in the order in which they happened."""

from collections.abc import Iterable
from operator import attrgetter

import msgspec

from stream.events.event import Event

__all__ = ["NEVER", "History", "Key", "key_of_event"]

Key = tuple[int, str]  # event_time_ms and event_id ("" if there is none): the order of a user's events
NEVER: Key = (0, "")  # before every event


def key_of_event(event: Event) -> Key:
    """Return the place of an event in the order of its user's events."""
    return event.event_time_ms, event.event_id or ""


_EVENT_ID = attrgetter("event_id")


class History(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A user's most recent behaviours, by event time.

    item_ids (T,), event_times_ms (T,), event_ids (T,), "" if there is none; event_types (T,) in lower case, "" where
    unknown. Without event_types all are unknown: states of before did not keep them.
    """

    item_ids: tuple[str, ...] = ()
    event_times_ms: tuple[int, ...] = ()
    event_ids: tuple[str, ...] = ()
    event_types: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.item_ids and not self.event_types:
            msgspec.structs.force_setattr(self, "event_types", ("",) * len(self.item_ids))

    def new_of(self, events: Iterable[Event]) -> list[Event]:
        """Return the events whose event_id is not there yet, nor among the events before them."""
        events = list(events)
        if not any(map(_EVENT_ID, events)):  # the usual case
            return events
        known = set(self.event_ids)
        new = []
        for event in events:
            if event.event_id and event.event_id in known:
                continue
            known.add(event.event_id or "")
            new.append(event)
        return new

    def extended(self, events: Iterable[Event], most: int) -> "History":
        """Return the history with more behaviours; the most recent `most` are kept.

        A late event is sorted in by its event time, so however events are delayed or shuffled the result is the same.
        At the same millisecond event_ids decide; behaviours without one stand in the order they arrived.
        """
        added = list(events)
        if not added:
            return self
        if len(added) > 1:
            added.sort(key=key_of_event)
            columns = [(one.item_id, one.event_time_ms, one.event_id or "", one.event_type.lower()) for one in added]
            item_ids, times_ms, event_ids, types = zip(*columns, strict=True)
        else:  # the usual case, which has to be fast
            [one] = added
            item_ids, times_ms, event_ids = (one.item_id,), (one.event_time_ms,), (one.event_id or "",)
            types = (one.event_type.lower(),)
        history = History(
            self.item_ids + item_ids,
            self.event_times_ms + times_ms,
            self.event_ids + event_ids,
            self.event_types + types,
        )
        if self.item_ids and (times_ms[0], event_ids[0]) < (self.event_times_ms[-1], self.event_ids[-1]):
            history = history._sorted()
        return history._last(most)

    def _sorted(self) -> "History":
        """Return the same behaviours in the order of their times."""
        order = sorted(range(len(self.item_ids)), key=lambda at: (self.event_times_ms[at], self.event_ids[at]))
        return History(*(tuple(column[at] for at in order) for column in msgspec.structs.astuple(self)))

    def _last(self, most: int) -> "History":
        """Return the most recent behaviours."""
        if len(self.item_ids) <= most:
            return self
        return History(
            self.item_ids[-most:], self.event_times_ms[-most:], self.event_ids[-most:], self.event_types[-most:]
        )

    def last_key(self, item_id: str) -> Key:
        """Return the place of the last behaviour with an item in the order of events, or NEVER."""
        behaviours = zip(self.item_ids, self.event_times_ms, self.event_ids, strict=True)
        return max((one[1:] for one in behaviours if one[0] == item_id), default=NEVER)

    def without(self, item_id: str, until: Key) -> "History":
        """Return the history without the behaviours with an item up to this place."""
        if item_id not in self.item_ids:
            return self
        behaviours = zip(*msgspec.structs.astuple(self), strict=True)
        kept = [one for one in behaviours if one[0] != item_id or one[1:3] > until]
        return History(*zip(*kept, strict=True)) if kept else History()
