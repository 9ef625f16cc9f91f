"""The overlay: items put, changed and removed since a bundle was made, followed in the overlay store."""

import logging
import threading
import time
import weakref
from collections.abc import Callable, Collection, Sequence
from typing import Protocol, Self

from index.catalogue.item import Item
from index.catalogue.overlay_store import Changes, Entries, OverlayStore

__all__ = ["Follower", "Overlay"]

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
EXPIRE_EVERY_S = 60.0
DAY_S = 86_400
AT_A_TIME = 1_000  # entries that are dropped together
NAMED = 5  # unreadable entries that a line of the log names


class Follower(Protocol):
    """What is told of every change of the entries, such as a catalogue. It must not raise anything."""

    def apply(self, entries: Entries, gone: Collection[str]) -> None:
        """Take over the entries that changed, and drop those that are gone."""
        ...

    def knows(self, item_id: str) -> bool:
        """Tell whether its bundle knows an item."""
        ...


class Overlay:
    """The entries of an item store, for all bundles that a process serves.

    In a `with` it looks every half second for what others wrote; what is written by itself is there at once. If the
    store cannot be read, what was read before stays. An entry that cannot be read is as if it were not there.

    Parameters
    ----------
    store : to read and write; who opened it closes it.
    days : after which an entry is dropped that nobody has written again; None: never. The removal of an item that a
        follower's bundle knows stays: it would come back.
    clock : Unix time in seconds.

    Attributes
    ----------
    unreadable : item_id -> what is wrong with its entry.

    Raises
    ------
    OSError
        If the store cannot be read.
    """

    def __init__(self, store: OverlayStore, days: float | None = None, clock: Callable[[], float] = time.time) -> None:
        self.store, self.days, self.clock = store, days, clock
        self.unreadable: dict[str, str] = {}
        self.seen = 0
        self._entries: dict[str, Item | None] = {}
        self._followers: list[weakref.ref[Follower]] = []  # weak, since an old bundle's catalogue must go with it
        self._looking = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.follow, name="overlay", daemon=True)
        self.look()

    @property
    def current(self) -> Entries:
        """Return a copy of the entries as they were last read."""
        with self._looking:
            return dict(self._entries)

    def attach(self, follower: Follower) -> Entries:
        """Return a copy of the entries; from now on a follower is told what changes."""
        with self._looking:
            self._followers.append(weakref.ref(follower))
            return dict(self._entries)

    def write(self, entries: Entries) -> None:
        """Keep these entries, all or none; whoever asks afterwards sees them.

        See `OverlayStore.write` for errors.
        """
        spoilt = [item_id for item_id in entries if item_id in self.unreadable]
        if spoilt:
            self.store.drop(spoilt)  # else a removal would keep what cannot be read, for whoever restores it
        self.store.write(entries)
        self.look()

    def restore(self, item_ids: Sequence[str]) -> int:
        """Undo that items were removed; return how many were. See `OverlayStore.restore`."""
        restored = self.store.restore(item_ids)
        self.look()
        return restored

    def forget(self, entries: Entries) -> int:
        """Drop those that are still as they stand here; return how many."""
        gone = self.store.forget(entries)
        self.look()
        return gone

    def drop_unreadable(self) -> int:
        """Drop the entries that cannot be read; return how many."""
        gone = self.store.drop(list(self.unreadable))
        self.look()
        return gone

    def look(self) -> None:
        """Look once for what was written, and tell the followers.

        When it returns they have taken it over.
        """
        with self._looking:
            if self.store.last_change() == self.seen:
                return
            changes = self.store.since(self.seen)
            entries, gone = self._differences(changes)
            self._note_unreadable(changes)
            self._entries.update(entries)
            for item_id in gone:
                self._entries.pop(item_id, None)
            self.seen = changes.last
            for follower in self._living():
                follower.apply(entries, gone)

    def _differences(self, changes: Changes) -> tuple[Entries, list[str]]:
        """Return what changed and what is gone.

        Where all was read, that is what differs from what is known.
        """
        entries, gone = changes.entries, [*changes.gone, *changes.unreadable]
        if changes.whole:
            missing = object()
            gone += [item_id for item_id in self._entries if item_id not in entries]
            entries = {
                item_id: item for item_id, item in entries.items() if self._entries.get(item_id, missing) != item
            }
        return entries, gone

    def _note_unreadable(self, changes: Changes) -> None:
        """Keep which entries cannot be read, and name those that are new in the log."""
        before = {} if changes.whole else self.unreadable
        kept = {i: why for i, why in before.items() if i not in changes.entries and i not in changes.gone}
        fresh = {item_id: why for item_id, why in changes.unreadable.items() if item_id not in self.unreadable}
        self.unreadable = {**kept, **changes.unreadable}
        if fresh:
            named = "; ".join(f"{item_id[:50]!r}: {why}" for item_id, why in list(fresh.items())[:NAMED])
            more = f" and {len(fresh) - NAMED:,} others" if len(fresh) > NAMED else ""
            log.error(
                "entries of the item store that cannot be read are left out, %s in all (%s%s); right is to add or "
                "remove these items again, or `mindstream index items prune --unreadable`",
                f"{len(self.unreadable):,}",
                named,
                more,
            )

    def _living(self) -> list[Follower]:
        """Return the followers that are still used, and forget the others."""
        found = [(one, follower) for one in self._followers if (follower := one()) is not None]
        self._followers = [one for one, _ in found]
        return [follower for _, follower in found]

    def expire(self) -> int:
        """Drop the entries that were not written for as long as they may live; return how many.

        Without a follower none is dropped: nobody could say which removals must stay.
        """
        with self._looking:
            followers = self._living()
        if self.days is None or not followers:
            return 0
        old = self.store.written_before(round((self.clock() - self.days * DAY_S) * 1_000))
        due = {
            item_id: item
            for item_id, item in old.items()
            if item is not None or not any(follower.knows(item_id) for follower in followers)
        }
        gone = 0
        for start in range(0, len(due), AT_A_TIME):
            gone += self.forget(dict(list(due.items())[start : start + AT_A_TIME]))
        if gone:
            log.info("%s entries of the item store were dropped: not written for %g days", f"{gone:,}", self.days)
        return gone

    def follow(self) -> None:
        """Look again and again until it is stopped; a store that is away is logged once."""
        away, expired = False, 0.0
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self.look()
                if time.monotonic() - expired > EXPIRE_EVERY_S:
                    self.expire()
                    expired = time.monotonic()
                away = False
            except (OSError, ValueError) as error:
                if not away:
                    log.error("new items are not seen for a while: %s", error)
                away = True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
