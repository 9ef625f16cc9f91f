"""The layout of a log on disk: its tables, and SQL that makes events, items and users of them."""

from collections.abc import Callable
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from mindstream.mapping import Mapping

__all__ = ["COMPRESSIONS", "Found", "Layout", "Preset", "Table", "plain_name"]

COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz", ".zip")


@dataclass(frozen=True)
class Table:
    """One table on disk, in one file or several, and how its text is to be read.

    Attributes
    ----------
    paths : files, folders, globs or addresses of an object store; their rows follow one another.
    columns : names of the columns, if the files have no header.
    delimiter, quote, encoding : None: told by the file. quote "": quotes are plain characters.
    escape : character before a quote in quoted cells; None: the quote itself, or told by the file.
    skip_lines : lines before the header.
    lines : each line is one column, `line`, and not cut at all.
    """

    paths: tuple[str, ...]
    columns: tuple[str, ...] = ()
    delimiter: str | None = None
    quote: str | None = None
    encoding: str | None = None
    escape: str | None = None
    skip_lines: int = 0
    lines: bool = False


@dataclass(frozen=True)
class Layout:
    """A log as its publisher lays it out.

    Columns of text files are text in SQL, names as in the file. Numbers and dates need TRY_CAST there.

    Attributes
    ----------
    format : the preset's name.
    events : the table `events`.
    mapping : the columns of its rows, or of those that `sql` gives.
    sql : SELECT that makes rows of `events` and `beside`; None: the rows of `events` as they are.
    beside : further tables, by the names that the statements use.
    items : SELECT item_id, and any of title, category, price, feature_NAME (several values joined by "|"); the last
        row of an item counts.
    users : SELECT user_id and one column a profile field.
    sides : SELECT user_id, side ("train", "valid" or "test") of the rows (`behaviours`), if the publisher divides
        the users.
    left_out : reason ("with a quantity that is not positive") -> SQL condition on the rows (of `sql`) that are left out
        for it; those for which it is NULL stay.
    notes : sentences on what a reader of the log should know.
    """

    format: str
    events: Table
    mapping: Mapping
    sql: str | None = None
    beside: Dictionary[str, Table] = field(default_factory=lambda: MappingProxyType({}))
    items: str | None = None
    users: str | None = None
    sides: str | None = None
    left_out: Dictionary[str, str] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """A path, and what is there: what presets recognise their format by.

    Attributes
    ----------
    path : as given.
    files : name in lower case, without a compression's ending -> file; of the folder, or of the file's own folder.
    names : cells of the first line of the file, columns of Parquet, or top-level keys of JSON; () for a folder.
    """

    path: Path
    files: Dictionary[str, Path]
    names: tuple[str, ...] = ()

    @property
    def is_folder(self) -> bool:
        """Tell whether the path is a folder."""
        return self.path.is_dir()

    @property
    def name(self) -> str:
        """Return the file's name in lower case, without a compression's ending; "" for a folder."""
        return "" if self.is_folder else plain_name(self.path)

    def table(self, name: str, **options: object) -> Table:
        """Return the table in the file of this name beside the path (or in the folder)."""
        return Table((str(self.files[name]),), **options)  # type: ignore[arg-type]


def plain_name(path: Path) -> str:
    """Return a file's name in lower case, without a compression's ending."""
    name = path.name.lower()
    return next((name.removesuffix(ending) for ending in COMPRESSIONS if name.endswith(ending)), name)


@dataclass(frozen=True)
class Preset:
    """A format that many have.

    Attributes
    ----------
    name : for --format.
    title : for people.
    looks_like : tells whether this format is at a path.
    layout : says how the log lies there; raises FileNotFoundError if a file that the format needs is not there.
    """

    name: str
    title: str
    looks_like: Callable[[Found], bool]
    layout: Callable[[Found], Layout]
