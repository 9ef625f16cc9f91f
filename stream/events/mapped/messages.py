"""What dead letters say of a record: what was looked for, what was there, and what to set."""

from collections.abc import Iterator, Sequence

from stream.events.mapped.cells import shown
from stream.events.mapped.paths import Path, Row, index_in, object_in, standing_at

__all__ = ["missing", "names_in", "unreadable"]

MOST_NAMES = 12
_CONNECT = {"schema", "payload"}  # of Kafka Connect's JSON with schemas, whose schema has more names than the event


def missing(name: str, paths: Sequence[Path], row: Row) -> str:
    """Say that a field is not there: what was looked for, what was there, and what to set."""
    own = [path for path in paths if not path.is_of_record]
    states = [_state(path, row) for path in own]
    what = "which is no id" if name in ("user", "item") else f"which is no {name}"
    there = [state for state in states if state]
    said = [f"{', '.join(there)}, {what}"] if there else []
    said += dict.fromkeys(element for path in own if (element := _element(path, row)))
    if not said or (None in states and not any(path.lists for path in own)):
        said.append(f"there are {names_in(row[()])}")
    return f"no {name}: looked for {', '.join(path.text for path in paths)}; {'; '.join(said)}; {_names(name)}"


def unreadable(name: str, path: Path, value: object) -> str:
    """Say that an optional field is there and cannot be read."""
    return f"the {name} at {path.text} is {shown(value)}; right is text or a number; {_names(name)}"


def names_in(value: object) -> str:
    """Return the names in a record's value, also nested ones."""
    if not isinstance(value, dict):
        return f"no names, for the value is {shown(value)} and no object"
    if value.keys() == _CONNECT:
        value = {"payload": value["payload"]}
    names = list(_nested("", value))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES]) or 'no names'}{more}"


def _names(name: str) -> str:
    """Say which key of the mapping names a field."""
    return f"`{name}` in the mapping names it"


def _state(path: Path, row: Row) -> str | None:
    """Say what stands at a path; None if nothing does."""
    is_there, value = standing_at(row[path.home], path.names)
    if not is_there or (path.lists and not path.names):
        return None
    return f"{_place(path, row)} is {shown(value)}"


def _element(path: Path, row: Row) -> str | None:
    """Say what the element of a list has instead of a path; None outside of lists."""
    if not path.lists or (path.names and standing_at(row[path.home], path.names)[0]):
        return None
    place = _place(Path("".join(f"{'.'.join(one.names)}[]." for one in path.lists)[:-1], path.lists), row)
    element = object_in(row[path.home])
    if isinstance(element, dict):
        return f"{place} has {names_in(element)}"
    if element is None and index_in(row, path.lists[-1]) is None:
        return None
    return f"{place} is {shown(element)}"


def _place(path: Path, row: Row) -> str:
    """Write a path with the number of each list's element in it: items[1].id."""
    first, *others = path.text.split("[]")
    for one, text in zip(path.lists, others, strict=True):
        number = index_in(row, one)
        first += f"[{'' if number is None else number}]{text}"
    return first


def _nested(before: str, value: dict[str, object]) -> Iterator[str]:
    """Yield names and nested names, also those in objects that were written as text."""
    for name, given in value.items():
        inner = object_in(given)
        if isinstance(inner, dict) and inner and before.count(".") < 2:
            yield from _nested(f"{before}{name}.", inner)
        elif isinstance(inner, list) and inner and isinstance(inner[0], dict) and before.count(".") < 2:
            yield from _nested(f"{before}{name}[].", inner[0])
        else:
            yield f"{before}{name}"
