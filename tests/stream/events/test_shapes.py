"""Topics as they are: records of many shapes, each read by a mapping to the events by hand, or refused in words."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindstream.mapping import Mapping
from stream.events.event import BadEventError, Event, Forget
from stream.events.mapped.decoder import MappedDecoder
from testbed.shapes import SHAPES
from testbed.shapes.shape import (
    FLAT,
    FROM_KEY,
    ISO,
    LIST,
    NESTED,
    NOON,
    PUBLISHED,
    TIMES,
    Shape,
    click,
    decoder_of,
    faults,
    has_a_way,
    outcome_of,
    value_of,
)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_shape_becomes_events_or_a_reason_with_a_way_on(shape: Shape) -> None:
    outcome = outcome_of(shape)
    assert faults(shape, outcome) == []
    assert has_a_way(outcome) == bool(shape.reason), outcome.message


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
    "an empty part": ({**FLAT, "item": "a..b"}, ("item is 'a..b': a part between the points",)),
    "an empty name": ({**FLAT, "type": "x,"}, ("type is 'x,': a name before or after a comma is empty",)),
    "one element": ({**FLAT, "item": "a[0].x"}, ("item is 'a[0].x': [0] is not read; right is a[].x",)),
    "no key of Kafka": ({**FLAT, "user": "kafka.ky"}, ("user is 'kafka.ky'", "right are kafka.key, kafka.key.NAME")),
    "a header": ({**FLAT, "type": "kafka.headers.x"}, ("type is 'kafka.headers.x'", "and kafka.timestamp")),
    "no unit": ({**FLAT, "time_format": "second"}, ("shop.toml: time_format 'second' has no directive", "seconds")),
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
    rated = decoder_of({**TIMES, "value": "stars", "min_value": 3.5, "time_format": "%d.%m.%Y"}).described()[0]
    assert rated.endswith("; value: stars; min_value: 3.5; time_format: %d.%m.%Y")


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


def test_events_of_several_calls_are_told_apart_by_their_record() -> None:
    """Of calls without an id of their own the numbers go on from one to the next."""
    calls = [
        {"type": "track", "userId": "ann", "timestamp": ISO, "properties": {"products": [{"sku": one} for one in skus]}}
        for skus in ("ab", "c")
    ]
    found = decoder_of({"format": "segment"}).decode(json.dumps({"batch": calls}).encode(), None, PUBLISHED, "r-1")
    ids = [(one.item_id, one.event_id) for one in found if isinstance(one, Event)]
    assert ids == [("a", "r-1"), ("b", "r-1.0001"), ("c", "r-1.0002")]
