"""The dead letters that lie on their topic now, read without a group and without committing anything."""

import time
from collections.abc import Iterator
from typing import Self

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from stream.dead_letters.letter import Letter, read_record
from stream.kafka.cluster import Cluster

__all__ = ["DeadLetterTopic"]

POLL_MS = 500
ANSWER_MS = 10_000


class DeadLetterTopic:
    """The dead letters on a topic as of now, one partition after the other.

    Attributes
    ----------
    bounds : partition -> first offset, and the one after the last; empty where there is no such topic.

    Raises
    ------
    OSError
        If the broker does not answer; also while it is iterated.
    """

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self.topic = topic
        self.consumer = cluster.consumer(None)
        try:
            self.bounds = self._ask_bounds()
        except KafkaError as error:
            self.close()
            raise OSError(f"the broker does not say what lies on {topic}: {error}") from error

    def _ask_bounds(self) -> dict[TopicPartition, tuple[int, int]]:
        """Ask the broker for the first and the next offset of each partition."""
        partitions = sorted(TopicPartition(self.topic, n) for n in self.consumer.partitions_for_topic(self.topic))
        if not partitions:
            return {}
        begins = self.consumer.beginning_offsets(partitions, timeout_ms=ANSWER_MS)
        ends = self.consumer.end_offsets(partitions, timeout_ms=ANSWER_MS)
        return {one: (begins[one], ends[one]) for one in partitions}

    def __len__(self) -> int:
        return sum(end - begin for begin, end in self.bounds.values())

    def __iter__(self) -> Iterator[Letter]:
        for partition, (begin, end) in self.bounds.items():
            for record in self.records(partition, begin, end):
                yield read_record(record)

    def records(self, partition: TopicPartition, begin: int, end: int) -> Iterator[ConsumerRecord]:
        """Yield the records of one partition before `end`."""
        self.consumer.assign([partition])
        self.consumer.seek(partition, begin)
        heard = time.monotonic()
        while self.position(partition) < end:  # some offsets hold no record, so records cannot be counted
            polled = self.poll()
            if polled:
                yield from (record for record in polled if record.offset < end)
                heard = time.monotonic()
            elif time.monotonic() - heard > ANSWER_MS / 1000:
                raise OSError(f"{self.topic} cannot be read: nothing came for {ANSWER_MS // 1000} s; is the broker up?")

    def position(self, partition: TopicPartition) -> int:
        """Return the offset of the next record that is read."""
        return int(self.consumer.position(partition, timeout_ms=ANSWER_MS) or 0)

    def poll(self) -> list[ConsumerRecord]:
        """Return the next records, some of one or several partitions."""
        try:
            polled = self.consumer.poll(timeout_ms=POLL_MS)
        except KafkaError as error:
            raise OSError(f"{self.topic} cannot be read: {error}") from error
        return [record for records in polled.values() for record in records]

    def close(self) -> None:
        """Close the connection."""
        self.consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
