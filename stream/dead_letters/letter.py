"""A dead letter as it lies on its topic, and as a line of JSON that people can mend.

Where it came from and what was wrong stand in its headers. Key and value are text in the line where they are UTF-8;
other bytes stand in key_base64 and value_base64 instead, so that every letter comes back from its line as it was.
"""

from dataclasses import dataclass

import msgspec
from kafka.consumer.fetcher import ConsumerRecord
from msgspec import UNSET, UnsetType

from mindstream.printable import json_line
from stream.events.event import NO_JSON, excerpt
from stream.kafka.fetch.unreadable_record import UnreadableRecord

__all__ = ["Letter", "from_line", "read_record", "to_line"]


@dataclass(frozen=True)
class Letter:
    """A dead letter, as it lies on its topic.

    Attributes
    ----------
    place : "topic[partition]@offset" of the letter.
    source : the same of the record that was no event; empty where the headers do not say it.
    reason, error : one word, and a sentence.
    published_ms : when Kafka got the letter.
    record_id : what events without an id of their own are known by; "" if the headers do not say it.
    source_ms : when the record was published that was no event; None where the headers do not say it.
    truncated : bytes of the whole record, where the letter holds its beginning only.
    """

    place: str
    source: str
    reason: str
    error: str
    published_ms: int
    key: bytes | None
    value: bytes | None
    truncated: int | None = None
    source_ms: int | None = None
    record_id: str = ""

    @property
    def record(self) -> tuple[str, int | None]:
        """Return what tells the record from all others: its place and time.

        A record that is read again, from offsets of before or after a crash, leaves another letter, a copy. One at the
        same place of a topic that was made again is another record. A letter that does not say its source is its own.
        """
        return (self.source, self.source_ms) if self.source else (self.place, None)

    @property
    def counts_from_ms(self) -> int:
        """Return when the letter's event was published first, as far as that is known.

        By that time it is judged.
        """
        return self.published_ms if self.source_ms is None else self.source_ms


class _Line(msgspec.Struct):
    """A Letter in JSON, with either a field or its _base64 form."""

    letter: str
    source: str
    published_ms: int
    source_ms: int | UnsetType = UNSET
    record_id: str = ""
    reason: str = ""
    error: str = ""
    truncated: int | UnsetType = UNSET
    key: str | UnsetType | None = UNSET
    key_base64: bytes | UnsetType = UNSET
    value: str | UnsetType | None = UNSET
    value_base64: bytes | UnsetType = UNSET


_decoder = msgspec.json.Decoder(_Line)


def read_record(record: ConsumerRecord) -> Letter:
    """Read the letter in a record of a dead letter topic; any record is one."""
    if isinstance(record, UnreadableRecord):
        error = f"the letter itself cannot be read: {record.error}"
        return Letter(
            f"{record.topic}[{record.partition}]@{record.offset}",
            *("", "record", error, record.timestamp, record.key, record.value),
        )
    headers = {name: (value or b"").decode(errors="backslashreplace") for name, value in record.headers}
    source = ""
    if {"source-topic", "source-partition", "source-offset"} <= set(headers):
        source = f"{headers['source-topic']}[{headers['source-partition']}]@{headers['source-offset']}"
    return Letter(
        f"{record.topic}[{record.partition}]@{record.offset}",
        source,
        headers.get("reason", ""),
        headers.get("error", ""),
        record.timestamp,
        record.key,
        record.value,
        _number_in(headers, "truncated"),
        _number_in(headers, "source-published-ms"),
        headers.get("record-id", ""),
    )


def _number_in(headers: dict[str, str], name: str) -> int | None:
    """Return the number that a header holds, None where it holds none."""
    said = headers.get(name, "")
    return int(said) if said.isdecimal() else None


def to_line(letter: Letter, copy_of: str | None = None) -> str:
    """Write a letter as one line of JSON.

    Parameters
    ----------
    copy_of : the place of the first letter of the same record, where this is not the first.
    """
    line: dict[str, object] = {"letter": letter.place, "source": letter.source, "published_ms": letter.published_ms}
    if letter.source_ms is not None:
        line["source_ms"] = letter.source_ms
    if letter.record_id:
        line["record_id"] = letter.record_id
    line |= {"reason": letter.reason, "error": letter.error}
    if letter.truncated is not None:
        line["truncated"] = letter.truncated
    if copy_of is not None:
        line["copy_of"] = copy_of
    return json_line(line | _field("key", letter.key) | _field("value", letter.value))


def _field(name: str, content: bytes | None) -> dict[str, object]:
    """Return a key or a value under the name that says how it is written."""
    try:
        return {name: None if content is None else content.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": msgspec.to_builtins(content)}


def from_line(line: bytes) -> Letter:
    """Read a letter from a line that `to_line` made and people may have mended.

    Raises
    ------
    ValueError
        Names what is missing or wrong.
    """
    try:
        read = _decoder.decode(line)
    except NO_JSON as error:
        raise ValueError(f"{error}; the line is {excerpt(line)}") from None
    return Letter(
        read.letter,
        read.source,
        read.reason,
        read.error,
        read.published_ms,
        _content_of("key", read.key, read.key_base64),
        _content_of("value", read.value, read.value_base64),
        None if read.truncated is UNSET else read.truncated,
        None if read.source_ms is UNSET else read.source_ms,
        read.record_id,
    )


def _content_of(name: str, text: str | UnsetType | None, raw: bytes | UnsetType) -> bytes | None:
    """Return the bytes in the one of `_field`'s two forms that is there."""
    if isinstance(raw, UnsetType) == isinstance(text, UnsetType):
        raise ValueError(f"the line has both or none of {name} and {name}_base64; it must have one of them")
    if isinstance(raw, bytes):
        return raw
    return text.encode() if isinstance(text, str) else None
