"""Where a group stands on a topic, and setting that anew while nobody of the group is at work."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from kafka import TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError, NoError
from kafka.structs import OffsetAndMetadata

from mindstream.settings import Settings
from stream.kafka.cluster import Cluster
from stream.kafka.topics import check_topic

__all__ = ["GroupOffsets", "Standing"]

ANSWER_MS = 10_000


@dataclass(frozen=True)
class Standing:
    """Offsets of one partition.

    Attributes
    ----------
    committed : of the next record to read; None where nothing was read yet.
    first : of the first record that there is.
    end : behind the last one.
    """

    committed: int | None
    first: int
    end: int

    @property
    def next(self) -> int:
        """Return the offset at which reading goes on.

        What is gone from the broker is not waited for.
        """
        return self.first if self.committed is None else max(self.committed, self.first)

    @property
    def lag(self) -> int:
        """Return how many offsets are still to be read."""
        return max(0, self.end - self.next)


class GroupOffsets:
    """The offsets of the updaters' group on the topic of behaviour events.

    Raises
    ------
    OSError
        If the broker does not answer, here or in any method, or there is no such topic.
    """

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        check_topic(cluster, settings.topic)
        self.topic, self.group = settings.topic, settings.group
        self.admin = cluster.admin()
        self.is_embedded = cluster.life is not None  # which knows no transactions
        self.consumer = cluster.consumer(settings.group)  # never subscribes, so it is no member

    def standings(self) -> dict[int, Standing]:
        """Return partition -> where the group stands."""
        try:
            ours = [TopicPartition(self.topic, one) for one in sorted(self.consumer.partitions_for_topic(self.topic))]
            first = self.consumer.beginning_offsets(ours, timeout_ms=ANSWER_MS)
            ends = self.consumer.end_offsets(ours, timeout_ms=ANSWER_MS)
            if not self.is_embedded:  # what lies behind an open transaction waits too
                highs = self.admin.list_partition_offsets(dict.fromkeys(ours, OffsetSpec.LATEST))
                ends = {one: max(end, highs[one].offset) for one, end in ends.items()}
            done = {one: self.consumer.committed(one, timeout_ms=ANSWER_MS) for one in ours}
        except KafkaError as error:
            raise OSError(f"the broker does not say where group {self.group} stands: {error}") from error
        return {one.partition: Standing(done[one], first[one], ends[one]) for one in ours}

    def offset_at(self, partition: int, time_ms: int) -> int | None:
        """Return the offset of the first record of that time or later; None if there is none."""
        one = TopicPartition(self.topic, partition)
        try:
            found = self.consumer.offsets_for_times({one: time_ms}, timeout_ms=ANSWER_MS)[one]
        except KafkaError as error:
            raise OSError(f"the broker does not find a time on {self.topic}[{partition}]: {error}") from error
        return None if found is None else int(found.offset)

    def members(self) -> list[str]:
        """Name who is at work for the group: client, host, and the instance where it has a name."""
        try:
            found = self.admin.describe_groups([self.group])[self.group]["members"]
        except KafkaError as error:
            raise OSError(f"the broker does not say who is in group {self.group}: {error}") from error
        return [
            f"{one.get('group_instance_id') or one['client_id']} at {one['client_host'].lstrip('/')}" for one in found
        ]

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Let the group go on at other offsets.

        Raises
        ------
        OSError
            Also if somebody of the group is at work: what is committed here would be overwritten.
        """
        wanted = {TopicPartition(self.topic, one): OffsetAndMetadata(at, "", -1) for one, at in offsets.items()}
        try:
            results = self.admin.alter_group_offsets(self.group, wanted)
        except KafkaError as error:
            raise OSError(f"the offsets of group {self.group} cannot be set: {error}") from error
        refused = {one: error for one, error in results.items() if error is not NoError}
        if refused:
            said = ", ".join(f"{one.topic}[{one.partition}]: {error.__name__}" for one, error in refused.items())
            raise OSError(f"offsets of group {self.group} were not set ({said}); is one of its updaters at work again?")

    def close(self) -> None:
        """Close the connections."""
        self.consumer.close(autocommit=False)
        self.admin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
