"""What a Kafka client cannot parse, on a real broker: damaged batches of its log, and names that are no text."""

import itertools
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from kafka.record.util import calc_crc32c

__all__ = ["DAMAGES", "NotText", "damage_batch"]

LENGTH, MAGIC, CRC, ATTRIBUTES, LAST_DELTA, COUNT = 8, 16, 17, 21, 23, 57  # where they stand in a batch
OVERHEAD = 12


class NotText(str):
    """A name of a header that kafka-python writes as these bytes, which are not UTF-8."""

    def encode(self, *_: object) -> bytes:
        return b"name-\xff"


def _flip(batch: bytearray) -> None:
    """Change a byte of the content."""
    batch[-3] ^= 0xFF


def _set(batch: bytearray, at: int, form: str, value: int, checked: bool = True) -> None:
    """Change a field; with the right checksum again, as if it had been written so."""
    struct.pack_into(form, batch, at, value)
    if checked:
        struct.pack_into(">I", batch, CRC, calc_crc32c(memoryview(batch)[ATTRIBUTES:]))


DAMAGES: dict[str, Callable[[bytearray], None]] = {
    "checksum": _flip,
    "unknown format": lambda batch: _set(batch, MAGIC, ">b", 9, checked=False),
    "old format": lambda batch: _set(batch, MAGIC, ">b", 1, checked=False),
    "unknown codec": lambda batch: _set(batch, ATTRIBUTES, ">h", 7),
    "wrong codec": lambda batch: _set(batch, ATTRIBUTES, ">h", 4),
    "length too small": lambda batch: _set(batch, LENGTH, ">i", 3, checked=False),
    "length negative": lambda batch: _set(batch, LENGTH, ">i", -100, checked=False),
    "length too large": lambda batch: _set(batch, LENGTH, ">i", 2**30, checked=False),
    "last offset": lambda batch: _set(batch, LAST_DELTA, ">i", 1_000, checked=False),
    "too few records": lambda batch: _set(batch, COUNT, ">i", 1),
    "too many records": lambda batch: _set(batch, COUNT, ">i", 1_000),
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
