"""Partitioners: which partition a key belongs to, as the clients of several languages count it.

A user's events must stay on one partition, so all who produce them have to agree. None of these is Kafka's rule: Java
and kafka-python take murmur2, librdkafka (C, C++, Python, Go, .NET, Node) CRC32 unless told otherwise, Sarama FNV-1a.
"""

import zlib
from collections.abc import Callable
from typing import Any

from kafka.partitioner import DefaultPartitioner, Partitioner

__all__ = ["partitioner_of"]


def partitioner_of(name: str) -> Partitioner:
    """Make the partitioner that goes by a name of `Settings.partitioner`."""
    return _HashPartitioner(_HASHES[name]) if name in _HASHES else DefaultPartitioner()


class _HashPartitioner(DefaultPartitioner):  # type: ignore[misc]  # kafka-python has no types
    """A partitioner of keys by a hash; a record without a key goes anywhere."""

    def __init__(self, hash_of: Callable[[bytes], int]) -> None:
        super().__init__()
        self.hash_of = hash_of

    def partition(
        self,
        topic: str,
        key: Any,
        serialized_key: bytes | None,
        value: Any,
        serialized_value: bytes | None,
        cluster: Any,
    ) -> int:
        """Return the partition of a record, see `kafka.partitioner.Partitioner`."""
        if not serialized_key:
            return int(super().partition(topic, key, None, value, serialized_value, cluster))
        partitions = sorted(cluster.partitions_for_topic(topic))
        return int(partitions[self.hash_of(serialized_key) % len(partitions)])


def _fnv1a(key: bytes) -> int:
    """Return the 32-bit FNV-1a of a key, taken as a signed number and made positive."""
    found = 0x811C9DC5
    for byte in key:
        found = (found ^ byte) * 0x01000193 & 0xFFFFFFFF
    return found if found < 1 << 31 else (1 << 32) - found


_HASHES: dict[str, Callable[[bytes], int]] = {
    "crc32": zlib.crc32,  # librdkafka's `consistent` and `consistent_random`
    "fnv1a": _fnv1a,  # Sarama's `HashPartitioner`, and librdkafka's `fnv1a` and `fnv1a_random`
}
