"""Which rows may be answers: filters by attributes, and items that are blocked for a time."""

import threading
from collections.abc import Iterable, Mapping

from index.catalogue.snapshot import CatalogueSnapshot
from index.search.maxsim import Allowed

__all__ = ["Filters"]


class Filters:
    """What requests filter by, and the items that are not available now.

    Blocked items may be changed while other threads ask: a request sees the ones before or the ones after.
    """

    def __init__(self) -> None:
        self.changing = threading.Lock()
        self.blocked: frozenset[str] = frozenset()

    def block(self, item_ids: Iterable[str]) -> None:
        """From now on these items never come back; ids that the model does not know are fine."""
        with self.changing:
            self.blocked = self.blocked | set(item_ids)

    def unblock(self, item_ids: Iterable[str]) -> None:
        """These items may come back again."""
        with self.changing:
            self.blocked = self.blocked - set(item_ids)

    def allowed(self, where: Mapping[str, frozenset[str]], items: CatalogueSnapshot) -> Allowed | None:
        """The rows that have one of the values of every attribute and are available; None: all rows.

        Raises
        ------
        ValueError
            If there is no such attribute, or no item has a value.
        """
        return items.allowed(frozenset((name, frozenset(values)) for name, values in where.items()), self.blocked)
