"""The plan by which records are read: where each field stands, by a mapping or by a tracker's format."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from mindstream.mapping import Mapping
from stream.events.mapped.paths import KEY, TIMESTAMP, ListAt, Path, parse
from stream.events.mapped.times.reader import TimeReader

__all__ = ["Plan", "paths_of", "plan_of"]

# What concerns files alone, or what the stream does not keep: the same TOML may say it for logs.
_OF_FILES = ("columns", "delimiter", "quote", "encoding", "skip_lines", "items", "users")
_NOT_KEPT = ("title", "category", "price")


@dataclass(frozen=True)
class Plan:
    """Where the fields of an event stand in a record.

    Attributes
    ----------
    user, item, type : the first that a record knows counts.
    time : likewise, or, if they are joined, the parts of one time.
    event_id : of all of them together, the producer's own name of the record.
    reader : of the times.
    value, min_value : the least rating that is an event; None: all are.
    calls : where the kind of call stands, and the one kind that holds events; None: all do.
    without_item : why a record without an item is left out; None: it is a fault.
    prepare : returns the records in a value, with the names that are looked for; raises ValueError for one that is not
        of the format; None: the value is the record.
    mark : the name by which alone a record is known as one that needs no preparing; None: there is none.
    """

    user: tuple[Path, ...] = ()
    item: tuple[Path, ...] = ()
    time: tuple[Path, ...] = ()
    type: tuple[Path, ...] = ()
    event_id: tuple[Path, ...] = ()
    joined: bool = False
    reader: TimeReader = field(default_factory=TimeReader)
    value: tuple[Path, ...] = ()
    min_value: float | None = None
    calls: tuple[Path, str] | None = None
    without_item: str | None = None
    prepare: Callable[[Any], list[object]] | None = None
    mark: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def lists(self) -> tuple[ListAt, ...]:
        """Return all lists of which elements are events, the outer ones first."""
        paths = (*self.user, *self.item, *self.time, *self.type, *self.event_id, *self.value)
        found = {one.key: one for path in paths for one in path.lists}
        return tuple(sorted(found.values(), key=lambda one: len(one.key)))

    def described(self) -> str:
        """Return what is taken for what, for people."""
        parts = [("user", self.user), ("item", self.item), ("time", self.time), ("type", self.type)]
        parts += [("event_id", self.event_id), ("value", self.value)]
        said = [f"{name}: {','.join(path.text for path in paths)}" for name, paths in parts if paths]
        said += [] if self.min_value is None else [f"min_value: {self.min_value:g}"]
        said += [] if self.reader.given is None else [f"time_format: {self.reader.given}"]
        return "; ".join(said)


def paths_of(text: str | None) -> tuple[Path, ...]:
    """Read the names that a mapping gives for a field, with commas between them."""
    return tuple(parse(one.strip()) for one in text.split(",")) if text else ()


def _named_by(mapping: Mapping, key: str) -> tuple[Path, ...]:
    """Read the names that a mapping gives for a field; name the key where one is none."""
    text = getattr(mapping, key)
    try:
        return paths_of(text)
    except ValueError as error:
        raise ValueError(f"{key} is {text!r}: {error}") from None


def plan_of(mapping: Mapping, preset: Plan | None, source: str) -> Plan:
    """Make the plan of a mapping.

    Parameters
    ----------
    preset : plan of the tracker's format that the mapping names; what the mapping says comes before it.
    source : the mapping's file, for messages.

    Raises
    ------
    ValueError
        If the mapping says what cannot be done with a topic, or does not say where the item is.
    """
    try:
        return _checked(_made(mapping, preset or Plan()), mapping)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def _made(mapping: Mapping, known: Plan) -> Plan:
    """Return a plan with what a mapping says in its place."""
    given: dict[str, Any] = {
        name: _named_by(mapping, name) for name in ("user", "item", "type", "event_id") if getattr(mapping, name)
    }
    if mapping.untimed:
        given |= {"time": (), "joined": False}
    elif mapping.time:
        given |= {"time": _named_by(mapping, "time"), "joined": "," in mapping.time}
    if (mapping.time or mapping.time_format) and not mapping.untimed:
        given["reader"] = TimeReader(mapping.time or "", mapping.time_format)
    if mapping.min_value is not None:
        given |= {"value": _named_by(mapping, "value"), "min_value": mapping.min_value}
    plan = replace(known, **given)
    return replace(
        plan,
        user=plan.user or (parse(KEY),),
        time=plan.time or (parse(TIMESTAMP),),
        notes=(*known.notes, *_unused(mapping)),
    )


def _unused(mapping: Mapping) -> list[str]:
    """Return sentences on what a mapping says and a topic has no use for."""
    notes = []
    if files := [name for name in _OF_FILES if name in mapping.given]:
        notes.append(f"of files alone, so not used for a topic: {', '.join(files)}")
    if others := [name for name in _NOT_KEPT if getattr(mapping, name)]:
        notes.append(f"not kept of events, since they come with the model: {', '.join(others)}")
    if mapping.max_events_per_user is not None:
        notes.append("max_events_per_user is of logs; of a topic MINDSTREAM_HISTORY_LENGTH says how many are kept")
    if mapping.untimed:
        notes.append("untimed: the record's own timestamp is the time" + f", not {mapping.time}" * bool(mapping.time))
    if mapping.value and mapping.min_value is None:
        notes.append(
            f"{mapping.value} is not used: every event counts, whatever its value; min_value leaves out low ones"
        )
    return notes


def _checked(plan: Plan, mapping: Mapping) -> Plan:
    """Refuse a plan by which records would be misread.

    Raises
    ------
    ValueError
        Says what is wrong and what would be right.
    """
    if mapping.where:
        raise ValueError(
            f"where is {mapping.where!r}: it is SQL on the rows of logs, and of a topic it would leave out nothing; "
            "MINDSTREAM_BEHAVIOURS leaves out types, min_value low values; give the topic a mapping without it"
        )
    if not plan.item:
        raise ValueError(
            "item is not said: a topic has no header to find it by; right is its name in a record, such as "
            'item = "product_id", "properties.product_id" or "items[].item_id"'
        )
    if mapping.min_value is not None and not plan.value:
        raise ValueError("min_value needs value, the name of the rating in a record")
    if plan.joined and any(path.is_of_record for path in plan.time):
        raise ValueError(f"time is {mapping.time!r}: {TIMESTAMP} is a whole time, and cannot be joined with others")
    _check_of_record(plan)
    _check_lists(plan)
    return plan


def _check_of_record(plan: Plan) -> None:
    """Refuse the record's key and timestamp where they can be nothing."""
    allowed = {"user": KEY, "time": TIMESTAMP, "event_id": KEY}
    for name in ("user", "item", "time", "type", "event_id", "value"):
        for path in getattr(plan, name):
            if path.is_of_record and not path.text.startswith(allowed.get(name, "no")):
                raise ValueError(f"{name} is {path.text!r}: right is {KEY} for user and event_id, {TIMESTAMP} for time")


def _check_lists(plan: Plan) -> None:
    """Refuse a list for a field of which an event has one, unless the items stand in it too."""
    own = {one.key for path in plan.item for one in path.lists}
    for name in ("user", "time", "type", "event_id", "value"):
        for path in getattr(plan, name):
            if any(one.key not in own and len(one.key) > max(map(len, own), default=0) for one in path.lists):
                raise ValueError(
                    f"{name} is {path.text!r}, of which a record has several, and an item one; right is a name outside "
                    "of lists, or in the list in which the items stand"
                )
