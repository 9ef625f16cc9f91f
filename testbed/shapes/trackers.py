"""Shapes of the trackers' formats."""

import base64
import json
from dataclasses import replace
from typing import Any

from mindstream.parsing.trackers import SNOWPLOW_FIELDS
from testbed.shapes.shape import ISO, NOON, Shape, click, timed

__all__ = ["TRACKERS"]

ECOMMERCE = "iglu:com.snowplowanalytics.snowplow.ecommerce/product/jsonschema/1-0-0"
TRACK = {
    "type": "track",
    "event": "Product Viewed",
    "userId": "ann",
    "anonymousId": "a-1",
    "messageId": "m-1",
    "timestamp": "2026-01-31T12:00:00.000Z",
    "context": {"library": {"name": "analytics.js"}},
    "properties": {"product_id": "mug", "price": 18.9},
}
VIEWED: dict[str, Any] = {"event_type": "Product Viewed", "event_id": "m-1"}
CLOUD = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "viewed", "time": ISO}
GA4 = {"event_name": "view_item", "event_timestamp": NOON * 1000, "user_pseudo_id": "1.2", "user_id": None}
SNOW = {"event_id": "e-1", "domain_userid": "ann", "collector_tstamp": "2026-01-31 12:00:00.000", "event": "unstruct"}
ENRICHED = dict.fromkeys(SNOWPLOW_FIELDS, "") | SNOW | {"event": "struct", "se_action": "add", "se_property": "mug"}

_FORMATS = {
    "segment": Shape({"format": "segment"}, TRACK, (click(**VIEWED),)),
    "rudderstack, a list of products": Shape(
        {"format": "rudderstack"},
        TRACK | {"properties": {"products": [{"product_id": "a"}, {"sku": "b"}]}},
        (click(item="a", **VIEWED), click(item="b", event_type="Product Viewed", event_id="m-1#1")),
    ),
    "segment, nobody known": Shape({"format": "track-calls"}, TRACK | {"userId": None}, (click("a-1", **VIEWED),)),
    "segment, identify": Shape(
        {"format": "segment"}, TRACK | {"type": "identify"}, left_out="of other kinds than track"
    ),
    "segment, no product": Shape({"format": "segment"}, TRACK | {"properties": {}}, left_out="without a product"),
    "segment, another user": Shape(
        {"format": "segment", "user": "context.uid"}, TRACK | {"context": {"uid": 3}}, (click("3", **VIEWED),)
    ),
    "cloudevents": Shape(
        {"format": "cloudevents"},
        CLOUD | {"data": {"userId": 42, "productId": "mug"}},
        (click("42", event_type="viewed", event_id="/shop/7"),),
    ),
    "cloudevents, a list": Shape(
        {"format": "cloudevents"},
        CLOUD | {"data": {"customer_id": "ann", "items": [{"sku": "a"}, {"id": "b"}]}},
        (
            click(item="a", event_type="viewed", event_id="/shop/7"),
            click(item="b", event_type="viewed", event_id="/shop/7#1"),
        ),
    ),
    "ga4": Shape(
        {"format": "ga4"},
        GA4 | {"items": [{"item_id": "a"}, {"item_id": "(not set)"}, {"item_id": "b"}]},
        (click("1.2", "a", event_type="view_item"), click("1.2", "b", event_type="view_item")),
        left_out="without a product",
    ),
    "ga4 with items": Shape(
        {"format": "ga4"}, GA4 | {"items": [{"item_id": "a"}]}, (click("1.2", "a", event_type="view_item"),)
    ),
    "ga4, no items": Shape({"format": "ga4"}, GA4 | {"items": []}, left_out="without a product"),
    "snowplow, columns of a warehouse": Shape(
        {"format": "snowplow"},
        SNOW
        | {
            "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1": [{"id": "mug"}],
            "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1": {"type": "add"},
        },
        (click(event_type="add", event_id="e-1"),),
    ),
    "snowplow, contexts": Shape(
        {"format": "snowplow"},
        SNOW | {"contexts": {"data": [{"schema": "iglu:x/page/1"}, {"schema": ECOMMERCE, "data": {"id": "mug"}}]}},
        (click(event_type="unstruct", event_id="e-1"),),
    ),
    "snowplow, enriched TSV": Shape(
        {"format": "snowplow"}, "\t".join(ENRICHED.values()).encode(), (click(event_type="add", event_id="e-1"),)
    ),
}

_DATA = {"userId": "ann", "productId": "mug"}
_BASE64 = base64.b64encode(json.dumps(_DATA).encode()).decode()
_SEEN: dict[str, Any] = {"event_type": "viewed"}

# Values that hold several events of a format, or hide one.
_WRAPPED = {
    "cloudevents, data in base64": Shape(
        {"format": "cloudevents"}, CLOUD | {"data_base64": _BASE64}, (click(event_id="/shop/7", **_SEEN),)
    ),
    "cloudevents, a batch": Shape(
        {"format": "cloudevents"},
        [CLOUD | {"data": _DATA}, CLOUD | {"id": "8", "data": {"userId": 5, "items": [{"sku": "a"}, {"sku": "b"}]}}],
        (
            click(event_id="/shop/7", **_SEEN),
            click("5", "a", event_id="/shop/8", **_SEEN),
            click("5", "b", event_id="/shop/8#1", **_SEEN),
        ),
    ),
    "cloudevents, an empty batch": Shape({"format": "cloudevents"}, [], left_out="empty lists of events"),
    "segment, a request with two calls": Shape(
        {"format": "segment"},
        {
            "batch": [
                {"type": "track", "event": "Cart", "userId": "ann", "messageId": "m-1", "properties": {"sku": "a"}},
                {"type": "track", "event": "Cart", "userId": "ben", "messageId": "m-2", "properties": {"sku": "b"}},
            ],
            "messageId": "request",
            "sentAt": ISO,
        },
        (
            click("ann", "a", event_type="Cart", event_id="m-1"),
            click("ben", "b", event_type="Cart", event_id="m-2"),
        ),
    ),
}

# Records that are of no such format: each one dead letter, not left out.
_OTHERS = {
    **{
        f"{name}, a record of another kind": Shape(
            {"format": name}, timed(NOON), reason="field", says=(says, "there are uid, product, ts", "`format`")
        )
        for name, says in {
            "segment": "looked for type",
            "cloudevents": "looked for specversion",
            "ga4": "looked for event_name",
            "snowplow": "looked for event, event_id",
        }.items()
    },
    "ga4 with items, no name": Shape(
        {"format": "ga4"},
        GA4 | {"event_name": None, "items": [{"item_id": "a"}]},
        reason="field",
        says=("no event of GA4's export",),
    ),
    "ga4, no name, the type elsewhere": Shape(
        {"format": "ga4", "type": "kind"},
        {"kind": "view", "event_timestamp": NOON * 1000, "user_pseudo_id": "1.2", "items": [{"item_id": "a"}]},
        reason="field",
        says=("looked for event_name",),
    ),
    "cloudevents, a batch with one that is none": Shape(
        {"format": "cloudevents"},
        [CLOUD | {"data": _DATA}, timed(NOON)],
        reason="field",
        says=("[1] is no CloudEvent", "`format`"),
    ),
    "cloudevents, base64 of no JSON": Shape(
        {"format": "cloudevents"}, CLOUD | {"data_base64": "AAAA"}, reason="field", says=("data_base64", "'AAAA'")
    ),
    "cloudevents, of no weight and not readable": Shape(
        {"format": "cloudevents"},
        CLOUD | {"type": "scroll", "data_base64": "AAAA"},
        left_out="counts for nothing",
    ),
    "segment, a request with what is no call": Shape(
        {"format": "segment"}, {"batch": [TRACK, {"event": "x"}]}, reason="field", says=("batch[1] is no call",)
    ),
}

_KEYS = {
    "the user": b"ann",
    "a quoted one": b'"ann"',
    "a number": b"7",
    "an object": b'{"id": 7}',
    "bytes": b"\x00\xff",
}
_ONE_EACH = ("segment", "cloudevents", "ga4 with items", "snowplow, enriched TSV")

TRACKERS = (
    _FORMATS
    | _WRAPPED
    | _OTHERS
    | {  # whatever the key is, the user is the one in the value
        f"{name}, key: {what}": replace(_FORMATS[name], key=key) for name in _ONE_EACH for what, key in _KEYS.items()
    }
)
