"""Shapes of a shop's own: names, ids, types and lists."""

import json
import math

from testbed.shapes.shape import FLAT, ISO, LIST, NESTED, NOON, TIMES, Shape, click, timed

__all__ = ["PLAIN"]


_UUID = "0e2e1cf4-7a3b-4c1d-9f60-2b8f3f1f7c55"

PLAIN = {
    # names, ids and types
    "flat": Shape(FLAT, {"uid": "ann", "product": "mug", "ts": NOON, "kind": "cart"}, (click(event_type="cart"),)),
    "numeric ids": Shape(TIMES, timed(NOON) | {"uid": 42, "product": 12.0}, (click("42", "12"),)),
    "ids with blanks, and 12.0 as text": Shape(TIMES, timed(NOON, uid=" 7 ", product="12.0"), (click("7", "12"),)),
    "a UUID": Shape(TIMES, timed(NOON, uid=_UUID), (click(_UUID),)),
    "a large number": Shape(TIMES, timed(NOON, uid=2**63), (click("9223372036854775808"),)),
    "digits with zeros before them": Shape(TIMES, timed(NOON, uid="007"), (click("007"),)),
    "an address": Shape(
        TIMES, timed(NOON, product="https://shop.example/p/7"), (click(item="https://shop.example/p/7"),)
    ),
    "other letters": Shape(TIMES, timed(NOON, uid="Zoë 王"), (click("Zoë 王"),)),
    "a type with blanks": Shape(FLAT, timed(NOON, kind=" cart "), (click(event_type="cart"),)),
    "no type": Shape(FLAT, timed(NOON), (click(),)),
    "nested names": Shape(NESTED, {"userId": "ann", "at": ISO, "properties": {"product_id": "mug"}}, (click(),)),
    "names with points": Shape(NESTED, {"userId": "ann", "at": ISO, "properties.product_id": "mug"}, (click(),)),
    "the second user": Shape(
        NESTED, {"userId": None, "anonymousId": "b", "at": ISO, "properties": {"product_id": "mug"}}, (click("b"),)
    ),
    "a word for no user": Shape(
        NESTED, {"userId": "null", "anonymousId": "b", "at": ISO, "properties": {"product_id": "mug"}}, (click("b"),)
    ),
    "an object in a text": Shape(
        NESTED, {"userId": "ann", "at": ISO, "properties": '{"product_id": "mug"}'}, (click(),)
    ),
    "the whole value in a text": Shape(TIMES, json.dumps(timed(NOON)), (click(),)),
    "an envelope of Connect": Shape(
        {"user": "payload.after.uid", "item": "payload.after.product", "time": "payload.ts_ms"},
        {"schema": {"type": "struct"}, "payload": {"op": "c", "ts_ms": NOON, "after": {"uid": 42, "product": 7}}},
        (click("42", "7"),),
    ),
    "a mark of the byte order": Shape(TIMES, b"\xef\xbb\xbf" + json.dumps(timed(NOON)).encode(), (click(),)),
    "a number that is none": Shape(TIMES, timed(NOON, price=math.nan), (click(),)),
    # lists
    "a list of objects": Shape(
        LIST, {"user": "ann", "at": ISO, "items": [{"id": "mug"}, {"id": 8}]}, (click(), click(item="8"))
    ),
    "a list of ids": Shape(
        {**LIST, "item": "items"}, {"user": "ann", "at": ISO, "items": ["mug", "cup"]}, (click(), click(item="cup"))
    ),
    "users and times in the list": Shape(
        {"user": "[].u", "item": "[].i", "time": "[].t"},
        [{"u": "ann", "i": "mug", "t": ISO}, {"u": "ben", "i": "cup", "t": NOON + 1}],
        (click(), click("ben", "cup", NOON + 1)),
    ),
    "lists in lists": Shape(
        {"user": "orders[].buyer", "item": "orders[].lines[].sku", "time": "at"},
        {
            "at": ISO,
            "orders": [{"buyer": 1, "lines": [{"sku": "a"}, {"sku": "b"}]}, {"buyer": 2, "lines": [{"sku": "c"}]}],
        },
        (click("1", "a"), click("1", "b"), click("2", "c")),
    ),
    "lists beside each other": Shape(
        {"user": "user", "item": "ids[]", "type": "kinds[]", "time": "at"},
        {"user": "ann", "at": ISO, "ids": ["a", "b"], "kinds": ["view", "cart"]},
        (click(item="a", event_type="view"), click(item="b", event_type="cart")),
    ),
    "its own id": Shape({**TIMES, "event_id": "id"}, timed(NOON, id="e-1"), (click(event_id="e-1"),)),
    "its own id, of several items": Shape(
        {**LIST, "event_id": "n"},
        {"user": "ann", "at": ISO, "n": 5, "items": [{"id": "a"}, {"id": "b"}]},
        (click(item="a", event_id="5"), click(item="b", event_id="5#1")),
    ),
}
