"""Negative feedback: the items that a user does not want, until the user wants them again."""

from collections.abc import Iterable

import msgspec

from stream.events.event import Event
from stream.store.history import NEVER, History, Key, key_of_event

__all__ = ["MOST_ITEMS", "Feedback", "ItemFeedback"]

# Of a user. Who refuses items by hand seldom gets there, and it adds 10 to 40 kB to a state at most, which is read and
# written at each event. It is not history_length: a short history is a choice of what interests are made of, and no
# reason to show again what was refused.
MOST_ITEMS = 500


class ItemFeedback(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When an item was refused last, and when that was taken back.

    Attributes
    ----------
    rejected_ms, rejected_id : event time and event_id of the latest negative event; 0 and "" if there was none.
    wanted_ms, wanted_id : of the latest behaviour or undoing event, if it comes after that; else 0 and "".
    """

    item_id: str
    rejected_ms: int = 0
    rejected_id: str = ""
    wanted_ms: int = 0
    wanted_id: str = ""

    @property
    def rejected(self) -> Key:
        """Return the place of the latest negative event in the order of events."""
        return self.rejected_ms, self.rejected_id

    @property
    def wanted(self) -> Key:
        """Return the place of the event that took it back, NEVER if none did."""
        return self.wanted_ms, self.wanted_id

    @property
    def is_unwanted(self) -> bool:
        """Tell whether the item must not come back."""
        return self.wanted == NEVER


class Feedback(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A user's negative feedback, as a function of the events alone, whatever order they arrived in.

    What was taken back is remembered too: else a negative event that arrives twice would count again, and a behaviour
    that is older than the negative event would come into the history after all.

    Attributes
    ----------
    items : one an item; what was taken back first, then what is unwanted, each the oldest first. At most MOST_ITEMS;
        where there would be more, the first ones are forgotten.
    """

    items: tuple[ItemFeedback, ...] = ()

    @property
    def unwanted(self) -> tuple[str, ...]:
        """Return the items that must not come back, what was refused last at the end."""
        return tuple(one.item_id for one in self.items if one.is_unwanted)

    @property
    def latest_ms(self) -> int:
        """Return the event time of the latest event in it, 0 if there is none."""
        return max((max(one.rejected_ms, one.wanted_ms) for one in self.items), default=0)

    def has(self, event: Event) -> bool:
        """Tell whether this very negative or undoing event arrived before, by its event_id."""
        key = key_of_event(event)
        return bool(event.event_id) and any(
            key in (one.rejected, one.wanted) for one in self.items if one.item_id == event.item_id
        )

    def admitted(self, behaviours: list[Event]) -> list[Event]:
        """Return the behaviours without those that a later negative event of their item overrules."""
        if not self.items:
            return behaviours
        rejected = {one.item_id: one.rejected for one in self.items}
        return [one for one in behaviours if key_of_event(one) >= rejected.get(one.item_id, NEVER)]

    def after_behaviours(self, behaviours: Iterable[Event]) -> "Feedback":
        """Return the feedback after admitted behaviours: their items are wanted again."""
        if not self.items:
            return self
        known = {one.item_id: one for one in self.items}
        latest: dict[str, Key] = {}
        for behaviour in behaviours:
            if behaviour.item_id in known:
                latest[behaviour.item_id] = max(latest.get(behaviour.item_id, NEVER), key_of_event(behaviour))
        changed = [_wanted_at(known[item_id], key) for item_id, key in latest.items()]
        return self._with(changed) if changed else self

    def after_negative(self, event: Event, history: History) -> "Feedback":
        """Return the feedback after a negative event.

        Parameters
        ----------
        history : before it; a behaviour there that is later than the event takes it back at once.
        """
        known, key = self._of(event.item_id, history), key_of_event(event)
        if key >= known.rejected:
            known = ItemFeedback(event.item_id, *key, *(known.wanted if known.wanted > key else NEVER))
        return self._with([known])

    def after_undo(self, event: Event, history: History) -> "Feedback":
        """Return the feedback after an event that takes a negative event back.

        One that is older than the negative event does not. It is remembered without a negative event too, for one that
        is older may arrive later.
        """
        return self._with([_wanted_at(self._of(event.item_id, history), key_of_event(event))])

    def _of(self, item_id: str, history: History) -> ItemFeedback:
        """Return what is known of an item; if nothing, what its behaviours say."""
        for one in self.items:
            if one.item_id == item_id:
                return one
        return ItemFeedback(item_id, *NEVER, *history.last_key(item_id))

    def _with(self, changed: list[ItemFeedback]) -> "Feedback":
        """Return the feedback with other entries of these items."""
        items = {one.item_id: one for one in (*self.items, *changed)}
        return Feedback(tuple(sorted(items.values(), key=_order)[-MOST_ITEMS:]))


def _wanted_at(known: ItemFeedback, key: Key) -> ItemFeedback:
    """Return an item's feedback after a behaviour or an undoing event at this place."""
    if key < known.rejected or key < known.wanted:
        return known
    return ItemFeedback(known.item_id, *known.rejected, *key)


def _order(one: ItemFeedback) -> tuple[bool, Key, str]:
    """Return the key by which a user's feedback is sorted."""
    return one.is_unwanted, max(one.rejected, one.wanted), one.item_id
