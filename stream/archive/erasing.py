"""Which rows are a forgotten user's, from before the forgetting: by the rules of the store."""

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from stream.archive.state import ArchiveState, Erasure

__all__ = ["Sieve", "sieve_of"]


class Sieve:
    """A test of rows: those of forgotten users from before the forgetting are left out.

    A row is from before if it was published earlier, or if it stands before the request on the same partition.

    Attributes
    ----------
    users : user_ids of which rows may be left out.
    """

    def __init__(self, erasures: Iterable[Erasure], before_ms: Mapping[str, int]) -> None:
        self.before_ms = dict(before_ms)
        self.behind: dict[tuple[str, str, int], int] = {}  # user_id, life and partition -> offset of the last request
        for one in erasures:
            place = one.user_id, one.life, one.partition
            self.before_ms[one.user_id] = max(one.before_ms, self.before_ms.get(one.user_id, 0))
            self.behind[place] = max(one.offset, self.behind.get(place, 0))
        self.users = frozenset(self.before_ms)

    def drops(self, user_id: str, published_ms: int, life: str, partition: int, offset: int) -> bool:
        """Tell whether a row is left out."""
        if user_id not in self.users:
            return False
        return published_ms < self.before_ms[user_id] or offset < self.behind.get((user_id, life, partition), 0)

    def touches(self, user_ids: pa.ChunkedArray) -> bool:
        """Tell whether a user of the sieve is among these."""
        return bool(pc.any(self._are_users(user_ids)).as_py())

    def kept(self, table: pa.Table) -> pa.Table:
        """Return a table of the archive without the rows that are left out."""
        suspects = pc.indices_nonzero(self._are_users(table["user_id"]))
        names = ["user_id", "published_ms", "topic_life", "partition", "offset"]
        cells = table.select(names).take(suspects).to_pydict()
        places = zip(suspects.to_pylist(), zip(*(cells[name] for name in names), strict=True), strict=True)
        dropped = {place for place, row in places if self.drops(*row)}
        if not dropped:
            return table
        return table.take(pa.array([place for place in range(len(table)) if place not in dropped], pa.int64()))

    def _are_users(self, user_ids: pa.ChunkedArray) -> pa.ChunkedArray:
        return pc.is_in(user_ids, value_set=pa.array(sorted(self.users), pa.string()))


def sieve_of(state: ArchiveState) -> Sieve:
    """Return the sieve for everything that is known to be forgotten."""
    return Sieve(state.due, {user_id: at_ms for user_id, (at_ms, _) in state.forgotten.items()})
