"""What every reader of the topic has to get past: records that are no events, and what no client can parse."""

import itertools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kafka.record.util import calc_crc32c

__all__ = ["BAD_RECORDS", "DAMAGES", "GOOD", "BadRecord", "NotText", "damage_batch"]

GOOD = b'{"user_id":"anna","item_id":"mug","event_time_ms":1720000000000}'


@dataclass(frozen=True)
class BadRecord:
    """A record's value and key, the reason to give, and what the message has to name."""

    value: bytes | None
    reason: str
    names: tuple[str, ...]
    key: bytes | None = b"anna"


BAD_RECORDS = {
    "no value and no key": BadRecord(None, "key", ("no value", "missing"), key=None),
    "no value and no user": BadRecord(None, "key", ("no value", r"\xff"), key=b"\xff"),
    "empty": BadRecord(b"", "empty", ("is empty",)),
    "too large": BadRecord(GOOD + b" " * 100_000, "size", ("100,064 bytes", "at most 100,000", "anna")),
    "not JSON": BadRecord(b"anna clicked mug", "json", ("anna clicked mug", "byte 0")),
    "cut off": BadRecord(GOOD[:30], "json", ('{"user_id":"anna","item_id":"m', "truncated")),
    "two events": BadRecord(GOOD + GOOD, "json", ("trailing", "1720000000000")),
    "not UTF-8": BadRecord(GOOD.replace(b"anna", b"\xe9va"), "json", (r"\xe9va", "utf-8")),
    "half a surrogate pair": BadRecord(GOOD.replace(b"mug", rb"\ud800"), "json", ("surrogate", r"\ud800")),
    "nested too deep": BadRecord(GOOD[:-1] + b',"x":' + b"[" * 90_000, "json", ("nested too deep", "anna")),
    "behind a registry": BadRecord(
        b"\0\0\0\0\7\x08anna\x06mug", "schema", ("(schema 7)", "MINDSTREAM_SCHEMA_REGISTRY", r"\x08anna\x06mug")
    ),
    "Apicurio's own prefix": BadRecord(
        bytes(8) + b"\7\x08anna\x06mug", "schema", ("eight-byte id 7", "as-confluent", r"\x08anna")
    ),
    "AWS Glue's prefix": BadRecord(b"\3\0" + b"\xab" * 16 + b"\x08anna", "schema", ("AWS Glue", "abab", r"\x08anna")),
    "a whole Avro file": BadRecord(b"Obj\1\x04\x16avro.schema", "schema", ("Avro file", "avro.schema")),
    "a list": BadRecord(b'["anna","mug"]', "field", ("Expected `object`, got `array`", '["anna","mug"]')),
    "wrong type": BadRecord(GOOD.replace(b'"mug"', b"7"), "field", ("$.item_id", "got `int`", '"item_id":7')),
    "missing field": BadRecord(GOOD.replace(b"item_id", b"item"), "field", ("missing", "`item_id`", '"item":"mug"')),
    "seconds": BadRecord(GOOD[:-4] + b"}", "field", ("$.event_time_ms", ">= 100000000000", "1720000000}")),
    "microseconds": BadRecord(
        GOOD[:-1] + b"000}", "field", ("$.event_time_ms", "<= 4102444800000", "1720000000000000")
    ),
    "the future": BadRecord(GOOD.replace(b"172", b"402"), "time", ("4020000000000", "more than a day after")),
    "text for a time": BadRecord(GOOD[:-14] + b'"now"}', "field", ("$.event_time_ms", "got `str`", '"now"')),
    "empty user_id": BadRecord(GOOD.replace(b"anna", b""), "field", ("$.user_id", "length >= 1", '"user_id":""')),
    "too long user_id": BadRecord(GOOD.replace(b"anna", b"a" * 128), "field", ("$.user_id", "<= 127", "aaaa")),
    "wrong profile": BadRecord(GOOD[:-1] + b',"profile":{"age":30}}', "field", ("$.profile", '"age":30')),
    "wrong key": BadRecord(GOOD, "key", ("'ben'", "'anna'"), key=b"ben"),
    "no key": BadRecord(GOOD, "key", ("missing", "'anna'"), key=None),
}

LENGTH, MAGIC, CRC, ATTRIBUTES, LAST_DELTA, COUNT = 8, 16, 17, 21, 23, 57  # where they stand in a batch
OVERHEAD = 12


class NotText(str):
    """A name of a header that kafka-python writes as these bytes, which are not UTF-8."""

    def encode(self, *_: object) -> bytes:
        """Return the bytes."""
        return b"name-\xff"


def _flip(batch: bytearray) -> None:
    """Change a byte of the content."""
    batch[-3] ^= 0xFF


def _set(batch: bytearray, at: int, form: str, value: int, checked: bool = True) -> None:
    """Change a field; with the right checksum again, as if it had been written so."""
    struct.pack_into(form, batch, at, value)
    if checked:
        struct.pack_into(">I", batch, CRC, calc_crc32c(memoryview(batch)[ATTRIBUTES:]))


def _claim(batch: bytearray, records: int) -> None:
    """Let a batch say that it has so many records, in both places."""
    _set(batch, LAST_DELTA, ">i", records - 1, checked=False)
    _set(batch, COUNT, ">i", records, checked=False)


DAMAGES: dict[str, Callable[[bytearray], None]] = {
    "checksum": _flip,
    "unknown format": lambda batch: _set(batch, MAGIC, ">b", 9, checked=False),
    "old format": lambda batch: _set(batch, MAGIC, ">b", 1, checked=False),
    "unknown codec": lambda batch: _set(batch, ATTRIBUTES, ">h", 7),
    "wrong codec": lambda batch: _set(batch, ATTRIBUTES, ">h", 4),
    "length too small": lambda batch: _set(batch, LENGTH, ">i", 3, checked=False),
    "length cut": lambda batch: _set(batch, LENGTH, ">i", len(batch) - OVERHEAD - 7, checked=False),
    "length grown": lambda batch: _set(batch, LENGTH, ">i", len(batch) - OVERHEAD + 7, checked=False),
    "length negative": lambda batch: _set(batch, LENGTH, ">i", -100, checked=False),
    "length too large": lambda batch: _set(batch, LENGTH, ">i", 2**30, checked=False),
    "last offset": lambda batch: _set(batch, LAST_DELTA, ">i", 1_000, checked=False),
    "too few records": lambda batch: _set(batch, COUNT, ">i", 1),
    "too many records": lambda batch: _set(batch, COUNT, ">i", 1_000),
    "claims": lambda batch: _claim(batch, 1_000),
    "zeros": lambda batch: batch.__setitem__(slice(None), bytes(len(batch))),
}


def damage_batch(data: Path, topic: str, partition: int, number: int, how: str) -> None:
    """Damage one batch of a running broker's log, on its disk.

    Parameters
    ----------
    data : the broker's folder.
    number : of the batch in the partition, from 0.
    how : of DAMAGES.
    """
    log = data / f"{topic}-{partition}" / f"{0:020}.log"
    content = bytearray(log.read_bytes())
    start, end = next(itertools.islice(_frames(content), number, None))
    batch = content[start:end]
    DAMAGES[how](batch)
    with log.open("r+b") as stream:  # in its place: the broker has the file open
        stream.seek(start)
        stream.write(batch)


def _frames(content: bytearray) -> Iterator[tuple[int, int]]:
    """Yield where each batch of a log begins and ends."""
    start = 0
    while start + OVERHEAD <= len(content):
        end = start + OVERHEAD + struct.unpack_from(">i", content, start + LENGTH)[0]
        yield start, end
        start = end
