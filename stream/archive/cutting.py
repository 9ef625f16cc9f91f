"""From what was read to the files of one cut: a pure plan, whoever else has written meanwhile."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from stream.archive.columns import Row
from stream.archive.erasing import Sieve, sieve_of
from stream.archive.names import ArchiveFile, day_of
from stream.archive.state import ArchiveState, Erasure, Log

__all__ = ["Cut", "Part", "plan_cut"]


@dataclass
class Part:
    """What was read of a partition and is not archived yet.

    Attributes
    ----------
    base : the next offset by the archive's state when reading began; None where it had none.
    first : offset of the first record that was read; None while there is none.
    next : the offset behind the last one.
    rows : the events, in their order.
    erasures : the requests among them to forget a user.
    """

    base: int | None
    first: int | None = None
    next: int = 0
    rows: list[Row] = field(default_factory=list)
    erasures: list[Erasure] = field(default_factory=list)

    def is_new(self, offset: int) -> bool:
        """Tell whether an offset is not read yet.

        What was read before comes again where somebody goes back on the partition.
        """
        return offset >= max(self.next, self.base or 0)

    def passed(self, first: int, last: int) -> None:
        """Note that some offsets are read."""
        self.first = first if self.first is None else self.first
        self.next = last + 1


@dataclass(frozen=True)
class Cut:
    """A cut: rows by file, and the state with which they are there.

    Attributes
    ----------
    taken : the partitions of which it is; the others were written by somebody else since they were read.
    counts : what became of the rows: archived, forgotten_before, too_old; forgotten counts requests.
    """

    files: Mapping[ArchiveFile, list[Row]]
    state: ArchiveState
    taken: frozenset[Log]
    counts: Counter[str]


def plan_cut(
    parts: Mapping[Log, Part], state: ArchiveState, oldest: date, now_ms: int, marker_days: float = 7.0
) -> Cut:
    """Return what has to be written so that all that was read is archived.

    A partition of which the archive is further than when reading began was somebody else's meanwhile, and has its rows
    already: it is not taken.

    Parameters
    ----------
    oldest : the oldest day that is kept.
    marker_days : for how long it is remembered who was forgotten.
    """
    taken = {log: part for log, part in parts.items() if part.first is not None and state.next_offset(log) == part.base}
    erasures = [one for part in taken.values() for one in part.erasures]
    after = state.with_erasures(erasures, now_ms, marker_days)
    after = after.with_progress({log: part.next for log, part in taken.items()})
    sieve, files, counts = sieve_of(after), dict[ArchiveFile, list[Row]](), Counter(forgotten=len(erasures))
    for log, part in taken.items():
        files |= _files_of(log, part, sieve, oldest, counts)
    return Cut(files, after, frozenset(taken), counts)


def _files_of(log: Log, part: Part, sieve: Sieve, oldest: date, counts: Counter[str]) -> dict[ArchiveFile, list[Row]]:
    """Return the rows of a partition by file, and count them."""
    (life, partition), by_day = log, dict[date, list[Row]]()
    for row in part.rows:
        day = day_of(row.event.event_time_ms)
        if sieve.drops(row.event.user_id, row.published_ms, life, partition, row.offset):
            counts["forgotten_before"] += 1
        elif day < oldest:
            counts["too_old"] += 1
        else:
            by_day.setdefault(day, []).append(row)
            counts["archived"] += 1
    first = part.first or 0
    return {ArchiveFile(day, life, partition, first, part.next - 1): rows for day, rows in by_day.items()}
