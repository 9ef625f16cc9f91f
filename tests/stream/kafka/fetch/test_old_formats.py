"""Message formats 0 and 1, which no broker of today writes: their bytes, as a fetch would bring them."""

from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.record.legacy_records import LegacyRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords

from stream.kafka.fetch.tolerant_fetch import _TolerantRecords
from stream.kafka.fetch.unreadable_record import UnreadableRecord, last_offset_of

PARTITION = TopicPartition("events", 0)
TIME_MS = 1_720_000_000_000


def message(magic: int, offset: int, key: bytes | None, value: bytes | None) -> bytearray:
    builder = LegacyRecordBatchBuilder(magic, 0, 10_000)
    builder.append(offset, TIME_MS + offset, key, value)
    return bytearray(builder.build())


def read(content: bytes) -> list[ConsumerRecord]:
    around = SimpleNamespace(wanted_from=lambda _, offset: offset, is_on=lambda _: False)
    consumer: Any = SimpleNamespace(around=around, highwater=lambda _: 100)
    records = _TolerantRecords(consumer, 0, PARTITION, MemoryRecords(content))
    return list(records.take())


@pytest.mark.parametrize("magic", [0, 1])
def test_messages_are_read_in_order_with_what_may_be_missing(magic: int) -> None:
    content = message(magic, 0, b"ann", b"one") + message(magic, 1, None, b"two") + message(magic, 2, b"ann", None)
    found = read(bytes(content))
    assert [(one.offset, one.key, one.value) for one in found] == [
        (0, b"ann", b"one"),
        (1, None, b"two"),
        (2, b"ann", None),
    ]
    assert not any(isinstance(one, UnreadableRecord) for one in found)
    times = {one.timestamp for one in found}
    assert times == ({TIME_MS, TIME_MS + 1, TIME_MS + 2} if magic == 1 else {-1})


@pytest.mark.parametrize("magic", [0, 1])
def test_a_damaged_message_is_one_unreadable_record_and_the_next_is_read(magic: int) -> None:
    damaged = message(magic, 1, b"ann", b"two")
    damaged[-1] ^= 0xFF
    found = read(bytes(message(magic, 0, b"ann", b"one") + damaged + message(magic, 2, b"ann", b"three")))
    assert [(one.offset, isinstance(one, UnreadableRecord)) for one in found] == [(0, False), (1, True), (2, False)]
    assert last_offset_of(found[1]) == 1
    assert found[2].value == b"three"
