"""The overlay: items put, changed and removed since a bundle was made, followed in the overlay store."""

import logging
import threading
from typing import Self

from index.catalogue.overlay_store import Entries, OverlayStore

__all__ = ["Overlay"]

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5


class Overlay:
    """The entries of an item store, for all bundles that a process serves.

    In a `with` it looks every half second for what others wrote; what is written by itself is there at once. If the
    store cannot be read, what was read before stays.

    Parameters
    ----------
    store : to read and write; who opened it closes it.

    Attributes
    ----------
    current : the entries; never changed, but replaced by a new mapping.

    Raises
    ------
    OSError
        If the store cannot be read.
    """

    def __init__(self, store: OverlayStore) -> None:
        self.store = store
        self.current: Entries = {}
        self.seen = 0
        self.looking = threading.Lock()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.follow, name="overlay", daemon=True)
        self.look()

    def write(self, entries: Entries) -> None:
        """Keep these entries, all or none; whoever asks afterwards sees them.

        See `OverlayStore.write` for errors.
        """
        self.store.write(entries)
        self.look()

    def restore(self, item_id: str) -> None:
        """Undo that an item was removed; see `OverlayStore.restore`."""
        self.store.restore(item_id)
        self.look()

    def forget(self, entries: Entries) -> int:
        """Drop those that are still as they stand here; return how many."""
        gone = self.store.forget(entries)
        self.look()
        return gone

    def look(self) -> None:
        """Look once for what was written."""
        with self.looking:
            if self.store.last_change() == self.seen:
                return
            changes = self.store.since(self.seen)
            self.current = changes.entries if changes.whole else {**self.current, **changes.entries}
            self.seen = changes.last

    def follow(self) -> None:
        """Look again and again until it is stopped; a store that is away is logged once."""
        away = False
        while not self.stop.wait(LOOK_EVERY_S):
            try:
                self.look()
                away = False
            except (OSError, ValueError) as error:
                if not away:
                    log.error("new items are not seen for a while: %s", error)
                away = True

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()
