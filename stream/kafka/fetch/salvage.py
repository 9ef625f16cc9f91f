"""What can be had of the records of one batch after the client has failed at one of them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.record.util import decode_varint

from stream.kafka.fetch.unreadable_record import UnreadableRecord

__all__ = ["salvaged_records"]

NO_PARSE = (ValueError, IndexError)


class _Fields(NamedTuple):
    """The fields of a record, and why it is none if it is not."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    error: str = ""


def salvaged_records(partition: TopicPartition, batch: Any, first: int, last: int) -> Iterator[ConsumerRecord]:
    """Yield the records that are left of a batch, in order.

    Records that cannot be parsed are an UnreadableRecord, with key and value where these can be had.

    Parameters
    ----------
    batch : DefaultRecordBatch, its content decompressed and its checksum right, at the record that failed.
    first, last : offsets that are left.
    """
    content, at, missing = bytes(batch._buffer), batch._pos, batch.records_count - batch._next_record_index
    while first <= last and at < len(content):
        try:
            length, begins = decode_varint(content, at)
        except NO_PARSE:
            break
        at = begins + length
        if length < 0 or at > len(content):
            break
        record = _record_of(partition, batch, content[begins:at], first, last)
        yield record
        first, missing = record.offset + 1, missing - 1
    if first <= last and (missing > 0 or at < len(content)):  # else compaction has removed the last ones
        yield UnreadableRecord.at(
            partition, first, last, "the batch is damaged: its records are not where they should be"
        )


def _record_of(partition: TopicPartition, batch: Any, content: bytes, first: int, last: int) -> ConsumerRecord:
    """Return the record in these bytes, whose offset is `first` or later."""
    try:
        fields = _parsed(batch, content)
    except NO_PARSE:
        return UnreadableRecord.at(partition, first, first, "the record is damaged: its fields cannot be told apart")
    known = fields._asdict()
    why = known.pop("error")
    if not first <= fields.offset <= last:
        why = f"it says that its offset is {fields.offset}, where {first} to {last} are left"
        known["offset"] = first
    known |= {"timestamp_type": batch.timestamp_type, "leader_epoch": batch.leader_epoch}
    record = UnreadableRecord.at(partition, first, known["offset"], why, **known)
    return record if why else ConsumerRecord(*record)


def _parsed(batch: Any, content: bytes) -> _Fields:
    """Take a record's fields apart.

    Raises
    ------
    ValueError, IndexError
        If they are no fields.
    """
    _, at = decode_varint(content, 0)  # attributes, of which there are none
    later_ms, at = decode_varint(content, at)
    delta, at = decode_varint(content, at)
    key, at = _bytes_at(content, at)
    value, at = _bytes_at(content, at)
    timestamp = batch.max_timestamp if batch.timestamp_type else batch.first_timestamp + later_ms
    try:
        headers = list(_headers_at(content, at))
        wrong = [name for name, _ in headers if _is_no_text(name)]
        error = f"the name of a header is not UTF-8: {wrong[0]!r}" if wrong else ""
    except NO_PARSE:
        headers, error = [], "its headers cannot be told apart"
    named = [((name or b"").decode(errors="backslashreplace"), content) for name, content in headers]
    return _Fields(batch.base_offset + delta, timestamp, key, value, named, error)


def _bytes_at(content: bytes, at: int) -> tuple[bytes | None, int]:
    """Return the bytes that begin with their length here, and where they end.

    They are None if the length is negative.
    """
    length, at = decode_varint(content, at)
    if length < 0:
        return None, at
    if at + length > len(content):
        raise IndexError(f"{length} bytes of {len(content) - at}")
    return content[at : at + length], at + length


def _headers_at(content: bytes, at: int) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Yield the name and the value of each header.

    The last one must end where the record does.
    """
    count, at = decode_varint(content, at)
    for _ in range(count):
        name, at = _bytes_at(content, at)
        value, at = _bytes_at(content, at)
        yield name, value
    if count < 0 or at != len(content):
        raise ValueError(f"{count} headers, and {len(content) - at} bytes behind them")


def _is_no_text(name: bytes | None) -> bool:
    """Tell whether a header's name is missing, or bytes that are not UTF-8."""
    try:
        (name or b"").decode()
    except UnicodeDecodeError:
        return True
    return name is None
