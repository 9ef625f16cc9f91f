"""Where a partition is begun of which the group has committed nothing: at the beginning, or at a time."""

import logging
from collections.abc import Collection
from datetime import UTC, datetime

from kafka import KafkaConsumer, TopicPartition

__all__ = ["BEGINNING", "parse_start", "seek_to_start"]

log = logging.getLogger(__name__)

BEGINNING = "beginning"


def parse_start(text: str | None) -> int | None:
    """Return the Unix time in milliseconds at which to begin.

    0 is the beginning; None: nothing is said.

    Raises
    ------
    ValueError
        If it is neither "beginning" nor a time with its zone, or is still to come.
    """
    if text in (None, BEGINNING):
        return None if text is None else 0
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise ValueError(
            f'--start-at is {text!r}; right is "{BEGINNING}", or a time with its zone such as 2026-01-31T12:00:00Z'
        )
    if when > datetime.now(UTC):
        raise ValueError(f"--start-at is {text!r}, which is still to come; nothing that the topic has would be read")
    return round(when.timestamp() * 1000)


def seek_to_start(
    consumer: KafkaConsumer, partitions: Collection[TopicPartition], start_ms: int, within_ms: int
) -> None:
    """Move a consumer to the first record of a time or later.

    A partition that has none is read from its end.

    Parameters
    ----------
    start_ms : Unix time in milliseconds; 0: the beginning.

    Raises
    ------
    KafkaError
        If the broker does not answer in time.
    """
    if not start_ms:
        consumer.seek_to_beginning(*partitions)
        return
    begins = consumer.beginning_offsets(partitions, timeout_ms=within_ms)
    ends = consumer.end_offsets(partitions, timeout_ms=within_ms)
    found = consumer.offsets_for_times(dict.fromkeys(partitions, start_ms), timeout_ms=within_ms)
    for one in partitions:
        at = found[one].offset if found.get(one) else ends[one]
        log.warning("%s[%d] begins at offset %d as told; %d offsets before it are not read", *one, at, at - begins[one])
        consumer.seek(one, at)
