"""When a record was published: its timestamp, unless one of our headers says that it stands for an earlier one.

Two kinds of records need more than their timestamp. The copies of a forget, one on each partition, are one request
with one time, which a broker that stamps records itself (message.timestamp.type=LogAppendTime) would give each copy
anew. And a redriven dead letter is as old as the record that it came from: who was forgotten in between stays so.
"""

from kafka.consumer.fetcher import ConsumerRecord

__all__ = ["HEADER", "header_of", "published_ms"]

HEADER = "mindstream-published-ms"
AHEAD_MS = 86_400_000  # of a broker's clock; what says more is not believed


def header_of(published_ms: int) -> tuple[str, bytes]:
    """Return the header that says when a record was published (Unix time in milliseconds)."""
    return HEADER, b"%d" % published_ms


def published_ms(record: ConsumerRecord) -> int:
    """Return when a record was published, Unix time in milliseconds.

    A header that is no such time is passed over: the record's own timestamp counts then.
    """
    stamped: int = record.timestamp
    for name, value in record.headers or ():
        if name == HEADER and value and value.isdigit() and len(value) <= 18:
            said = int(value)
            return said if said <= stamped + AHEAD_MS else stamped
    return stamped
