"""Names in a record: nested ones (properties.product_id), and lists of which each element is an event (items[].id)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, zip_longest

import msgspec

__all__ = [
    "KEY",
    "TIMESTAMP",
    "ListAt",
    "Path",
    "Row",
    "index_in",
    "object_in",
    "parse",
    "rows_of",
    "standing_at",
    "value_at",
]

KEY, TIMESTAMP = "kafka.key", "kafka.timestamp"  # the record's own, in the place of names in its value

ListKey = tuple[str, ...]
Row = Mapping[ListKey, object]  # which list -> its element in this row; () -> the whole value


@dataclass(frozen=True)
class ListAt:
    """A list whose elements are rows.

    Attributes
    ----------
    key : its name, and those of the lists around it.
    parent : key of the list that it stands in; () if in none.
    names : from that list's element, or from the value, to the list.
    """

    key: ListKey
    parent: ListKey
    names: tuple[str, ...]


@dataclass(frozen=True)
class Path:
    """Where a value stands in a record.

    Attributes
    ----------
    text : as people write it.
    lists : the lists on the way, the outer ones first.
    names : from the element of the last list, or from the value.
    """

    text: str
    lists: tuple[ListAt, ...] = field(default=(), compare=False)
    names: tuple[str, ...] = field(default=(), compare=False)

    @property
    def home(self) -> ListKey:
        """Return the key of the list that it stands in; () if in none."""
        return self.lists[-1].key if self.lists else ()

    @property
    def is_of_record(self) -> bool:
        """Tell whether it names the record's own key or timestamp."""
        return self.text == TIMESTAMP or self.text == KEY or self.text.startswith(f"{KEY}.")


def parse(text: str) -> Path:
    """Read a name as people write it.

    Raises
    ------
    ValueError
        If it is empty or a part of it is, it names one element of a list, or what records of Kafka do not have.
    """
    _check(text)
    lists: list[ListAt] = []
    names: list[str] = []
    for step in text.split("."):
        name = step.rstrip("[]") if step.endswith("[]") else step
        if not name and (step == name or lists or names):
            raise ValueError(f"a part between the points of {text!r} is empty")
        names += [name] if name else []
        for _ in range((len(step) - len(name)) // 2):
            parent = lists[-1].key if lists else ()
            lists.append(ListAt((*parent, ".".join(names)), parent, tuple(names)))
            names = []
    return Path(text, tuple(lists), tuple(names))


def _check(text: str) -> None:
    """Refuse a name that leads to nothing in any record."""
    if not text:
        raise ValueError("a name before or after a comma is empty; right are names with commas between them")
    if numbered := re.search(r"\[[^\]]+\]", text):
        whole = text.replace(numbered[0], "[]")
        raise ValueError(f"{numbered[0]} is not read; right is {whole}, of which each element is an event")
    if text.split(".")[0] == "kafka" and text not in (KEY, TIMESTAMP) and not text.startswith(f"{KEY}."):
        raise ValueError(f"{text} is nothing that a record has; right are {KEY}, {KEY}.NAME (in it) and {TIMESTAMP}")


def value_at(value: object, names: Sequence[str]) -> object:
    """Return what stands at nested names; None if there is nothing.

    Objects that were written as text are read, and `a.b` may be one name.
    """
    return standing_at(value, names)[1]


def standing_at(value: object, names: Sequence[str]) -> tuple[bool, object]:
    """Return whether there is something at nested names, if only null, and what."""
    for place, name in enumerate(names):
        value = object_in(value)
        if not isinstance(value, dict):
            return False, None
        if name not in value:
            whole = ".".join(names[place:])
            return whole in value, value.get(whole)
        value = value[name]
    return True, value


def index_in(row: Row, one: ListAt) -> int | None:
    """Return the place of a row's element in its list; None if it is in none.

    Of equal elements it is the first one's.
    """
    elements = object_in(value_at(row[one.parent], one.names))
    if not isinstance(elements, list):
        return None
    element = row[one.key]
    same = (number for number, found in enumerate(elements) if found is element or found == element)
    return next(same, None)


def object_in(value: object) -> object:
    """Return the object or list in a text of JSON; anything else as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value


def rows_of(value: object, lists: Sequence[ListAt]) -> Iterator[Row]:
    """Yield a row for each element of these lists.

    Lists that are equally deep are taken element by element; the shorter ones have nothing in the last rows. A list
    that is empty or missing has one row, with nothing in it.

    Parameters
    ----------
    lists : the outer ones first.
    """
    found: list[dict[ListKey, object]] = [{(): value}]
    for _, together in groupby(lists, key=lambda one: len(one.key)):
        level = list(together)
        found = [
            row | {one.key: element for one, element in zip(level, elements, strict=True)}
            for row in found
            for elements in zip_longest(*(_elements(row, one) for one in level))
        ]
    yield from found


def _elements(row: Row, one: ListAt) -> list[object]:
    """Return the elements of a list in a row; of what is no list, itself."""
    value = object_in(value_at(row[one.parent], one.names))
    return (value or [None]) if isinstance(value, list) else [value]
