"""Events in the shape of a shop that has published them before: nested, with times as text and without keys."""

from datetime import UTC, datetime

import msgspec

from mindstream.mapping import Mapping
from stream.events.event import Event

__all__ = ["SHOP", "in_shop_shape"]

SHOP = Mapping(user="userId", item="properties.product_id", time="timestamp", type="event")


def in_shop_shape(event: Event) -> tuple[bytes | None, bytes]:
    """Return the key and value of the record by which a shop says an event."""
    at = datetime.fromtimestamp(event.event_time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return None, msgspec.json.encode(
        {
            "userId": event.user_id,
            "event": event.event_type,
            "timestamp": at.replace("+00:00", "Z"),
            "properties": {"product_id": event.item_id},
        }
    )
