"""The events of a record of any shape: slower than `one_shape`, and what says what is wrong."""

from collections import Counter
from collections.abc import Callable, Sequence

from mindstream.limits import LONGEST_EVENT_TYPE, LONGEST_ITEM_ID, LONGEST_USER_ID
from stream.events.event import AHEAD_MS, BadEventError, Event, excerpt
from stream.events.mapped.cells import id_of, number_of, shown, text_of, word_of
from stream.events.mapped.event_ids import numbered, own_id
from stream.events.mapped.keys import Envelope, value_in
from stream.events.mapped.messages import missing, names_in, unreadable
from stream.events.mapped.paths import TIMESTAMP, Path, Row, rows_of, value_at
from stream.events.mapped.plan import Plan

__all__ = ["LOW", "OF_NO_WEIGHT", "USUAL_TYPE", "AnyShape"]

USUAL_TYPE = "click"  # as of an Event
LOW = "with a value below min_value"
OF_NO_WEIGHT = "not readable, of a type that counts for nothing"
NO_EVENTS = "empty lists of events"


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
        found: list[Event] = []
        for record in self._records(value):
            found += self._events_of(record, envelope, len(found))
        return found

    def users_in(self, value: object) -> set[str]:
        """Return the users whom a value names, whatever else is wrong with it."""
        paths = [path for path in self.plan.user if not path.is_of_record]
        rows = self._rows(value)
        return {found for row in rows for path in paths if (found := id_of(value_at(row[path.home], path.names)))}

    def has(self, name: str, value: object, envelope: Envelope) -> bool:
        """Tell whether a value has an optional field: one of its names, of `event_id` all."""
        paths, enough = getattr(self.plan, name), all if name == "event_id" else any
        return any(enough(word_of(value_in(row, path, envelope)) for path in paths) for row in self._rows(value))

    def _rows(self, value: object) -> list[Row]:
        """Return the rows of a value, also of one that is not of the plan's format."""
        try:
            records = self.plan.prepare(value) if self.plan.prepare else [value]
        except ValueError:
            records = [value]
        return [row for record in records for row in rows_of(record, self.plan.lists)]

    def _records(self, value: object) -> Sequence[object]:
        """Return the records in a value: by most plans itself."""
        if self.plan.prepare is None:
            return (value,)
        try:
            records = self.plan.prepare(value)
        except ValueError as error:
            if self._is_of_no_weight(value):
                self.left_out[OF_NO_WEIGHT] += 1
                return ()
            raise BadEventError(
                "field",
                f"{error}; there are {names_in(value)}; `format` in the mapping says what the records are, or without "
                "it `item` and its other keys what is what",
            ) from None
        if not records:
            self.left_out[NO_EVENTS] += 1
        return records

    def _is_of_no_weight(self, value: object) -> bool:
        """Tell whether a value names a type that counts for nothing."""
        words = [
            word for row in rows_of(value, self.plan.lists) for path in self.plan.type if (word := _word(row, path))
        ]
        return bool(words) and not any(map(self.counts, words))

    def _events_of(self, record: object, envelope: Envelope, before: int) -> list[Event]:
        """Return the events of one record; `before` are those of the same value that came before."""
        plan = self.plan
        if plan.calls and word_of(value_at(record, plan.calls[0].names)) != plan.calls[1]:
            self.left_out[f"of other kinds than {plan.calls[1]}"] += 1
            return []
        found: list[Event] = []
        for row in rows_of(record, plan.lists):
            for item in self._items(row):
                event = self._event(row, item, envelope, (len(found), before))
                found += [event] if event else []
        return found

    def _event(self, row: Row, item: object, envelope: Envelope, number: tuple[int, int]) -> Event | None:
        """Return the event of an item in a row; None if it is left out."""
        event_type = self._type(row)
        try:
            return self._checked(row, item, event_type, envelope, number)
        except BadEventError:
            if self.counts(event_type):
                raise
            self.left_out[OF_NO_WEIGHT] += 1
            return None

    def _checked(
        self, row: Row, item: object, event_type: str, envelope: Envelope, number: tuple[int, int]
    ) -> Event | None:
        """Return the event of an item, each of its fields within bounds."""
        plan = self.plan
        if (item_id := id_of(item)) is None:
            if plan.without_item is None:
                raise BadEventError("field", missing("item", plan.item, row))
            self.left_out[plan.without_item] += 1
            return None
        if plan.min_value is not None:
            ratings = (number_of(value_at(row[path.home], path.names)) for path in plan.value)
            rating = next((one for one in ratings if one is not None), None)
            if rating is None:
                raise BadEventError("field", missing("value", plan.value, row))
            if rating < plan.min_value:
                self.left_out[LOW] += 1
                return None
        user_id = self._user(row, envelope)
        _check_length("user", user_id, LONGEST_USER_ID)
        _check_length("item", item_id, LONGEST_ITEM_ID)
        _check_length("type", event_type, LONGEST_EVENT_TYPE)
        return Event(user_id, item_id, self._time(row, envelope), event_type, self._event_id(row, envelope, *number))

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
            if word := _word(row, path):
                return word
        for path in self.plan.type:
            _check_readable("type", path, value_at(row[path.home], path.names))
        return USUAL_TYPE

    def _event_id(self, row: Row, envelope: Envelope, number: int, before: int) -> str | None:
        """Return the id of an event: the producer's own, or one of the record's place."""
        values = [value_in(row, path, envelope) for path in self.plan.event_id]
        if envelope.raw_key and envelope.key is None and any(path.is_of_record for path in self.plan.event_id):
            key = excerpt(envelope.raw_key)
            raise BadEventError(
                "key", f"the record's key is {key}, which is no text; `event_id` in the mapping names it"
            )
        for path, value in zip(self.plan.event_id, values, strict=True):
            _check_readable("event_id", path, value)
        return own_id([word_of(value) for value in values], number) or numbered(envelope.record_id, before + number)

    def _user(self, row: Row, envelope: Envelope) -> str:
        """Return the user of a row's event."""
        for path in self.plan.user:
            if (user_id := id_of(value_in(row, path, envelope))) is not None:
                return user_id
        if all(path.is_of_record for path in self.plan.user):
            raise BadEventError(
                "key",
                f"the record's key is {excerpt(envelope.raw_key)}, which is no user's id; `user` in the mapping names "
                f"the user in the value, where there are {names_in(row[()])}",
            )
        raise BadEventError("field", missing("user", self.plan.user, row))

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
        raise BadEventError("time", missing("time", plan.time, row) + hint)


def _word(row: Row, path: Path) -> str | None:
    """Return the text at a path in the value."""
    return word_of(value_at(row[path.home], path.names))


def _check_readable(name: str, path: Path, value: object) -> None:
    """Raise BadEventError if an optional field is there and is no text, such as an object."""
    if value is not None and text_of(value) is None:
        raise BadEventError("field", unreadable(name, path, value))


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
