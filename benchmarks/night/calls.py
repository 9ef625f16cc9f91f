"""Events as a shop's website tells them by Segment: calls of track with one product or many, and calls of page."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from benchmarks.night.days import DAY_MS
from model_export.data.interactions import InteractionLog
from stream.events.event import Event
from stream.events.replay import events_of

__all__ = ["MAPPING", "Call", "Told", "calls_of", "records_of", "told_by", "told_in"]

MAPPING = 'format = "segment"\n'
ORDER = "Order Completed"
NAMES = {
    **dict.fromkeys(("click", "view", "pv"), "Product Viewed"),
    **dict.fromkeys(("cart", "add"), "Product Added"),
    **dict.fromkeys(("buy", "purchase", "order"), ORDER),
}
PAGE_EVERY = 10  # calls of track, there is one of page, which has no product

Told = tuple[str, str, str, int]  # user_id, item_id, event_type, event_time_ms


@dataclass(frozen=True)
class Call:
    """A call of track.

    Attributes
    ----------
    event : its name.
    time_ms : Unix time in milliseconds.
    item_ids : the products; more than one in an order alone.
    """

    user_id: str
    event: str
    time_ms: int
    item_ids: tuple[str, ...]


def calls_of(log: InteractionLog) -> list[Call]:
    """Return a log as calls, in time order.

    What a user buys on one day (UTC) is one order, at the time of its last event.
    """
    calls, orders = [], dict[tuple[str, int], list[Event]]()
    for event in events_of(log):
        name = NAMES.get(event.event_type, event.event_type)
        if name == ORDER:
            orders.setdefault((event.user_id, event.event_time_ms // DAY_MS), []).append(event)
        else:
            calls.append(Call(event.user_id, name, event.event_time_ms, (event.item_id,)))
    for (user_id, _), bought in orders.items():
        calls.append(Call(user_id, ORDER, bought[-1].event_time_ms, tuple(one.item_id for one in bought)))
    return sorted(calls, key=lambda call: call.time_ms)


def records_of(calls: Sequence[Call]) -> Iterable[bytes]:
    """Yield the values of the records; now and then one of a call of page."""
    for number, call in enumerate(calls):
        products = [{"product_id": item_id, "quantity": 1} for item_id in call.item_ids]
        properties = {"order_id": str(number), "products": products} if call.event == ORDER else products[0]
        yield _record(f"track-{number}", call, {"type": "track", "event": call.event, "properties": properties})
        if number % PAGE_EVERY == 0:
            yield _record(f"page-{number}", call, {"type": "page", "properties": {"url": "https://shop.example/"}})


def _record(message_id: str, call: Call, rest: dict[str, Any]) -> bytes:
    """Return a call as Segment sends it."""
    at = datetime.fromtimestamp(call.time_ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    common = {"messageId": message_id, "userId": call.user_id, "timestamp": at, "version": 2, "context": {"ip": "::1"}}
    return msgspec.json.encode({**common, **rest})


def told_by(calls: Iterable[Call]) -> Counter[Told]:
    """Count the events that calls tell."""
    return Counter((call.user_id, item_id, call.event, call.time_ms) for call in calls for item_id in call.item_ids)


def told_in(log: InteractionLog) -> Counter[Told]:
    """Count the events of a log."""
    names = ("user_id", "item_id", "event_type", "event_time_ms")
    return Counter(zip(*(log.events[name].tolist() for name in names), strict=True))
