"""The events of a record of any shape: slower than `one_shape`, and what says what is wrong."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mindstream.limits import LONGEST_EVENT_TYPE, LONGEST_ITEM_ID, LONGEST_USER_ID
from stream.events.event import AHEAD_MS, BadEventError, Event, excerpt
from stream.events.mapped.cells import id_of, number_of, shown, word_of
from stream.events.mapped.event_ids import numbered, own_id
from stream.events.mapped.paths import KEY, TIMESTAMP, Path, Row, object_in, rows_of, value_at
from stream.events.mapped.plan import Plan

__all__ = ["AnyShape", "Envelope"]

USUAL_TYPE = "click"  # as of an Event
MOST_NAMES = 12  # in messages
_CONNECT = {"schema", "payload"}  # of Kafka Connect's JSON with schemas, whose schema has more names than the event
LOW = "with a value below min_value"
OF_NO_WEIGHT = "not readable, of a type that counts for nothing"


@dataclass(frozen=True)
class Envelope:
    """What a record says beside its value.

    Attributes
    ----------
    key : as an object; None if it is none, or cannot be read.
    published_ms : Unix time in milliseconds.
    record_id : what its events are known by, where they have no id of their own.
    raw_key : its bytes, for messages.
    """

    key: object
    published_ms: int
    record_id: str | None = None
    raw_key: bytes | None = None


class AnyShape:
    """A reader of events from values of any shape.

    Parameters
    ----------
    counts : tells whether events of a type change anything.
    left_out : reason -> events that are left out; added to in place.
    """

    def __init__(self, plan: Plan, counts: Callable[[str], bool], left_out: Counter[str]) -> None:
        self.plan, self.counts, self.left_out = plan, counts, left_out

    def events(self, value: object, envelope: Envelope) -> list[Event]:
        """Return the events of a value.

        Raises
        ------
        BadEventError
            If one of them is none; says what was looked for, what was there, and what to set.
        """
        plan = self.plan
        if plan.prepare:
            value = plan.prepare(value)
        if plan.calls and word_of(value_at(value, plan.calls[0].names)) != plan.calls[1]:
            self.left_out[f"of other kinds than {plan.calls[1]}"] += 1
            return []
        found: list[Event] = []
        for row in rows_of(value, plan.lists):
            for item in self._items(row):
                event = self._event(row, item, envelope, len(found))
                found += [event] if event else []
        return found

    def users_in(self, value: object) -> set[str]:
        """Return the users whom a value names, whatever else is wrong with it."""
        paths = [path for path in self.plan.user if not path.is_of_record]
        rows = list(rows_of(value, self.plan.lists))
        return {found for row in rows for path in paths if (found := id_of(value_at(row[path.home], path.names)))}

    def _event(self, row: Row, item: object, envelope: Envelope, number: int) -> Event | None:
        """Return the event of an item in a row; None if it is left out."""
        event_type = self._type(row)
        try:
            return self._checked(row, item, event_type, envelope, number)
        except BadEventError:
            if self.counts(event_type):
                raise
            self.left_out[OF_NO_WEIGHT] += 1
            return None

    def _checked(self, row: Row, item: object, event_type: str, envelope: Envelope, number: int) -> Event | None:
        """Return the event of an item, each of its fields within bounds."""
        plan = self.plan
        if (item_id := id_of(item)) is None:
            if plan.without_item is None:
                raise BadEventError("field", self._missing("item", plan.item, row))
            self.left_out[plan.without_item] += 1
            return None
        if plan.min_value is not None:
            ratings = (number_of(value_at(row[path.home], path.names)) for path in plan.value)
            rating = next((one for one in ratings if one is not None), None)
            if rating is None:
                raise BadEventError("field", self._missing("value", plan.value, row))
            if rating < plan.min_value:
                self.left_out[LOW] += 1
                return None
        user_id = self._user(row, envelope)
        _check_length("user", user_id, LONGEST_USER_ID)
        _check_length("item", item_id, LONGEST_ITEM_ID)
        _check_length("type", event_type, LONGEST_EVENT_TYPE)
        words = [word_of(_at(row, path, envelope)) for path in plan.event_id]
        event_id = own_id(words, number) or numbered(envelope.record_id, number)
        return Event(user_id, item_id, self._time(row, envelope), event_type, event_id)

    def _items(self, row: Row) -> Sequence[object]:
        """Return the items of a row: one, or those of a list; [None] if there are none.

        A name outside of the list that the items stand in counts only where that has nothing.
        """
        homes = {path.home for path in self.plan.item if path.home}
        is_within = any(row.get(home) is not None for home in homes)
        for path in self.plan.item:
            if is_within and path.home not in homes:
                continue
            found = value_at(row[path.home], path.names)
            if isinstance(found, list) and found:
                return found
            if id_of(found) is not None:
                return [found]
        return [None]

    def _type(self, row: Row) -> str:
        """Return the type of a row's event."""
        for path in self.plan.type:
            if word := word_of(value_at(row[path.home], path.names)):
                return word
        return USUAL_TYPE

    def _user(self, row: Row, envelope: Envelope) -> str:
        """Return the user of a row's event."""
        for path in self.plan.user:
            if (user_id := id_of(_at(row, path, envelope))) is not None:
                return user_id
        if all(path.is_of_record for path in self.plan.user):
            raise BadEventError(
                "key",
                f"the record's key is {excerpt(envelope.raw_key)}, which is no user's id; `user` in the mapping names "
                f"the user in the value, where there are {_names_in(row[()])}",
            )
        raise BadEventError("field", self._missing("user", self.plan.user, row))

    def _time(self, row: Row, envelope: Envelope) -> int:
        """Return the time of a row's event, in Unix milliseconds."""
        plan, published_ms = self.plan, envelope.published_ms
        ways = [plan.time] if plan.joined else [(path,) for path in plan.time]
        for paths in ways:
            if paths[0].text == TIMESTAMP:
                return _own_time(published_ms)
            values = [value_at(row[path.home], path.names) for path in paths]
            try:
                found = plan.reader.read(values)
            except ValueError as error:
                raise BadEventError("time", f"{','.join(path.text for path in paths)}: {error}") from None
            if found is not None:
                if found > published_ms + AHEAD_MS and published_ms >= 0:
                    raise BadEventError(
                        "time",
                        f"{','.join(path.text for path in paths)} is {', '.join(map(shown, values))}, read as {found} "
                        f"ms, more than a day after the event was published ({published_ms}); `time_format` says the "
                        f'format or the unit, `time = "{TIMESTAMP}"` takes the record\'s own',
                    )
                return found
        hint = f'; `time = "{TIMESTAMP}"` takes the record\'s own timestamp'
        raise BadEventError("time", self._missing("time", plan.time, row) + hint)

    def _missing(self, name: str, paths: Sequence[Path], row: Row) -> str:
        """Say that a field is not there: what was looked for, what was there, and what to set."""
        found = [(path.text, value_at(row[path.home], path.names)) for path in paths if not path.is_of_record]
        there = [f"{text} is {shown(value)}" for text, value in found if value is not None]
        looked = f"looked for {', '.join(path.text for path in paths)}"
        what = "which is no id" if name in ("user", "item") else f"which is no {name}"
        said = f"{', '.join(there)}, {what}" if there else f"there are {_names_in(row[()])}"
        return f"no {name}: {looked}; {said}; `{name}` in the mapping names it"


def _at(row: Row, path: Path, envelope: Envelope) -> object:
    """Return what stands at a path, in the value or in the record's key."""
    if not path.is_of_record:
        return value_at(row[path.home], path.names)
    return value_at(envelope.key, path.names[KEY.count(".") + 1 :])


def _own_time(published_ms: int) -> int:
    """Return the record's own timestamp as a time."""
    if published_ms < 0:
        raise BadEventError(
            "time", "the record has no timestamp of its own; `time` in the mapping names one in the value"
        )
    return published_ms


def _check_length(name: str, text: str, longest: int) -> None:
    """Raise BadEventError if a text is longer than the stream takes."""
    if len(text) > longest:
        raise BadEventError(
            "field", f"the {name} {shown(text)} has {len(text):,} characters; right are at most {longest}"
        )


def _names_in(value: object) -> str:
    """Return the names in a record's value, also nested ones, for messages."""
    if not isinstance(value, dict):
        return f"no names, for the value is {shown(value)} and no object"
    if value.keys() == _CONNECT:
        value = {"payload": value["payload"]}
    names = list(_nested("", value))
    return ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")


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
