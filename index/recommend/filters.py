"""Filters: the rows that may be answers, by attributes, without items that are blocked for a time."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from index.catalogue.snapshot import CatalogueSnapshot
from index.recommend.cancellation import Cancellation
from index.recommend.request import Request
from index.search.maxsim import Allowed
from stream.store.state import UserState

__all__ = ["AskedUser", "Filters", "ResolvedRequest"]


@dataclass(frozen=True)
class ResolvedRequest:
    """A request over the catalogue at one moment.

    Attributes
    ----------
    request : what was asked for.
    snapshot : the items that answer it.
    allowed : the rows of the snapshot that its filters let through and that are not blocked; None: all rows.
    """

    request: Request
    snapshot: CatalogueSnapshot
    allowed: Allowed | None


@dataclass(frozen=True)
class AskedUser:
    """A user for whom a request is to be answered, beside others with requests of their own.

    Attributes
    ----------
    state : None: nothing is known of the user.
    cancellation : by which others stop the work for this user.
    """

    state: UserState | None
    resolved: ResolvedRequest
    cancellation: Cancellation


class Filters:
    """Filters by attributes, and the items that are not available now.

    Blocked items may be changed while other threads ask: a request sees the ones before or the ones after.
    """

    def __init__(self) -> None:
        self.changing = threading.Lock()
        self.blocked: frozenset[str] = frozenset()

    def block(self, item_ids: Iterable[str]) -> None:
        """Block items, so that they never come back; ids that the model does not know are fine."""
        with self.changing:
            self.blocked = self.blocked | set(item_ids)

    def unblock(self, item_ids: Iterable[str]) -> None:
        """Let blocked items come back again."""
        with self.changing:
            self.blocked = self.blocked - set(item_ids)

    def resolve(self, request: Request, snapshot: CatalogueSnapshot) -> ResolvedRequest:
        """Find the rows that have one of the wanted values of every attribute and are not blocked.

        Raises
        ------
        ValueError
            If there is no such attribute, or no item has a value.
        """
        where = frozenset((name, frozenset(values)) for name, values in request.where.items())
        return ResolvedRequest(request, snapshot, snapshot.allowed(where, self.blocked))
