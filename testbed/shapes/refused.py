"""Shapes that cannot be read: each one dead letter, whose reason says what to set."""

import json
import math

from testbed.shapes.shape import FLAT, FROM_KEY, ISO, LIST, NESTED, NOON, TIMES, Shape, timed

__all__ = ["REFUSED"]


REFUSED = {
    # what cannot be read
    "no user": Shape(
        NESTED,
        {"at": ISO, "properties": {"product_id": "a"}},
        reason="field",
        says=("no user", "userId, anonymousId", "there are at, properties.product_id", "`user` in the mapping"),
    ),
    "no id for a user": Shape(
        TIMES, timed(NOON, uid="(not set)"), reason="field", says=("uid is '(not set)', which is no id",)
    ),
    "a user who is an object": Shape(
        TIMES, timed(NOON, uid={"id": 1}), reason="field", says=('uid is {"id":1}', "no id")
    ),
    "no item": Shape(
        FLAT, {"uid": "ann", "ts": NOON}, reason="field", says=("no item", "looked for product", "uid, ts")
    ),
    "an envelope of Connect, not looked into": Shape(
        TIMES,
        {"schema": {"type": "struct", "fields": [{"type": "int64", "field": "uid"}]}, "payload": timed(NOON)},
        reason="field",
        says=("no item", "there are payload.uid, payload.product, payload.ts;"),
    ),
    "an envelope of Connect, a text in it": Shape(
        TIMES,
        {"schema": {"type": "string"}, "payload": json.dumps(timed(NOON))},
        reason="field",
        says=("no item", "there are payload.uid, payload.product, payload.ts;"),
    ),
    "an empty list": Shape(
        LIST, {"user": "ann", "at": ISO, "items": []}, reason="field", says=("no item", "items[].id")
    ),
    "one of three items without an id": Shape(
        LIST,
        {"user": "ann", "at": ISO, "items": [{"id": "a"}, {"sku": "b"}]},
        reason="field",
        says=("looked for items[].id; items[1] has sku;",),
    ),
    "a null item in a list": Shape(
        LIST,
        {"user": "ann", "at": ISO, "items": [{"id": "a"}, {"id": None}]},
        reason="field",
        says=("looked for items[].id; items[1].id is null, which is no id;",),
    ),
    "an element that is null": Shape(
        LIST, {"user": "ann", "at": ISO, "items": [{"id": "a"}, None]}, reason="field", says=("; items[1] is null;",)
    ),
    "true as a user": Shape(TIMES, timed(NOON, uid=True), reason="field", says=("uid is true, which is no id",)),
    "an endless time": Shape(TIMES, timed(math.inf), reason="time", says=("ts: Infinity is no time",)),
    "a null time": Shape(
        TIMES, timed(None), reason="time", says=("looked for ts; ts is null, which is no time;", "kafka.timestamp")
    ),
    "a null user": Shape(
        NESTED,
        {"userId": None, "at": ISO, "properties": {"product_id": "a"}},
        reason="field",
        says=("userId is null, which is no id; there are userId, at",),
    ),
    "a type that is an object": Shape(
        FLAT,
        timed(NOON, kind={"name": "dislike"}),
        reason="field",
        says=("the type at kind is ", "dislike", "text or a number", "`type` in the mapping"),
    ),
    "a type that is a list": Shape(FLAT, timed(NOON, kind=["dislike"]), reason="field", says=("the type at kind",)),
    "an own id that is an object": Shape(
        {**TIMES, "event_id": "source,id"},
        timed(NOON, source="s", id={"$oid": "5f"}),
        reason="field",
        says=("the event_id at id is ", "$oid", "`event_id` in the mapping"),
    ),
    "no time": Shape(TIMES, {"uid": "ann", "product": "a"}, reason="time", says=("no time", "kafka.timestamp")),
    "a time in two ways": Shape(
        TIMES, timed("05/06/2025"), reason="time", says=("%d/%m/%Y", "%m/%d/%Y", "time_format")
    ),
    "digits in two ways": Shape(
        TIMES, timed(202601311200), reason="time", says=("%Y%m%d%H%M", "milliseconds", "time_format")
    ),
    "a time that is none": Shape(TIMES, timed("yesterday"), reason="time", says=("ts: 'yesterday'", "time_format")),
    "a count": Shape(TIMES, timed(17), reason="time", says=("ts: 17", "no Unix time of 1973 to 2100")),
    "the future": Shape(TIMES, timed(NOON + 10**9), reason="time", says=("more than a day after", str(NOON + 10**9))),
    "the future, of a guest": Shape(
        NESTED,
        {"anonymousId": "b", "at": NOON + 10**9, "properties": {"product_id": "a"}},
        reason="time",
        says=("more than a day after",),
    ),
    "a null key": Shape(
        FROM_KEY, timed(NOON), reason="key", says=("key is missing", "`user` in the mapping", "uid, product, ts")
    ),
    "a key of bytes": Shape(
        FROM_KEY,
        timed(NOON),
        key=b"\x00\x00\x00\x00\x00\x00\x00\x2a",
        reason="key",
        says=("no user's id", r"key is '\x00\x00\x00\x00\x00\x00\x00*'"),
    ),
    "a key of bytes as the own id": Shape(
        {**TIMES, "event_id": "kafka.key"},
        timed(NOON),
        key=b"\x00\xff",
        reason="key",
        says=("which is no text", "`event_id` in the mapping"),
    ),
    "a registry's prefix": Shape(
        TIMES,
        b"\x00\x00\x00\x00\x07\x06ann",
        reason="schema",
        says=("schema registry", "schema 7", "MINDSTREAM_SCHEMA_REGISTRY"),
    ),
    "no JSON": Shape(TIMES, b"ann;mug;7", reason="json", says=("not JSON", "ann;mug;7")),
    "lists in lists, by the thousand": Shape(
        TIMES, b"[" * 9_000 + b"]" * 9_000, reason="json", says=("nested too deep", "right is a JSON object")
    ),
    "no number of the unit": Shape(
        {**TIMES, "time_format": "excel"},
        timed("soon"),
        reason="time",
        says=("ts: 'soon' is no number, and `time_format` is excel",),
    ),
    "null": Shape(TIMES, None, reason="field", says=("the value is null",)),
    "a number": Shape(TIMES, 7, reason="field", says=("the value is 7 and no object",)),
    "a long user": Shape(TIMES, timed(NOON, uid="x" * 128), reason="field", says=("128 characters", "at most 127")),
    "a long user before another": Shape(
        NESTED,
        {"userId": "x" * 128, "anonymousId": "b", "at": NOON, "properties": {"product_id": "a"}},
        reason="field",
        says=("128 characters", "at most 127"),
    ),
    "a long item": Shape(TIMES, timed(NOON, product="x" * 513), reason="field", says=("513 characters", "at most 512")),
    "a long type": Shape(FLAT, timed(NOON, kind="x" * 65), reason="field", says=("65 characters", "at most 64")),
    "no rating": Shape(
        {**TIMES, "value": "stars", "min_value": 3}, timed(NOON), reason="field", says=("no value", "stars")
    ),
    **{
        f"our own form, {what}": Shape(
            NESTED,
            {"user_id": "ann", "item_id": "mug", "event_time_ms": NOON} | more,
            key=key,
            reason="field",
            says=("no item: looked for properties.product_id", "(shop.toml); nor is it in our own form", why),
        )
        for what, key, more, why in (
            ("no key", None, {}, "the record's key is missing; it must be the user_id 'ann'; the value is"),
            ("a quoted key", b'"ann"', {}, """the record's key is '"ann"'; it must be the user_id 'ann'; the value"""),
            ("another key", b"ben", {}, "the record's key is 'ben'; it must be the user_id 'ann'; the value is"),
            ("a number as item", b"ann", {"item_id": 5}, "Expected `str`, got `int` - at `$.item_id`; right is text"),
            ("no id", b"null", {"user_id": "null"}, "user_id is 'null', which is no id; the value is"),
        )
    },
    "empty": Shape(TIMES, b"", reason="empty", says=("is empty",)),
    "too large": Shape(TIMES, b" " * 100_001, reason="size", says=("100,001 bytes",)),
}
