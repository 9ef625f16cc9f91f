"""Queries that were found right: who asks the same again is not checked anew."""

from collections import OrderedDict
from dataclasses import dataclass, field

from index.api.limits.work_lanes import WorkLanes
from index.recommend.request import Request
from index.recommend.work import WorkSize

__all__ = ["KnownQueries", "KnownQuery"]

KEPT, LONGEST = 4_096, 256  # queries, and bytes of one: a shop asks the same few for all its users


@dataclass
class KnownQuery:
    """A query that is right, as a request.

    Attributes
    ----------
    estimates : of its work, in seconds of one core, by what the work grows with.
    """

    request: Request
    estimates: dict[WorkSize, float] = field(default_factory=dict)

    def estimate_s(self, size: WorkSize, lanes: WorkLanes) -> float:
        """Return the work for one user, in seconds of one core.

        Raises
        ------
        HTTPException
            If it is more than one request may need; 422.
        """
        known = self.estimates.get(size)
        if known is None:
            known = lanes.check(self.request, 1, size)
            self.estimates = {size: known}
        return known


class KnownQueries:
    """The queries that were asked for last, as they stood in the address."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, KnownQuery] = OrderedDict()

    def keep(self, query: bytes, request: Request) -> KnownQuery:
        """Remember a query, and return it; a long one is asked by few."""
        known = KnownQuery(request)
        if len(query) <= LONGEST:
            self._kept[query] = known
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return known

    def find(self, query: bytes) -> KnownQuery | None:
        """Return a query that was remembered."""
        known = self._kept.get(query)
        if known is not None:
            self._kept.move_to_end(query)
        return known
