"""Topics as they are: records of many shapes, each read by a mapping to the events by hand, or refused in words."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindstream.mapping import Mapping
from mindstream.parsing.trackers import SNOWPLOW_FIELDS
from stream.events.event import BadEventError, Event, Forget
from stream.events.mapped.decoder import MappedDecoder

NOON = 1_769_860_800_000  # 2026-01-31T12:00:00Z
PUBLISHED = NOON + 60_000
ISO = "2026-01-31T12:00:00Z"
ECOMMERCE = "iglu:com.snowplowanalytics.snowplow.ecommerce/product/jsonschema/1-0-0"


@dataclass(frozen=True)
class Shape:
    """A mapping, and a record: its value and key; and the events or what the dead letter's sentence has in it."""

    mapping: dict[str, Any]
    value: Any
    events: tuple[Event, ...] = ()
    key: bytes | None = None
    reason: str = ""
    says: tuple[str, ...] = ()
    left_out: str = ""


def click(user: str = "ann", item: str = "mug", time_ms: int = NOON, **more: Any) -> Event:
    return Event(user, item, time_ms, **more)


FLAT = {"user": "uid", "item": "product", "time": "ts", "type": "kind"}
NESTED = {"user": "userId,anonymousId", "item": "properties.product_id", "time": "at"}
LIST = {"user": "user", "item": "items[].id", "time": "at"}
FROM_KEY = {"item": "product", "time": "ts"}
TIMES: dict[str, Any] = {"user": "uid", "item": "product", "time": "ts"}


def timed(ts: Any, **more: Any) -> dict[str, Any]:
    return {"uid": "ann", "product": "mug", "ts": ts, **more}


def flat(ts: Any, **more: Any) -> Shape:
    return Shape(TIMES, timed(ts), (click(),), **more)


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

SHAPES = {
    # names, ids and types
    "flat": Shape(FLAT, {"uid": "ann", "product": "mug", "ts": NOON, "kind": "cart"}, (click(event_type="cart"),)),
    "numeric ids": Shape(TIMES, timed(NOON) | {"uid": 42, "product": 12.0}, (click("42", "12"),)),
    "ids with blanks, and 12.0 as text": Shape(TIMES, timed(NOON, uid=" 7 ", product="12.0"), (click("7", "12"),)),
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
    # times
    "seconds": flat(1_769_860_800),
    "seconds with a fraction": flat(1_769_860_800.0),
    "milliseconds as text": flat("1769860800000"),
    "microseconds": flat(1_769_860_800_000_000),
    "nanoseconds": flat(1_769_860_800_000_000_123),
    "ISO with a zone": flat("2026-01-31T13:00:00.000+01:00"),
    "ISO without one": flat("2026-01-31T12:00:00"),
    "as databases write it": flat("2026-01-31 12:00:00.000 UTC"),
    "as Java writes it": flat("2026-01-31T13:00:00+01:00[Europe/Berlin]"),
    "as JavaScript writes it": flat("Sat Jan 31 2026 13:00:00 GMT+0100 (Central European Standard Time)"),
    "as mails have it": flat("Sat, 31 Jan 2026 12:00:00 GMT"),
    "as .NET's JSON has it": flat("/Date(1769860800000)/"),
    "ticks of .NET": flat(639_054_576_000_000_000),
    "a date in digits": flat("20260131120000"),
    "days before months": flat("31.01.2026 12:00"),
    "a format": Shape({**TIMES, "time_format": "%d/%m/%Y %H:%M"}, timed("31/01/2026 12:00"), (click(),)),
    "a unit": Shape({**TIMES, "time_format": "days"}, timed(20_484), (click(time_ms=NOON - 43_200_000),)),
    "date and time joined": Shape({**TIMES, "time": "d,t"}, timed(0, d="2026-01-31", t="12:00"), (click(),)),
    "date and time joined, by a format": Shape(
        {**TIMES, "time": "d,t", "time_format": "%d.%m.%Y %H.%M"}, timed(0, d="31.01.2026", t="12.00"), (click(),)
    ),
    "the record's own timestamp": Shape({"user": "uid", "item": "product"}, timed("?"), (click(time_ms=PUBLISHED),)),
    "the record's own by name": Shape(
        {**TIMES, "time": "ts,kafka.timestamp"} | {"time": "kafka.timestamp"}, timed(1), (click(time_ms=PUBLISHED),)
    ),
    "untimed": Shape({**TIMES, "untimed": True}, timed(1), (click(time_ms=PUBLISHED),)),
    # keys
    "the user in the key": Shape(FROM_KEY, timed(NOON), (click("42"),), key=b"42"),
    "a quoted key": Shape(FROM_KEY, timed(NOON), (click("42"),), key=b'"42"'),
    "an object as key": Shape({**FROM_KEY, "user": "kafka.key.id"}, timed(NOON), (click("42"),), key=b'{"id": 42}'),
    "another key": Shape(TIMES, timed(NOON), (click(),), key=b"order-7"),
    "a binary key": Shape(TIMES, timed(NOON), (click(),), key=b"\x00\xff\x01"),
    # formats of trackers
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
    # what is left out, and our own form
    "a low rating": Shape(
        {**TIMES, "value": "stars", "min_value": 3}, timed(NOON, stars=2), left_out="below min_value"
    ),
    "a high rating": Shape({**TIMES, "value": "stars", "min_value": 3}, timed(NOON, stars="3,5"), (click(),)),
    "no item, of a type without weight": Shape(
        FLAT, {"uid": "ann", "ts": NOON, "kind": "scroll"}, left_out="counts for nothing"
    ),
    "our own form": Shape(
        NESTED,
        {"user_id": "ann", "item_id": "mug", "event_time_ms": NOON, "profile": {"a": "b"}},
        (click(profile={"a": "b"}),),
        key=b"ann",
    ),
    **{
        f"our own form beside {name}": Shape(
            {"format": name}, {"user_id": "ann", "item_id": "mug", "event_time_ms": NOON}, (click(),), key=b"ann"
        )
        for name in ("segment", "ga4", "cloudevents", "snowplow")
    },
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
        TIMES, timed(NOON, uid={"id": 1}), reason="field", says=("uid is {'id': 1}", "no id")
    ),
    "no item": Shape(
        FLAT, {"uid": "ann", "ts": NOON}, reason="field", says=("no item", "looked for product", "uid, ts")
    ),
    "an empty list": Shape(
        LIST, {"user": "ann", "at": ISO, "items": []}, reason="field", says=("no item", "items[].id")
    ),
    "one of three items without an id": Shape(
        LIST,
        {"user": "ann", "at": ISO, "items": [{"id": "a"}, {"sku": "b"}]},
        reason="field",
        says=("no item", "items[].id"),
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
        FROM_KEY, timed(NOON), reason="key", says=("key is None", "`user` in the mapping", "uid, product, ts")
    ),
    "a key of bytes": Shape(
        FROM_KEY, timed(NOON), key=b"\x00\x00\x00\x00\x00\x00\x00\x2a", reason="key", says=("no user's id",)
    ),
    "a registry's prefix": Shape(
        TIMES,
        b"\x00\x00\x00\x00\x07\x06ann",
        reason="schema",
        says=("schema registry", "schema 7", "MINDSTREAM_SCHEMA_REGISTRY"),
    ),
    "no JSON": Shape(TIMES, b"ann;mug;7", reason="json", says=("not JSON", "ann;mug;7")),
    "null": Shape(TIMES, None, reason="field", says=("the value is None",)),
    "a number": Shape(TIMES, 7, reason="field", says=("the value is 7 and no object",)),
    "a long user": Shape(TIMES, timed(NOON, uid="x" * 128), reason="field", says=("128 characters", "at most 127")),
    "a long item": Shape(TIMES, timed(NOON, product="x" * 513), reason="field", says=("513 characters", "at most 512")),
    "a long type": Shape(FLAT, timed(NOON, kind="x" * 65), reason="field", says=("65 characters", "at most 64")),
    "no rating": Shape(
        {**TIMES, "value": "stars", "min_value": 3}, timed(NOON), reason="field", says=("no value", "stars")
    ),
    "empty": Shape(TIMES, b"", reason="empty", says=("is empty",)),
    "too large": Shape(TIMES, b" " * 100_001, reason="size", says=("100,001 bytes",)),
}


def decoder_of(mapping: dict[str, Any]) -> MappedDecoder:
    return MappedDecoder(Mapping(**mapping), "shop.toml", counts=lambda kind: kind != "scroll")


def value_of(shape: Shape) -> bytes:
    return shape.value if isinstance(shape.value, bytes) else json.dumps(shape.value).encode()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_shape_becomes_events_or_a_reason(shape: Shape) -> None:
    decoder = decoder_of(shape.mapping)
    if shape.reason:
        with pytest.raises(BadEventError) as refused:
            decoder.decode(value_of(shape), shape.key, PUBLISHED)
        assert refused.value.reason == shape.reason
        assert [part for part in shape.says if part not in str(refused.value)] == [], refused.value
        return
    assert tuple(decoder.decode(value_of(shape), shape.key, PUBLISHED)) == shape.events
    assert [shape.left_out in reason for reason in decoder.left_out] == [True] * bool(shape.left_out)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_the_fast_way_gives_what_the_slow_way_gives(shape: Shape) -> None:
    decoder = decoder_of(shape.mapping)
    fast = decoder.one_shape and decoder.one_shape(value_of(shape), PUBLISHED, "r-1")
    decoder.one_shape = None
    if fast:
        assert fast == list(decoder.decode(value_of(shape), shape.key, PUBLISHED, "r-1"))


def test_most_events_are_read_the_fast_way() -> None:
    fast = set()
    for name, shape in SHAPES.items():
        one_shape = decoder_of(shape.mapping).one_shape
        if one_shape and len(value_of(shape)) < 100_000 and one_shape(value_of(shape), PUBLISHED, None):
            fast.add(name)
    assert fast >= {
        "flat",
        "nested names",
        "the second user",
        "a list of objects",
        "segment",
        "ga4 with items",
        "seconds",
    }


values = st.one_of(
    st.sampled_from(
        [None, "", " ", "null", "NULL", "-", "a", " a ", "12.0", "b\u00a0", "x" * 130, "é", 0, 7, 12.0, 1.5]
    ),
    st.sampled_from([True, [], ["a", "b"], [{"id": "a"}], {}, {"id": 3}, '{"id": "a"}', NOON, NOON // 1000, str(NOON)]),
    st.sampled_from([ISO, "2026-01-31", "2026-01-31T12:00:00", "31.01.2026", "05/06/2025", 202601311200, 2**70]),
)
times = st.sampled_from([NOON, ISO, NOON + 10**9, "2026-03-31T12:00:00Z", 2026013112, 2_050_000_000, NOON * 1000])
nested = st.dictionaries(st.sampled_from(["id", "sku", "at"]), values | times, max_size=3)
ids = st.sampled_from(["a", 7, " b "]) | values
records = st.fixed_dictionaries(
    {"user": ids, "at": times | values},
    optional={
        **{"other": ids, "kind": values, "n": values, "item": ids | nested, "deep": nested | values},
        "items": st.lists(nested, max_size=3) | values,
    },
)


@pytest.mark.parametrize(
    "mapping",
    [
        {"user": "user", "item": "item", "time": "at", "type": "kind"},
        {"user": "user,other", "item": "items[].id,items[].sku,item", "time": "at", "type": "kind", "event_id": "n"},
        {"user": "user,other", "item": "items[].id,item", "time": "at"},
        {"user": "deep.id,user", "item": "deep.sku,item", "type": "kind,other"},
        {"user": "user", "item": "items", "time": "deep.at"},
        {"user": "user", "item": "item", "time": "at", "time_format": "seconds"},
    ],
)
@given(record=records, published_ms=st.sampled_from([PUBLISHED, 2_100_000_000_000, -1]))
def test_the_fast_way_takes_nothing_else_for_an_event(
    mapping: dict[str, Any], record: dict[str, Any], published_ms: int
) -> None:
    decoder = decoder_of(mapping)
    value = json.dumps(record).encode()
    assert decoder.one_shape is not None
    fast = decoder.one_shape(value, published_ms, "r-1")
    decoder.one_shape = None
    if fast is not None:
        assert fast == list(decoder.decode(value, b"k", published_ms, "r-1"))


REFUSED = {
    "no item": ({"user": "uid"}, ("item is not said", "items[].item_id")),
    "a condition": (
        {**FLAT, "where": "kind = 'buy'"},
        ("where is \"kind = 'buy'\"", "MINDSTREAM_BEHAVIOURS", "min_value"),
    ),
    "a format of files": ({"format": "movielens-1m"}, ("format is 'movielens-1m'", "segment", "cloudevents")),
    "no format": ({"format": "amplitude"}, ("format is 'amplitude'", "track-calls")),
    "no rating": ({**FLAT, "min_value": 3}, ("min_value needs value",)),
    "an empty name": ({**FLAT, "item": "a..b"}, ("'a..b' is empty",)),
    "the key as an item": ({**FLAT, "item": "kafka.key"}, ("item is 'kafka.key'", "kafka.timestamp for time")),
    "the timestamp as a part": ({**FLAT, "time": "d,kafka.timestamp"}, ("d,kafka.timestamp", "whole time")),
    "several users": ({**FLAT, "user": "users[].id"}, ("user is 'users[].id'", "several")),
    "no time format": ({**FLAT, "time_format": "%H:%M"}, ("%H:%M", "has no year")),
}


@pytest.mark.parametrize(("mapping", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_would_be_misread_is_refused_at_the_start(mapping: dict[str, Any], says: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"^shop\.toml: ") as refused:
        decoder_of(mapping)
    assert [part for part in says if part not in str(refused.value)] == [], refused.value


def test_what_concerns_logs_alone_is_said() -> None:
    files = {"delimiter": ";", "skip_lines": 2, "items": "items.csv", "columns": "a,b", "encoding": "latin-1"}
    of_logs = {"title": "name", "max_events_per_user": 9, "value": "stars"}
    first, *notes = decoder_of({**NESTED, **files, **of_logs}).described()
    assert first == ("events are read by shop.toml: user: userId,anonymousId; item: properties.product_id; time: at")
    said = " ".join(notes)
    for name in (*files, *of_logs):
        assert name in said or name == "value"
    assert "stars is not used" in said
    assert "kafka.key" in decoder_of({"item": "product"}).described()[0]


@pytest.mark.parametrize(("key", "user"), [(b"42", "42"), (b'"42"', "42"), (b"42.0", "42"), (b'{"id": 42}', "42")])
def test_no_value_forgets_the_user_of_the_key(key: bytes, user: str) -> None:
    decoder = decoder_of({**FROM_KEY, "user": "kafka.key.id,uid"})
    assert decoder.decode(None, key, NOON) == [Forget(user, NOON)]


@pytest.mark.parametrize("key", [None, b"", b"null", b"\xff\x00", b"{}", b"x" * 128])
def test_no_value_and_no_user_in_the_key_forgets_nobody(key: bytes | None) -> None:
    with pytest.raises(BadEventError, match="must be a user's id") as refused:
        decoder_of(TIMES).decode(None, key, NOON)
    assert refused.value.reason == "key"


class Objects:
    """A reader of values that are objects of Python already, as those behind a schema are."""

    def __init__(self, value: object) -> None:
        self.value = value

    def read(self, value: bytes) -> object:
        return self.value


@pytest.mark.parametrize(
    ("uid", "ts", "user"),
    [
        (Decimal("42.00"), datetime(2026, 1, 31, 12, tzinfo=UTC), "42"),
        (UUID(int=7), datetime(2026, 1, 31, 12), "00000000-0000-0000-0000-000000000007"),
        (b"ann", Decimal(NOON), "ann"),
        (b"\x00\xff", NOON, "00ff"),
    ],
)
def test_values_behind_a_schema_are_read_too(uid: object, ts: object, user: str) -> None:
    decoder = MappedDecoder(Mapping(**TIMES), reader=Objects({"uid": uid, "product": "mug", "ts": ts}))
    assert decoder.decode(b"\x00", None, PUBLISHED) == [click(user)]


def test_events_without_an_id_are_known_by_their_record() -> None:
    record = {"user": "ann", "at": ISO, "items": [{"id": "a"}, {"id": "b"}]}
    found = decoder_of(LIST).decode(json.dumps(record).encode(), None, PUBLISHED, "r-1")
    assert [one.event_id for one in found if isinstance(one, Event)] == ["r-1", "r-1.0001"]
