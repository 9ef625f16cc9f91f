"""The record batches in the bytes of a fetch, one after the other, also past places that are damaged.

Every batch begins with its first offset (8 bytes) and the length of the rest (4 bytes), which no checksum covers.
"""

import struct
from collections.abc import Iterator
from typing import Any

from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.legacy_records import LegacyRecord, LegacyRecordBatch
from kafka.record.memory_records import MemoryRecords

__all__ = ["BatchFrames", "FrameLostError"]

OVERHEAD: int = MemoryRecords.LOG_OVERHEAD
MAGIC: int = MemoryRecords.MAGIC_OFFSET
SHORTEST_OLD, SHORTEST = MemoryRecords.MIN_SLICE, DefaultRecordBatch.HEADER_STRUCT.size
NO_TIMESTAMP = -1


class FrameLostError(CorruptRecordError):  # type: ignore[misc]  # kafka-python has no types
    """Bytes in which no batch begins, and no later one that is whole."""


class BatchFrames:
    """An iterator over batches that `Fetcher.PartitionRecords` takes for `MemoryRecords`.

    Attributes
    ----------
    batch : the one that `next_batch` has come to; None where its header cannot be read either.
    """

    def __init__(self, buffer: Any, looks_behind: bool = False) -> None:
        """Begin with the first batch.

        Parameters
        ----------
        looks_behind : whether to look for a whole batch behind the last one that is cut. That is usual and means
            nothing, unless a fetch brought nothing before.
        """
        self.buffer, self.looks_behind = memoryview(buffer), looks_behind
        self.batch: Any = None
        self.start = self.next_start = 0  # where this batch and the next one begin

    def begins_lost(self) -> bool:
        """Tell whether no batch can be told from the beginning on."""
        try:
            self.next_batch()
        except FrameLostError:
            return True
        except CorruptRecordError:
            return False
        finally:
            self.start = self.next_start = 0
        return False

    def next_batch(self) -> Any:
        """Return the next batch, None at the end.

        Raises
        ------
        CorruptRecordError
            If it is none. The next call goes on behind it.
        FrameLostError
            If no other follows, so that it cannot be said what is damaged.
        """
        self.start, self.batch = self.next_start, None
        rest = len(self.buffer) - self.start
        if rest < OVERHEAD:
            return None
        size = self._size_at(self.start)
        if size > rest and not self.looks_behind:
            return None
        if not SHORTEST_OLD <= size <= rest:
            self._skip_lost()
            raise CorruptRecordError(f"a batch says that it has {size:,} bytes")
        self.next_start = self.start + size
        return self._parsed(self.buffer[self.start : self.next_start])

    def next_base(self) -> int | None:
        """Return the first offset of the batch behind this one, also where that is cut.

        None if that is not told: old formats do not say it.
        """
        if len(self.buffer) - self.next_start <= MAGIC or self.buffer[self.next_start + MAGIC] != 2:
            return None
        return int(struct.unpack_from(">q", self.buffer, self.next_start)[0])

    def mend_length(self) -> None:
        """Go on with the next whole batch where none begins behind a damaged one.

        What is damaged then is its length.
        """
        if self.next_start < len(self.buffer) and not self._is_whole(self.next_start):
            self.next_start = self._whole_from(self.start + 1) or self.next_start

    def _parsed(self, frame: memoryview) -> Any:
        """Return the batch in these bytes."""
        magic = int(struct.unpack_from(">b", frame, MAGIC)[0])
        if magic in (0, 1):
            self.batch = _OldBatch(frame, magic)
            return self.batch
        if len(frame) < SHORTEST:
            self._skip_lost()
            raise CorruptRecordError(f"a batch of {len(frame)} bytes, fewer than its header has")
        self.batch = DefaultRecordBatch(frame)
        if magic != 2:
            raise CorruptRecordError(f"a batch of the unknown format {magic}")
        return self.batch

    def _skip_lost(self) -> None:
        """Go on where the next whole batch begins."""
        found = self._whole_from(self.start + 1)
        self.next_start = len(self.buffer) if found is None else found
        if found is None:
            raise FrameLostError("bytes that are no batch")

    def _whole_from(self, start: int) -> int | None:
        """Return where the first whole batch of today's format begins, from `start` on.

        None if there is none.
        """
        content = bytes(self.buffer)
        at = content.find(b"\x02", start + MAGIC)
        while at != -1:
            if self._is_whole(at - MAGIC):
                return at - MAGIC
            at = content.find(b"\x02", at + 1)
        return None

    def _is_whole(self, start: int) -> bool:
        """Tell whether a batch begins here, with all its bytes and the right checksum."""
        if len(self.buffer) - start < SHORTEST_OLD:
            return False
        magic, size = self.buffer[start + MAGIC], self._size_at(start)
        frame = self.buffer[start : max(start, start + size)]
        if magic not in (0, 1, 2) or not (SHORTEST if magic == 2 else SHORTEST_OLD) <= size == len(frame):
            return False
        return bool((DefaultRecordBatch(frame) if magic == 2 else LegacyRecordBatch(frame, magic)).validate_crc())

    def _size_at(self, start: int) -> int:
        """Return the bytes of the batch that begins here, as its length says.

        Damaged, it may be negative.
        """
        return OVERHEAD + int(struct.unpack_from(">i", self.buffer, start + 8)[0])


class _OldBatch(LegacyRecordBatch):  # type: ignore[misc]
    """A batch of format 0 or 1; records of format 0 have no timestamp, which other clients give as -1."""

    def __iter__(self) -> Iterator[LegacyRecord]:
        for record in super().__iter__():
            if record._timestamp is None:
                record._timestamp = NO_TIMESTAMP
            yield record
