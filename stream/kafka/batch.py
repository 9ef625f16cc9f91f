"""The records of one poll, which are applied, written and committed together."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import OffsetAndMetadata

from stream.kafka.fetch.unreadable_record import last_offset_of

__all__ = ["RecordBatch"]


@dataclass(frozen=True)
class RecordBatch:
    """Records of one topic; those of one partition are in order."""

    records: Sequence[ConsumerRecord] = ()

    def starts(self) -> dict[TopicPartition, int]:
        """Return the offset of each partition's first record."""
        firsts = {record.partition: record for record in reversed(self.records)}
        return {_partition_of(record): record.offset for record in firsts.values()}

    def ends(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """Return what to commit once all is done: each partition's next offset."""
        lasts = {record.partition: record for record in self.records}
        return {
            _partition_of(one): OffsetAndMetadata(last_offset_of(one) + 1, "", one.leader_epoch)
            for one in lasts.values()
        }

    def without(self, partitions: Collection[TopicPartition]) -> "RecordBatch":
        """Return the batch without partitions that somebody else reads now."""
        return RecordBatch([record for record in self.records if _partition_of(record) not in partitions])


def _partition_of(record: ConsumerRecord) -> TopicPartition:
    """Return the partition of a record."""
    return TopicPartition(record.topic, record.partition)
