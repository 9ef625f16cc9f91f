"""When a record was published: its timestamp, or what our header says of it."""

import pytest
from kafka.consumer.fetcher import ConsumerRecord

from stream.events.published import HEADER, header_of, published_ms

DAY_MS = 86_400_000
NOW_MS = 1_720_000_000_000


def record(*headers: tuple[str, bytes | None]) -> ConsumerRecord:
    return ConsumerRecord(**dict.fromkeys(ConsumerRecord._fields) | {"timestamp": NOW_MS, "headers": headers})


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], NOW_MS),
        ([("traceparent", b"00-1"), header_of(5)], 5),
        ([header_of(NOW_MS + DAY_MS)], NOW_MS + DAY_MS),
        ([header_of(NOW_MS + DAY_MS + 1)], NOW_MS),  # nobody's clock is so far ahead
        *([[(HEADER, value)], NOW_MS] for value in (None, b"", b"-5", b"5.0", b"9" * 30, "٣".encode())),
    ],
)
def test_when_a_record_was_published(headers: list[tuple[str, bytes | None]], expected: int) -> None:
    assert published_ms(record(*headers)) == expected
