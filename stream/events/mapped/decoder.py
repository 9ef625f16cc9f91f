"""The decoder of topics as they are: what is the user, the item and the time, a mapping says."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import ClassVar

import msgspec
from kafka.consumer.fetcher import ConsumerRecord

from mindstream.mapping import Mapping
from mindstream.parsing.trackers import ALIASES
from stream.events.cloud_headers import in_structured_mode
from stream.events.event import (
    MOST_BYTES,
    BadEventError,
    Event,
    Forget,
    check_size,
    decode,
    excerpt,
    user_named_in,
)
from stream.events.mapped.any_shape import AnyShape
from stream.events.mapped.cells import id_of
from stream.events.mapped.first_records import FirstRecords
from stream.events.mapped.keys import Envelope, key_in, user_in_key
from stream.events.mapped.one_shape import one_shape
from stream.events.mapped.paths import Path, object_in
from stream.events.mapped.plan import Plan, plan_of
from stream.events.mapped.presets import preset_plan
from stream.events.value_reader import JsonReader, SnowplowReader, ValueReader

__all__ = ["MappedDecoder"]

_OWN_NAMES = {"user_id", "item_id", "event_time_ms"}


class MappedDecoder:
    """A decoder of records in the shape that a mapping says.

    Events in our own form, as `stream produce` and `stream replay` send them, are taken as well.

    Parameters
    ----------
    source : the mapping's file, for messages.
    reader : of values; None: of JSON.
    counts : tells whether events of a type change anything; what does not need not be readable.
    most_bytes : of a value.

    Attributes
    ----------
    left_out : reason -> events, or records without one, that are left out.

    Raises
    ------
    ValueError
        If the mapping says what cannot be done with a topic, or too little; names the file and the key.
    """

    needs_record_ids: ClassVar[bool] = True

    def __init__(
        self,
        mapping: Mapping,
        source: str = "the mapping",
        reader: ValueReader | None = None,
        counts: Callable[[str], bool] = lambda _: True,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        try:
            preset = preset_plan(mapping.format)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from None
        self.plan = plan_of(mapping, preset, source)
        self.format, self.source, self.most_bytes = mapping.format, source, most_bytes
        self.left_out: Counter[str] = Counter()
        self.any_shape = AnyShape(self.plan, counts, Counter())
        self.one_shape = one_shape(self.plan) if reader is None else None
        self.first_records: FirstRecords | None = FirstRecords(source, _optional(mapping, self.plan))
        self.reader = reader or JsonReader()
        tracker = ALIASES.get(mapping.format, mapping.format)
        self.reads_headers = tracker == "cloudevents"
        if tracker == "snowplow":
            self.reader = SnowplowReader(self.reader)

    def whole(self, record: ConsumerRecord) -> ConsumerRecord:
        """Return a record whose value holds the whole event, see `in_structured_mode`."""
        return in_structured_mode(record) if self.reads_headers else record

    def decode(
        self, value: bytes | None, key: bytes | None, published_ms: int, record_id: str | None = None
    ) -> Sequence[Event | Forget]:
        """Return a record's events; without a value it is a request to forget a user.

        Parameters
        ----------
        record_id : what events without an id of their own are known by.

        Raises
        ------
        BadEventError
            If it is none; says what was looked for, what was there, and what to set.
        """
        if value is None:
            return [Forget(user_in_key(key, self.plan.user, self.reader), max(0, published_ms))]
        if not 0 < len(value) <= self.most_bytes:
            check_size(value, self.most_bytes)
        # Until the first records have told what they have, they are read the slow way, which can be asked.
        if (
            self.first_records is None
            and self.one_shape is not None
            and (found := self.one_shape(value, published_ms, record_id)) is not None
        ):
            return found
        return self._of_any_shape(value, key, published_ms, record_id)

    def described(self) -> list[str]:
        """Return what is taken for what, and what else should be known, in sentences."""
        form = "" if self.format == "auto" else f"format: {self.format}; "
        return [
            f"events are read by {self.source}: {form}{self.plan.described()}",
            *(f"{self.source}: {one}" for one in self.plan.notes),
        ]

    def users_in(self, value: bytes | None, key: bytes | None) -> set[str]:
        """Return the users whom a record names, whatever else is wrong with it."""
        found = user_named_in(value)
        with suppress(BadEventError):
            found.add(user_in_key(key, self.plan.user, self.reader))
        try:
            given = object_in(self.reader.read(value or b""))
        except BadEventError:
            return found
        return found | self.any_shape.users_in(given)

    def _of_any_shape(
        self, value: bytes, key: bytes | None, published_ms: int, record_id: str | None
    ) -> Sequence[Event | Forget]:
        """Return the events of a record that is not of the one usual shape."""
        given = object_in(self.reader.read(value))
        left_out, error = self.any_shape.left_out, None
        left_out.clear()
        envelope = Envelope(key_in(key, self.reader), published_ms, record_id, key)
        try:
            found = self.any_shape.events(given, envelope)
        except BadEventError as raised:
            found, error = [], raised
        # A tracker's format leaves out what is no event of the tracker's, and so are events in our own form.
        own = None if found else self._in_our_form(given, value, key, published_ms)
        if isinstance(own, Event):
            return [own if own.event_id else msgspec.structs.replace(own, event_id=record_id)]
        self.left_out.update(left_out)
        if error is not None:
            why_not = f"; nor is it in our own form, whose names it has: {own}" if own else ""
            said = f"{error} ({self.source}){why_not}; the value is {excerpt(value)}"
            raise BadEventError(error.reason, said) from None
        if self.first_records is not None:
            self._look_at_first(self.first_records, given, envelope, bool(found))
        return found

    def _look_at_first(self, first: FirstRecords, given: object, envelope: Envelope, gave_events: bool) -> None:
        """Note what one of the first records has, until nothing is left to be noticed."""
        first.note(given, lambda name: self.any_shape.has(name, given, envelope), gave_events, self.left_out)
        if first.is_over:
            self.first_records = None

    def _in_our_form(self, given: object, value: bytes, key: bytes | None, published_ms: int) -> Event | str | None:
        """Return the event of a record in our own form, or why it is none.

        Of a record with other names it is None.
        """
        if not isinstance(given, dict) or not given.keys() >= _OWN_NAMES:
            return None
        try:
            own = decode(value, key, published_ms, self.most_bytes)
        except BadEventError as error:
            return error.plain
        assert isinstance(own, Event)  # for there is a value
        return own if id_of(own.user_id) else f"user_id is {own.user_id!r}, which is no id"


def _optional(mapping: Mapping, plan: Plan) -> dict[str, Sequence[Path]]:
    """Return the names of the fields that a mapping names and a record may lack."""
    named = ("type", "event_id", *(["value"] if mapping.min_value is not None else []))
    return {name: getattr(plan, name) for name in named if getattr(mapping, name)}
