"""Look-alikes of what trackers send: GA4, Segment, RudderStack, Snowplow in three forms, CloudEvents."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from testbed.look_alikes.expected import ROWS, Expected, LookAlike, Row, rows, write

__all__ = ["TRACKERS"]

_WITHOUT = "without a product (page views and the like)"
_TITLES = {"titles": {"sku-3": "Lamp 3"}, "categories": {"sku-3": "Lamps"}, "prices": {"sku-3": 13.5}}


def _product(item: int, id: str, name: str = "name", category: str = "category") -> dict[str, Any]:
    return {id: f"sku-{item}", name: f"Lamp {item}", category: "Lamps", "price": 10.5 + item}


def _dumped(events: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(event) for event in events]


# GA4


def _ga4_events() -> list[dict[str, Any]]:
    """Return views of one thing, a purchase of two things, and page views without any."""
    events = [_ga4_event(row, "view_item", [row.item]) for row in rows()]
    events.append(_ga4_event(rows()[-1], "purchase", [1, 3]) | {"user_id": "customer-5"})
    return events + [_ga4_event(row, "page_view", []) for row in rows()[:5]]


def _ga4_event(row: Row, name: str, items: list[int]) -> dict[str, Any]:
    return {
        "event_date": row.time("%Y%m%d"),
        "event_timestamp": str(1_000_000 * row.seconds),  # BigQuery writes INT64 as text
        "event_name": name,
        "event_params": [{"key": "page_title", "value": {"string_value": "x"}}],
        "user_id": None,
        "user_pseudo_id": f"{row.user}.17500",
        "device": {"category": "mobile"},
        "items": [_product(item, "item_id", "item_name", "item_category") for item in items],
    }


def _ga4(folder: Path) -> Expected:
    write(folder / "events_000000000000.json", _dumped(_ga4_events()))
    return _ga4_expected()


def _ga4_expected() -> Expected:
    return Expected(
        events=ROWS + 2,
        types={"view_item": ROWS, "purchase": 2},
        left_out={_WITHOUT: 5},
        **_TITLES,  # type: ignore[arg-type]
    )


def _ga4_parquet(folder: Path) -> Expected:
    """Write two parts, as exports come."""
    events = [event | {"event_timestamp": int(event["event_timestamp"])} for event in _ga4_events()]
    table = pa.Table.from_pylist(events)
    pq.write_table(table.slice(0, 10), folder / "events-000000000000.parquet")
    pq.write_table(table.slice(10), folder / "events-000000000001.parquet")
    return _ga4_expected()


# Segment and RudderStack


def _call(row: Row, event: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Return a track call; user 0 is not logged in."""
    return {
        "anonymousId": f"anon-{row.user}",
        "context": {"library": {"name": "analytics.js"}, "page": {"title": "A page"}},
        "event": event,
        "messageId": f"ajs-{row.seconds}",
        "properties": properties,
        "timestamp": row.time("%Y-%m-%dT%H:%M:%S.123Z"),
        "type": "track",
        **({"userId": f"cust-{row.user}"} if row.user else {}),
    }


def _calls(folder: Path) -> Expected:
    """Write an identify call, views of one thing, an order of two, and calls of nothing."""
    other = {"anonymousId": "anon-1", "messageId": "m", "timestamp": rows()[0].time("%Y-%m-%dT%H:%M:%SZ")}
    calls = [other | {"type": "identify", "traits": {"email": "x@example.com"}, "userId": "cust-1"}]
    calls += [_call(row, "Product Viewed", _product(row.item, "product_id")) for row in rows()]
    order = {"order_id": "o1", "products": [_product(item, "product_id") | {"quantity": 2} for item in (1, 3)]}
    calls.append(_call(rows()[1], "Order Completed", order))
    calls.append(other | {"type": "page", "name": "Home", "properties": {"title": "Home", "url": "http://x"}})
    calls.append(_call(rows()[1], "Newsletter Joined", {"list": "all"}))
    write(folder / "track.jsonl", _dumped(calls))
    return Expected(
        events=ROWS + 2,
        types={"Product Viewed": ROWS, "Order Completed": 2},
        left_out={"of other calls than track (identify, page and the like)": 2, _WITHOUT: 1},
        orders={"anon-0": ["sku-0", "sku-6", "sku-4", "sku-2"]},
        **_TITLES,  # type: ignore[arg-type]
    )


# Snowplow

_SCHEMA = "iglu:com.snowplowanalytics.snowplow.ecommerce"
_PRODUCT = "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1"
_ACTION = "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1"


def _snowplow_event(row: Row, kind: str, items: list[int]) -> dict[str, Any]:
    """Return an event as a warehouse has it."""
    return {
        "app_id": "shop",
        "collector_tstamp": row.time("%Y-%m-%d %H:%M:%S.123"),
        "derived_tstamp": row.time("%Y-%m-%d %H:%M:%S.000"),
        "event": "unstruct" if items else "page_view",
        "event_id": f"c6ef3124-b53a-4b13-a233-0088f79dcb{row.user}{row.item}",
        "domain_userid": f"bc2e92ec6c204a{row.user}",
        "user_id": None,
        "event_name": "snowplow_ecommerce_action" if items else "page_view",
        _PRODUCT: [_product(item, "id") | {"currency": "EUR"} for item in items] or None,
        _ACTION: {"type": kind, "name": None} if items else None,
    }


def _snowplow_events() -> list[dict[str, Any]]:
    events = [_snowplow_event(row, "product_view", [row.item]) for row in rows()]
    events.append(_snowplow_event(rows()[-1], "transaction", [1, 3]))
    return events + [_snowplow_event(row, "", []) for row in rows()[:5]]


def _snowplow_expected() -> Expected:
    types = {"product_view": ROWS, "transaction": 2}
    return Expected(events=ROWS + 2, types=types, left_out={_WITHOUT: 5}, **_TITLES)  # type: ignore[arg-type]


def _snowplow_json(folder: Path) -> Expected:
    write(folder / "events.jsonl", _dumped(_snowplow_events()))
    return _snowplow_expected()


def _snowplow_parquet(folder: Path) -> Expected:
    pq.write_table(pa.Table.from_pylist(_snowplow_events()), folder / "events.parquet")
    return _snowplow_expected()


def _snowplow_tsv(folder: Path) -> Expected:
    """Write enriched events: 131 cells, entities as JSON in two of them."""
    write(folder / "enriched.tsv", ["\t".join(_enriched(event)) for event in _snowplow_events()])
    return _snowplow_expected()


def _enriched(event: dict[str, Any]) -> list[str]:
    cells = [""] * 131
    places = {"app_id": 0, "collector_tstamp": 3, "event": 5, "event_id": 6, "domain_userid": 15}
    for name, place in {**places, "derived_tstamp": 125, "event_name": 127}.items():
        cells[place] = event[name]
    page = {"schema": "iglu:com.snowplowanalytics.snowplow/web_page/jsonschema/1-0-0", "data": {"id": "no product"}}
    entities = [{"schema": f"{_SCHEMA}/product/jsonschema/1-0-0", "data": one} for one in event[_PRODUCT] or []]
    cells[52] = json.dumps({"schema": "iglu:x/contexts/jsonschema/1-0-0", "data": [page, *entities]})
    if event[_ACTION]:
        action = {"schema": f"{_SCHEMA}/snowplow_ecommerce_action/jsonschema/1-0-2", "data": event[_ACTION]}
        cells[58] = json.dumps({"schema": "iglu:x/unstruct_event/jsonschema/1-0-0", "data": action})
    return cells


# CloudEvents


def _cloud(folder: Path) -> Expected:
    events = [
        {
            "specversion": "1.0",
            "id": f"e-{n}",
            "source": "/shop/web",
            "type": "com.example.viewed" if n % 2 else "com.example.bought",
            "time": row.time("%Y-%m-%dT%H:%M:%SZ"),
            "datacontenttype": "application/json",
            "data": {"userId": f"cust-{row.user}", **_product(row.item, "productId", "title")},
        }
        for n, row in enumerate(rows())
    ]
    write(folder / "events.ndjson", _dumped(events))
    return Expected(types={"com.example.viewed": 12, "com.example.bought": 12}, **_TITLES)  # type: ignore[arg-type]


TRACKERS = (
    LookAlike("GA4 as JSON", "ga4", "events_000000000000.json", _ga4),
    LookAlike("GA4 as Parquet", "ga4", "", _ga4_parquet),
    LookAlike("Segment", "track-calls", "track.jsonl", _calls),
    LookAlike("Snowplow as JSON", "snowplow", "events.jsonl", _snowplow_json),
    LookAlike("Snowplow as Parquet", "snowplow", "events.parquet", _snowplow_parquet),
    LookAlike("Snowplow enriched", "snowplow", "enriched.tsv", _snowplow_tsv),
    LookAlike("CloudEvents", "cloudevents", "events.ndjson", _cloud),
)
