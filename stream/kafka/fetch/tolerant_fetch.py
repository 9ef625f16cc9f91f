"""A consumer that goes on behind what it cannot parse.

kafka-python (3.0.12) raises an error at a record that it cannot parse, at each poll anew, and for good. Here such a
record is an UnreadableRecord among the others, in its place. Only what cannot be passed by any means holds a partition,
and no other one: a codec whose package is missing, and a log in which the broker itself finds its way no more.
"""

import logging
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import CompletedFetch, ConsumerRecord, Fetcher
from kafka.errors import CorruptRecordError, KafkaError, UnknownError

from stream.kafka.fetch.batch_frames import BatchFrames, FrameLostError
from stream.kafka.fetch.codecs import missing_package, name_of
from stream.kafka.fetch.salvage import salvaged_records
from stream.kafka.fetch.unreadable_record import UnreadableRecord, last_offset_of

__all__ = ["HeldError", "TolerantConsumer"]

log = logging.getLogger(__name__)

MOST_BACK = 10_000  # offsets before damage from which a fetch may begin: a fetch brings 1 MiB
ANSWER_MS = 5_000
HELD_S = 5.0  # until a partition that is held is tried again


class HeldError(KafkaError):  # type: ignore[misc]  # kafka-python has no types
    """A partition that cannot be read on; a sentence says why and what to do. Others can."""


class TolerantConsumer(KafkaConsumer):  # type: ignore[misc]
    """A KafkaConsumer that brings an UnreadableRecord in the place of what it cannot parse.

    Attributes
    ----------
    held : partition -> why it is not read now, and when it is tried again (seconds, monotonic).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.held: dict[TopicPartition, tuple[str, float]] = {}
        self.said: dict[TopicPartition, str] = {}  # in the log
        self.around = _ReadAround(self)
        fetcher = self._fetcher
        self._parse = fetcher._parse_fetched_data
        fetcher._parse_fetched_data = self._parse_or_go_around
        fetcher.PartitionRecords = partial(_TolerantRecords, self)

    def poll(self, timeout_ms: int = 0, **options: Any) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Return the next records, see KafkaConsumer.

        Raises
        ------
        HeldError
            If none came, and a partition is held.
        """
        self._try_held_again()
        records: dict[TopicPartition, list[ConsumerRecord]] = super().poll(timeout_ms=timeout_ms, **options)
        if self.held and not records:
            raise HeldError(next(iter(self.held.values()))[0])
        return records

    def hold(self, partition: TopicPartition, offset: int, why: str) -> None:
        """Read a partition no further for some seconds; `why` is a sentence."""
        said = f"{partition.topic}[{partition.partition}]@{offset}: {why}"
        if self.said.get(partition) != said:
            log.error("%s", said)
        self.said[partition] = said
        self.held[partition] = said, time.monotonic() + HELD_S
        self.pause(partition)

    def read_around(self, partition: TopicPartition, why: str) -> None:
        """Fetch the next records of a partition from before its position.

        For where the broker gives nothing.
        """
        if partition not in self.held:
            self._go_around(partition, self.position(partition, timeout_ms=ANSWER_MS), why)

    def _try_held_again(self) -> None:
        """Read on the partitions whose time is over; forget those that are no longer ours."""
        ours, now = self.assignment(), time.monotonic()
        for partition, (_, until) in list(self.held.items()):
            if partition in ours and now >= until:
                self.resume(partition)
            if partition not in ours or now >= until:
                del self.held[partition]

    def _parse_or_go_around(self, completed: CompletedFetch) -> Any:
        """Return the records of a fetch; None if it brought none, or another one has to be made."""
        partition, offset = completed.topic_partition, completed.fetched_offset
        try:
            parsed = self._parse(completed)
        except (CorruptRecordError, UnknownError) as error:  # what the broker answers where it cannot read its log
            self._go_around(partition, offset, type(error).__name__)
            return None
        except KafkaError as error:
            if type(error) is not KafkaError:
                raise
            self._go_around(partition, offset, "it sends no whole batch")  # the client has no error of its own for it
            return None
        if parsed is None or not self._is_stuck(partition, parsed.frames):
            return parsed
        parsed.drain()
        self._go_around(partition, offset, "it sends no batch")
        return None

    def _is_stuck(self, partition: TopicPartition, frames: BatchFrames) -> bool:
        """Tell whether a fetch has brought nothing by which reading could go on."""
        return frames.begins_lost() or (self.around.is_on(partition) and not len(frames.buffer))

    def _go_around(self, partition: TopicPartition, offset: int, why: str) -> None:
        """Fetch from further before damage; hold the partition if that has been tried enough."""
        damaged = self.around.wanted_from(partition, offset)
        if self.around.begin(partition, damaged):
            return
        self.seek(partition, damaged)
        self.hold(
            partition,
            damaged,
            f"the broker cannot read its log here ({why}); stop the updaters, and `mindstream stream offsets skip "
            f"{partition.partition}` goes on behind it",
        )


class _ReadAround:
    """Fetches that begin before a damaged place at which the broker refuses to read.

    It answers CORRUPT_MESSAGE there, or with nothing. From some offsets before it sends the bytes of its log as they
    are, also those behind the damage.
    """

    def __init__(self, consumer: KafkaConsumer) -> None:
        self.consumer = consumer
        self.damage: dict[TopicPartition, tuple[int, int]] = {}  # the offset, and how far before it was fetched last
        self.positions: dict[TopicPartition, Any] = {}  # the very position that was set for it; any seek makes another

    def begin(self, partition: TopicPartition, damaged: int) -> bool:
        """Fetch from before a damaged offset, further than the last time.

        Return False where that is too far.
        """
        at, back = self.damage.get(partition, (damaged, 0))
        begins = self._first_offset(partition)
        back = max(1, 4 * back) if at == damaged else 1
        if back > MOST_BACK or back >= 4 * max(1, damaged - begins):
            self.damage.pop(partition, None)
            return False
        self.damage[partition] = damaged, back
        self.consumer.seek(partition, max(begins, damaged - back))
        self.positions[partition] = self._position(partition)
        return True

    def _first_offset(self, partition: TopicPartition) -> int:
        """Ask the broker where a partition begins."""
        return int(self.consumer.beginning_offsets([partition], timeout_ms=ANSWER_MS)[partition])

    def is_on(self, partition: TopicPartition) -> bool:
        """Tell whether the partition's position was set by `begin`."""
        position = self._position(partition)
        return position is not None and self.positions.get(partition) is position

    def wanted_from(self, partition: TopicPartition, offset: int) -> int:
        """Return the first offset that is wanted of what was fetched from `offset`."""
        return self.damage[partition][0] if self.is_on(partition) else offset

    def _position(self, partition: TopicPartition) -> Any:
        """Return the consumer's own object of a partition's position."""
        state = self.consumer._subscription.assignment.get(partition)
        return state and state.position


class _TolerantRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of one partition in one fetch."""

    def __init__(
        self, consumer: TolerantConsumer, fetch_offset: int, tp: TopicPartition, records: Any, **options: Any
    ) -> None:
        super().__init__(fetch_offset, tp, records, **options)
        self.consumer = consumer
        self.fetch_offset = consumer.around.wanted_from(tp, fetch_offset)  # what lies before is dropped
        self.frames = BatchFrames(records._buffer, looks_behind=consumer.around.is_on(tp))

    def _unpack_records(self, tp: TopicPartition, records: Any, *deserializers: Any) -> Iterator[ConsumerRecord]:
        """Yield the records, with an UnreadableRecord in the place of what cannot be parsed."""
        while self.record_iterator is not None:  # until `drain`
            try:
                yield from super()._unpack_records(tp, self.frames, *deserializers)
            except MemoryError:
                raise
            except FrameLostError:
                self.drain()  # the next fetch begins with it, see TolerantConsumer
            except Exception as error:
                yield from self._passed(tp, error)

    def _passed(self, tp: TopicPartition, error: Exception) -> Iterator[ConsumerRecord]:
        """Yield what is left of a batch at which the client has failed, to go on behind it.

        Where only a package is missing, the partition is held instead.
        """
        batch, at = self.frames.batch, max(int(self.next_fetch_offset), int(self.fetch_offset))
        intact = _is_intact(batch)
        if intact and (package := missing_package(batch.compression_type, batch.magic)):
            self.drain()
            codec = name_of(batch.compression_type)
            self.consumer.hold(tp, at, f"it is compressed with {codec}, and the package {package} is not installed")
            return
        if batch is not None and batch.magic == 2 and batch.is_control_batch:
            self.aborted_producer_ids.discard(batch.producer_id)  # else what it commits later would be dropped
        if not intact:
            self.frames.mend_length()
        first, end = (_offsets_of if intact else self._damaged_offsets)(batch, at)
        for record in self._left(tp, batch, first, end, _sentence(batch, intact, error)):
            self.next_fetch_offset: int = last_offset_of(record) + 1
            yield record
        self.next_fetch_offset = max(at, end)

    def _left(self, tp: TopicPartition, batch: Any, first: int, end: int, why: str) -> Iterator[ConsumerRecord]:
        """Yield the records of these offsets of a batch, as far as they can be had."""
        if batch is not None and batch.magic == 2 and batch._decompressed:
            yield from salvaged_records(tp, batch, first, end - 1)
        elif first < end:
            yield UnreadableRecord.at(tp, first, end - 1, why)

    def _damaged_offsets(self, batch: Any, at: int) -> tuple[int, int]:
        """Return the first offset of a damaged batch that is due, and the one behind it.

        That is where the next batch begins. Where none follows yet, what the header says counts if it agrees with
        itself, for events that come later must not be jumped over.
        """
        follows, highwater = self.frames.next_base(), self.consumer.highwater(self.topic_partition)
        if follows is not None and (batch is None or follows > batch.base_offset):
            return at, follows
        claimed = at + 1
        if batch is not None and batch.magic >= 2 and batch.records_count == batch.last_offset_delta + 1:
            claimed = max(claimed, batch.next_offset)
        return at, max(at + 1, min(claimed, highwater or claimed))


def _is_intact(batch: Any) -> bool:
    """Tell whether a batch is as it was written: its checksum is right."""
    if batch is None or batch.magic not in (0, 1, 2):
        return False
    return bool(batch._decompressed or batch.validate_crc())  # it is checked before anything is decompressed


def _offsets_of(batch: Any, at: int) -> tuple[int, int]:
    """Return the first offset of an intact batch that is due, and the one behind it."""
    if batch.magic == 2:
        return max(at, batch.base_offset), batch.next_offset
    return at, batch.base_offset + 1  # of old formats the last one stands in front


def _sentence(batch: Any, intact: bool, error: Exception) -> str:
    """Say why a batch cannot be read, without anything of its content."""
    if batch is None or batch.magic not in (0, 1, 2):
        return f"the batch is damaged: {error.args[0]}"
    if not intact:
        return "the batch is damaged: its checksum is wrong"
    name = name_of(batch.compression_type)
    if batch.compression_type and name is None:
        return f"the batch is compressed with a codec that Kafka does not know ({batch.compression_type})"
    if name and not batch._decompressed:
        return f"the batch is said to be compressed with {name}, and is not ({type(error).__name__})"
    return f"the batch's records cannot be told apart ({type(error).__name__})"
