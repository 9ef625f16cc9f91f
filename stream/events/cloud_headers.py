"""CloudEvents in binary mode: what the structured mode has around the data stands in the record's headers.

Source: CloudEvents 1.0.2, Kafka protocol binding, section 3.2.
"""

import msgspec
from kafka.consumer.fetcher import ConsumerRecord

from stream.events.event import NO_JSON

__all__ = ["in_structured_mode"]

_BEFORE = "ce_"
_VERSION = "ce_specversion"


def in_structured_mode(record: ConsumerRecord) -> ConsumerRecord:
    """Return a CloudEvent of binary mode with the whole event as its value.

    Any other record stays as it is, and so does one whose data is no JSON.
    """
    headers = {name: content.decode(errors="replace") for name, content in record.headers or () if content}
    if not record.value or _VERSION not in headers:
        return record
    event: dict[str, object] = {
        name.removeprefix(_BEFORE): content for name, content in headers.items() if name.startswith(_BEFORE)
    }
    try:
        event["data"] = msgspec.json.decode(record.value, type=msgspec.Raw)
    except NO_JSON:
        return record
    return record._replace(value=msgspec.json.encode(event))
