"""Records of the trackers' formats: which are of a format, and which hold several events."""

import re
from base64 import b64decode
from typing import Any

import msgspec

from mindstream.parsing.trackers import SNOWPLOW_PRODUCT_SCHEMA, SNOWPLOW_PRODUCTS
from stream.events.event import NO_JSON
from stream.events.mapped.cells import shown, word_of
from stream.events.mapped.paths import object_in, value_at

__all__ = ["calls_in", "cloud_events_in", "ga4_events_in", "snowplow_events_in"]

_OF_ONE_CALL = ("batch", "type", "messageId")  # what a request with several calls does not say for each of them


def calls_in(value: object) -> list[object]:
    """Return the calls in a value: itself, or those of a request with several.

    Raises
    ------
    ValueError
        If one of them is no call of Segment's or RudderStack's.
    """
    if not isinstance(value, dict) or word_of(value.get("type")) == "track":
        return [_call(value, "the value")]
    batch = object_in(value.get("batch"))
    if not isinstance(batch, list):
        return [_call(value, "the value")]
    around = {name: one for name, one in value.items() if name not in _OF_ONE_CALL}
    return [{**around, **_call(object_in(one), f"batch[{number}]")} for number, one in enumerate(batch)]


def _call(value: object, place: str) -> dict[str, Any]:
    """Return a value if it is a call."""
    if not isinstance(value, dict) or word_of(value.get("type")) is None:
        raise ValueError(f"{place} is no call of Segment or RudderStack: looked for type, such as track, or batch")
    return value


def cloud_events_in(value: object) -> list[object]:
    """Return the CloudEvents in a value: one, or those of a list, with their data as objects.

    Raises
    ------
    ValueError
        If one of them is none, or its data cannot be read.
    """
    if isinstance(value, list):
        return [_cloud_event(object_in(one), f"[{number}]") for number, one in enumerate(value)]
    return [_cloud_event(value, "the value")]


def _cloud_event(value: object, place: str) -> dict[str, Any]:
    """Return a CloudEvent with its data, which may be written in base64."""
    known = {name for name, one in value.items() if one is not None} if isinstance(value, dict) else set()
    if not isinstance(value, dict) or not ("specversion" in known or known >= {"id", "source", "type"}):
        raise ValueError(f"{place} is no CloudEvent: looked for specversion, or for id, source and type")
    if "data" in known or "data_base64" not in known:
        return value
    try:
        return {**value, "data": msgspec.json.decode(b64decode(str(value["data_base64"]), validate=True))}
    except (*NO_JSON, ValueError):
        raise ValueError(
            f"data_base64 of {place} is {shown(value['data_base64'])}, which is not JSON in base64; right is JSON, "
            "in `data` or in `data_base64`"
        ) from None


def ga4_events_in(value: object) -> list[object]:
    """Return the event of GA4's export.

    Raises
    ------
    ValueError
        If it is none.
    """
    if word_of(value_at(value, ("event_name",))) is None:
        raise ValueError("the value is no event of GA4's export: looked for event_name")
    return [value]


def snowplow_events_in(value: object) -> list[object]:
    """Return a Snowplow event with its products in one list, and the name of its action.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not isinstance(value, dict) or all(value.get(name) is None for name in ("event", "event_id", "event_name")):
        raise ValueError("the value is no enriched event of Snowplow: looked for event, event_id, event_name")
    products = next((found for name in SNOWPLOW_PRODUCTS if (found := object_in(value.get(name)))), None)
    if not products:
        entities = value_at(value, ("contexts", "data"))
        products = [
            one.get("data")
            for one in (entities if isinstance(entities, list) else ())
            if isinstance(one, dict) and re.search(SNOWPLOW_PRODUCT_SCHEMA, str(one.get("schema")))
        ]
    return [{**value, "products": products}]
