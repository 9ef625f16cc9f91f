"""Decoders of records: events in our own form, or in the shape that a mapping says."""

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, Protocol

from kafka.consumer.fetcher import ConsumerRecord

from mindstream.mapping import AS_IT_IS, Mapping, load_mapping
from mindstream.settings import Settings
from stream.events.event import MOST_BYTES, Event, Forget, decode, user_named_in
from stream.events.mapped.decoder import MappedDecoder
from stream.events.registry.open_registry import open_registry

__all__ = ["RecordDecoder", "StrictDecoder", "decoder_of"]


class RecordDecoder(Protocol):
    """A decoder of records.

    Attributes
    ----------
    needs_record_ids : whether records of one user may lie on several partitions, so that events need an id.
    reads_headers : whether headers may hold a part of an event, which `whole` puts into the value.
    left_out : reason -> events, or records without one, that were left out so far.
    """

    left_out: Counter[str]

    @property
    def needs_record_ids(self) -> bool:
        """Tell whether events need ids by which their replays are known."""
        ...

    @property
    def reads_headers(self) -> bool:
        """Tell whether headers may hold a part of an event."""
        ...

    def whole(self, record: ConsumerRecord) -> ConsumerRecord:
        """Return a record whose value holds the whole event."""
        ...

    def decode(
        self, value: bytes | None, key: bytes | None, published_ms: int, record_id: str | None = None
    ) -> Sequence[Event | Forget]:
        """Return a record's events, or its request to forget a user; none if all are left out.

        Parameters
        ----------
        published_ms : when Kafka got the record; negative where the record does not say it.
        record_id : what events without an id of their own are known by.

        Raises
        ------
        BadEventError
            If the record is none; says what is wrong and what would be right.
        """
        ...

    def described(self) -> list[str]:
        """Return what is taken for what, in sentences."""
        ...

    def users_in(self, value: bytes | None, key: bytes | None) -> set[str]:
        """Return the users whom a record names, whatever else is wrong with it."""
        ...


class StrictDecoder:
    """A decoder of events in our own form, keyed by their user."""

    needs_record_ids: ClassVar[bool] = False
    reads_headers: ClassVar[bool] = False

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self.left_out: Counter[str] = Counter()

    def whole(self, record: ConsumerRecord) -> ConsumerRecord:
        """Return the record as it is: its value holds the event."""
        return record

    def decode(
        self, value: bytes | None, key: bytes | None, published_ms: int, record_id: str | None = None
    ) -> Sequence[Event | Forget]:
        """Return the one event of a record, see `event.decode`; its id stays as it is."""
        return (decode(value, key, published_ms, self.most_bytes),)

    def described(self) -> list[str]:
        """Return nothing: there is one form, and docs/stream.md shows it."""
        return []

    def users_in(self, value: bytes | None, key: bytes | None) -> set[str]:
        """Return the user whom a value names in our own form."""
        return user_named_in(value)


def decoder_of(settings: Settings) -> RecordDecoder:
    """Return the decoder of the topic: by MINDSTREAM_MAPPING if set, or of our own form.

    With MINDSTREAM_SCHEMA_REGISTRY and no mapping, fields are found by their usual names.

    Raises
    ------
    ValueError
        If the mapping cannot be read, or says what cannot be done with a topic; names the file and the key. If the
        registry is none, or a package is missing that reads by it.
    """
    reader = open_registry(settings)
    if settings.mapping is None and reader is None:
        return StrictDecoder(settings.event_bytes)
    mapping = _mapping_of(settings)
    source = "the usual names" if settings.mapping is None else str(settings.mapping)
    return MappedDecoder(mapping, source, reader, settings.rule.counts, settings.event_bytes)


def _mapping_of(settings: Settings) -> Mapping:
    """Read the mapping of the settings; an error names the variable."""
    if settings.mapping is None:
        return AS_IT_IS
    try:
        return load_mapping(settings.mapping)
    except ValueError as error:
        raise ValueError(f"MINDSTREAM_MAPPING: {error}") from error
