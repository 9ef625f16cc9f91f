"""The names of the archive's files: of which offsets of which partition the rows of a day are."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

__all__ = ["ArchiveFile", "as_archive_file", "check_no_overlap", "day_of", "oldest_kept"]

DAY_MS = 86_400_000
_NAME = re.compile(
    r"day=(?P<day>\d{4}-\d\d-\d\d)/"
    r"(?P<life>[A-Za-z0-9_.%;-]+)-(?P<partition>\d{1,10})-(?P<first>\d{20})-(?P<last>\d{20})\.parquet"
)


@dataclass(frozen=True, order=True)
class ArchiveFile:
    """A file: rows of one day, from some offsets of one partition.

    Attributes
    ----------
    day : of the event times, in UTC.
    life : identity of the topic, as in a Position.
    first, last : the offsets of the partition that were looked at for it; rows of other days are in other files.
    """

    day: date
    life: str
    partition: int
    first: int
    last: int

    @property
    def path(self) -> str:
        """Return the path in the folder."""
        return f"day={self.day}/{_escaped(self.life)}-{self.partition}-{self.first:020}-{self.last:020}.parquet"


def as_archive_file(path: str) -> ArchiveFile | None:
    """Return the file that has a path in the folder; None for what is not the archive's."""
    found = _NAME.fullmatch(path)
    if found is None:
        return None
    try:
        day = date.fromisoformat(found["day"])
    except ValueError:
        return None
    life = re.sub(r"%([0-9A-F]{2,6});", lambda code: chr(int(code[1], 16)), found["life"])
    return ArchiveFile(day, life, int(found["partition"]), int(found["first"]), int(found["last"]))


def _escaped(life: str) -> str:
    """Return a life as a part of a file's name: where topics have no ids it is cluster/topic."""
    return re.sub(r"[^A-Za-z0-9_.-]", lambda one: f"%{ord(one[0]):02X};", life)


def check_no_overlap(files: Iterable[ArchiveFile]) -> None:
    """Raise ValueError if two files of a day hold the same offsets, so some rows twice."""
    before: ArchiveFile | None = None
    for one in sorted(files):
        if before and _same_place(before, one) and one.first <= before.last:
            raise ValueError(
                f"{before.path} and {one.path} of the archive hold the same offsets, so its rows are there twice: "
                "another program has put one of them there; remove it"
            )
        before = one


def _same_place(one: ArchiveFile, other: ArchiveFile) -> bool:
    return (one.day, one.life, one.partition) == (other.day, other.life, other.partition)


def day_of(time_ms: int) -> date:
    """Return the day (UTC) of a Unix time in milliseconds."""
    return _EPOCH + timedelta(days=time_ms // DAY_MS)


_EPOCH = date(1970, 1, 1)


def oldest_kept(keep_days: int | None, now_ms: int) -> date:
    """Return the oldest day that is kept: so many before today; all where none is given."""
    if keep_days is None:
        return date.min
    return datetime.fromtimestamp(now_ms / 1000, UTC).date() - timedelta(days=keep_days)
