"""How far readers are: what the broker says of partitions and groups, and what an open transaction holds back."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import OffsetSpec

__all__ = ["HELD_S", "OpenTransactions", "Progress", "Standing", "ask_progress", "ask_standings", "partition_names"]

log = logging.getLogger(__name__)

HELD_S = 30.0  # an open transaction of so long is said; most last milliseconds


@dataclass(frozen=True)
class Progress:
    """The offsets of a partition that tell how far its reader is.

    Attributes
    ----------
    position : of the next event to read.
    stable : the last stable offset: what lies at or after it is not given out before a transaction ends.
    high : the high watermark, the offset of the next record to come; never before `stable`.
    """

    position: int
    stable: int
    high: int

    @property
    def lag(self) -> int:
        """Return the number of records that wait, those behind an open transaction too."""
        return max(0, self.high - self.position)

    @property
    def readable(self) -> int:
        """Return the number of records that wait and could be read now."""
        return max(0, self.stable - self.position)

    @property
    def held(self) -> int:
        """Return the number of records that wait for nothing but a transaction's end."""
        return 0 if self.readable else self.lag


def ask_progress(
    consumer: KafkaConsumer, admin: KafkaAdminClient | None, partitions: Collection[TopicPartition], within_ms: int
) -> dict[TopicPartition, Progress]:
    """Ask the broker how far a consumer is in its partitions.

    Parameters
    ----------
    consumer : one that reads what is committed; its end of a partition is the last stable offset.
    admin : asked for the high watermark; None where the broker knows no transactions.

    Raises
    ------
    KafkaError
        If the broker does not answer in time.
    """
    ends = _ask_ends(consumer, admin, partitions, within_ms)
    return {one: Progress(consumer.position(one, timeout_ms=within_ms) or 0, *ends[one]) for one in partitions}


def _ask_ends(
    consumer: KafkaConsumer, admin: KafkaAdminClient | None, partitions: Collection[TopicPartition], within_ms: int
) -> dict[TopicPartition, tuple[int, int]]:
    """Ask for the last stable offset and the high watermark of each partition, see `Progress`."""
    # In this order: what comes between the questions is then in `stables`, and not taken for held back.
    highs = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST)) if admin and partitions else {}
    stables = consumer.end_offsets(partitions, timeout_ms=within_ms)
    return {one: (stable, max(stable, highs[one].offset if one in highs else 0)) for one, stable in stables.items()}


@dataclass(frozen=True)
class Standing:
    """Offsets of one partition, by which a group stands on it.

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


def ask_standings(
    consumer: KafkaConsumer, admin: KafkaAdminClient | None, topic: str, within_ms: int
) -> dict[TopicPartition, Standing]:
    """Ask where a consumer's group stands on a topic; none if there is no such topic.

    Parameters
    ----------
    admin : asked for the high watermark, which is the end then; None: the end is the last stable offset.

    Raises
    ------
    KafkaError
        If the broker does not answer in time.
    """
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    firsts = consumer.beginning_offsets(partitions, timeout_ms=within_ms)
    ends = _ask_ends(consumer, admin, partitions, within_ms)
    return {
        one: Standing(consumer.committed(one, timeout_ms=within_ms), firsts[one], ends[one][1]) for one in partitions
    }


class OpenTransactions:
    """A memory of which partitions stand before an open transaction, and since when."""

    def __init__(self) -> None:
        self.since: dict[TopicPartition, tuple[int, float]] = {}  # where it begins, and when it was first seen
        self.held: dict[TopicPartition, int] = {}
        self.told: set[TopicPartition] = set()
        self.now = 0.0

    def look(self, progress: Mapping[TopicPartition, Progress], now: float) -> None:
        """Take note of the progress at `now` (seconds).

        Log a transaction that is open for long, and its end.
        """
        self.now, before = now, self.since
        self.held = {partition: one.held for partition, one in progress.items() if one.held}
        self.since = {
            partition: before[partition]
            if partition in before and before[partition][0] == progress[partition].stable
            else (progress[partition].stable, now)
            for partition in self.held
        }
        long = {partition for partition, (_, since) in self.since.items() if now - since >= HELD_S}
        for partition in sorted(long - self.told):
            log.warning("%s; a producer keeps it open, or was lost with it", self._sentence(partition))
        for partition in sorted(self.told - long):
            log.info("%s waits behind no open transaction any more", partition_names([partition]))
        self.told = long

    @property
    def note(self) -> str | None:
        """Return what waits behind open transactions, as a sentence; None where nothing does."""
        return "; ".join(self._sentence(partition) for partition in sorted(self.held)) or None

    def _sentence(self, partition: TopicPartition) -> str:
        """Say what waits in a partition, and since when."""
        offset, since = self.since[partition]
        return (
            f"{partition_names([partition])} is behind an open transaction: {self.held[partition]} records wait, "
            f"those from offset {offset} on for {self.now - since:.0f} s"
        )


def partition_names(partitions: Collection[TopicPartition]) -> str:
    """Write partitions as topic[partition], ... for people."""
    return ", ".join(f"{topic}[{number}]" for topic, number in sorted(partitions)) or "nothing"
