"""Which small files become one: a pure plan."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from stream.archive.columns import MOST_FIELDS
from stream.archive.names import ArchiveFile

__all__ = ["MOST_FILES", "MOST_ROWS", "Size", "mergeable", "plan_merges"]

MOST_ROWS = 1_000_000  # of a file that is merged: one is in memory at a time
MOST_FILES = 60  # of a partition on a day that goes on: with a cut a minute they are merged each hour
COLUMNS = 11  # of every file, at most


@dataclass(frozen=True)
class Size:
    """The size of a file: its rows, and its columns."""

    rows: int
    columns: frozenset[str]


def mergeable(files: Iterable[ArchiveFile], today: date) -> list[ArchiveFile]:
    """Return the files that may become one with others.

    Of days before `today` that is all of them, of others where they are many.
    """
    return [one for group in _groups(files, today) for one in group]


def plan_merges(sizes: Mapping[ArchiveFile, Size], today: date) -> list[list[ArchiveFile]]:
    """Return files that follow one another on a partition and become one.

    Of days before `today` all that fit together do; of one that goes on, once they are many. A large file stays as it
    is: it would be written anew for each event that is late.
    """
    return [run for group in _groups(sizes, today) for run in _runs(group, sizes) if len(run) > 1]


def _groups(files: Iterable[ArchiveFile], today: date) -> list[list[ArchiveFile]]:
    """Return the files of each day and partition of which some may become one."""
    found = (list(group) for _, group in groupby(sorted(files), key=lambda one: (one.day, one.life, one.partition)))
    return [group for group in found if len(group) > (1 if group[0].day < today else MOST_FILES)]


def _runs(files: Iterable[ArchiveFile], sizes: Mapping[ArchiveFile, Size]) -> list[list[ArchiveFile]]:
    """Cut files in the order of their offsets into runs that fit into one file."""
    runs: list[list[ArchiveFile]] = [[]]
    rows, columns = 0, frozenset[str]()
    for one in files:
        size = sizes[one]
        if rows + size.rows > MOST_ROWS or len(columns | size.columns) > COLUMNS + MOST_FIELDS:
            runs, rows, columns = [*runs, []], 0, frozenset()
        runs[-1].append(one)
        rows, columns = rows + size.rows, columns | size.columns
    return runs
