"""Columns of a log, also nested ones and elements of lists, and their SQL."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from model_export.readers.sql import quoted

__all__ = ["Column", "Unnesting", "columns_of", "find", "text_of"]

LISTS = ("list", "array")


@dataclass(frozen=True)
class Column:
    """One column, or one field within.

    Attributes
    ----------
    steps : names from the outside in; one that ends in "[]" is a list, of which each element is a row of its own.
    type : DuckDB's type of a value.
    """

    steps: tuple[str, ...]
    type: Any

    @property
    def path(self) -> str:
        """Return the column as people write it: events[].aid."""
        return ".".join(self.steps)

    @property
    def words(self) -> tuple[str, ...]:
        """Return the names from the outside in.

        Those of a table that was flattened too: event.item_id.
        """
        return tuple(self.path.replace("[]", "").split("."))

    @property
    def is_list(self) -> bool:
        """Tell whether a value is a list."""
        return self.type.id in LISTS


def columns_of(names: Sequence[str], types: Sequence[Any]) -> list[Column]:
    """Return the columns of a table, and what is nested in them, the outer ones first."""
    found = [one for name, kind in zip(names, types, strict=True) for one in _within((name,), kind)]
    return sorted(found, key=lambda column: len(column.steps))


def _within(steps: tuple[str, ...], kind: Any) -> Iterator[Column]:
    """Yield the column at these steps, and those in its struct or in the structs of its list."""
    if kind.id == "struct":
        for name, inner in kind.children:
            yield from _within((*steps, name), inner)
        return
    yield Column(steps, kind)
    if kind.id in LISTS:
        element = kind.children[0][1]
        steps = (*steps[:-1], steps[-1] + "[]")
        yield from (_within(steps, element) if element.id in ("struct", *LISTS) else [Column(steps, element)])


def find(path: str, columns: Iterable[Column]) -> Column | None:
    """Return the column of this name, in its own spelling or else in another case, or None."""
    known = {column.path: column for column in columns}
    return known.get(path) or next((one for name, one in known.items() if name.lower() == path.lower()), None)


@dataclass
class Unnesting:
    """The FROM clause of a table whose lists become rows, in their order, and the SQL of columns in it.

    Lists that are equally deep belong together by position; the shorter ones have nothing in the last rows.
    Rows whose list is empty or missing stay, with nothing in it: they are counted and not lost.

    Attributes
    ----------
    name : of the table.
    source : what is selected from, if it is not the table itself.
    lists : steps up to a list, and depth -> SQL of the list.
    """

    name: str
    source: str = ""
    lists: dict[tuple[str, ...], str] = field(default_factory=dict)

    def sql(self, column: Column) -> str:
        """Return the SQL of a column's value; lists on the way are unnested once for all columns."""
        value = self.name
        for place, step in enumerate(column.steps):
            name = step.rstrip("[]") if step.endswith("[]") else step
            value = f"{value}.{quoted(name)}"
            for depth in range((len(step) - len(name)) // 2):
                key = (*column.steps[:place], name, str(depth))
                self.lists.setdefault(key, value)
                value = f"{self.name}.{self._alias(key)}"
        return value

    def _alias(self, key: tuple[str, ...]) -> str:
        return f"mindstream_element{list(self.lists).index(key)}"

    @property
    def clause(self) -> str:
        """Return the FROM clause."""
        clause = f"{self.source or self.name} {self.name}"
        levels: dict[int, list[str]] = {}
        for key, value in self.lists.items():
            elements = f"unnest(CASE WHEN len({value}) > 0 THEN {value} ELSE [NULL] END) AS {self._alias(key)}"
            levels.setdefault(_level(key), []).append(elements)
        for _, together in sorted(levels.items()):  # DuckDB pads the shorter of several lists in one SELECT
            clause = f"(SELECT *, {', '.join(together)} FROM {clause}) {self.name}"
        return clause


def _level(key: tuple[str, ...]) -> int:
    """Return in how many lists a list stands."""
    *steps, _, depth = key
    return sum(len(re.findall(r"\[\]", step)) for step in steps) + int(depth)


def text_of(value: str, kind: Any) -> str:
    """Return SQL that makes text of a value of any type; whole numbers have no fraction.

    Integers with gaps are stored as floats, and BigQuery's NUMERIC has nine decimal places.
    """
    name = kind.id
    if name in LISTS:
        return text_of(f"list_extract({value}, 1)", kind.children[0][1])
    if name in ("float", "double"):
        whole = f"{value} = trunc({value}) AND abs({value}) < 1e38"
        number = f"CASE WHEN {whole} THEN CAST(CAST({value} AS HUGEINT) AS VARCHAR) ELSE CAST({value} AS VARCHAR) END"
        return f"CASE WHEN isfinite({value}) THEN {number} END"
    if name == "decimal":
        return rf"regexp_replace(CAST({value} AS VARCHAR), '(\.\d*?)0+$', '\1').rtrim('.')"
    if name == "blob":
        text = f"TRY(decode({value}))"
        is_text = f"NOT coalesce(regexp_matches({text}, '[[:cntrl:]]'), true)"
        return f"CASE WHEN {is_text} THEN {text} ELSE lower(hex({value})) END"  # such as a UUID of 16 bytes
    return value if name == "varchar" else f"CAST({value} AS VARCHAR)"
