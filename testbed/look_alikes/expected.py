"""What must come out of a look-alike of a published log, and the rows that all of them are made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

__all__ = ["ITEMS", "ROWS", "START", "USERS", "Expected", "LookAlike", "Row", "rows", "write"]

ROWS, USERS, ITEMS = 24, 6, 8
START = 1_750_000_000  # seconds: 2025-06-15 15:06:40 UTC
STEP = 3_700


@dataclass(frozen=True)
class Row:
    """One event of an invented log: numbers of the user and the item, and the time in seconds."""

    user: int
    item: int
    seconds: int

    def time(self, format: str) -> str:
        """Return the time in a strftime format, in UTC."""
        return datetime.fromtimestamp(self.seconds, UTC).strftime(format)


def rows() -> list[Row]:
    """Return the events: each of 6 users has 4, each of 8 items comes 3 times, in June 2025."""
    return [Row(n % USERS, 5 * n % ITEMS, START + STEP * n) for n in range(ROWS)]


@dataclass(frozen=True)
class Expected:
    """What a log must be read as.

    Attributes
    ----------
    events, users, items : counts.
    types : event type -> its events.
    first, last : UTC days of the first and the last event; None for a log without times.
    titles, categories : item -> some of its titles and categories.
    prices : item -> some of the prices.
    features : item -> side feature -> value, some of them.
    profiles : user -> profile field -> value, some of them.
    left_out : reason -> rows that are left out for it.
    orders : user -> the items in the user's order, some of them.
    """

    events: int = ROWS
    users: int = USERS
    items: int = ITEMS
    types: Mapping[str, int] = field(default_factory=dict)
    first: date | None = date(2025, 6, 15)
    last: date | None = date(2025, 6, 16)
    titles: Mapping[str, str] = field(default_factory=dict)
    categories: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, float] = field(default_factory=dict)
    features: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    profiles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    orders: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class LookAlike:
    """A small log in a published form.

    Attributes
    ----------
    name : of the look-alike, for people.
    preset : name of the format that it is.
    file : the main file, which is read as well as the folder.
    write : writes the files into a folder, and returns what must come out of them.
    by_file : what must come out of the main file alone, if it is another thing.
    by_folder : whether the folder can be read: of a single file of any name only the file can.
    """

    name: str
    preset: str
    file: str
    write: Callable[[Path], Expected]
    by_file: Callable[[Expected], Expected] = lambda whole: whole
    by_folder: bool = True


def write(path: Path, lines: list[str], encoding: str = "utf-8") -> None:
    """Write lines into a file."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding=encoding)
