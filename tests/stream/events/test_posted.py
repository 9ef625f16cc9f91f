"""Events in the body of a request: each becomes a record as it was sent, or all are refused and the wrong ones said."""

import msgspec
import pytest

from stream.events.event import Event, decode, excerpt
from stream.events.posted import (
    LONGEST_REQUEST_KEY,
    MOST_EVENTS,
    BadEventsError,
    BadRequestError,
    PostedRecord,
    records_in,
)

NOW_MS = 1_782_777_600_000
WHOLE = '{ "event_time_ms":1782777600000,\t"price": 1.10, "user_id":"Zoë 🚲","item_id" : "mug" }'.encode()


def test_an_event_with_a_time_stays_as_it_was_sent() -> None:
    for body in (WHOLE, b"\n" + WHOLE + b" ", b"[" + WHOLE + b" ]"):
        assert records_in(body, NOW_MS + 5) == [PostedRecord("Zoë 🚲".encode(), WHOLE)]


@pytest.mark.parametrize("time", [b"", b',"event_time_ms":null'])
def test_an_event_without_a_time_gets_that_of_the_request(time: bytes) -> None:
    """All else stays as it was sent, also fields that an event does not have."""
    [record] = records_in(b'{"user_id":"ann","item_id":"mug","price":1.10' + time + b"}", NOW_MS)
    event = decode(record.value, record.key, NOW_MS)
    assert event == Event("ann", "mug", NOW_MS)
    assert b'"price":1.10' in record.value


def test_a_request_s_key_names_the_events_that_have_no_name() -> None:
    own = b'{"user_id":"ann","item_id":"mug","event_time_ms":1782777600000,"event_id":"mine"}'
    none = own.replace(b'"mine"', b"null")
    left_out = own.replace(b',"event_id":"mine"', b"")
    body = b"[" + b",".join([own, none, left_out, own.replace(b"mine", b"")]) + b"]"
    key = "k" * LONGEST_REQUEST_KEY
    ids = [msgspec.json.decode(record.value, type=Event).event_id for record in records_in(body, NOW_MS, key)]
    assert ids == ["mine", f"{key}/1", f"{key}/2", f"{key}/3"]
    assert [record.value for record in records_in(body, NOW_MS)][:2] == [own, none]


@pytest.mark.parametrize("key", ["", "a b", "ö", "a\n", "k" * (LONGEST_REQUEST_KEY + 1)])
def test_a_request_s_key_must_fit_into_an_event_id(key: str) -> None:
    with pytest.raises(BadRequestError, match=r"the header Idempotency-Key is '.*; right are 1 to 120 visible ASCII"):
        records_in(WHOLE, NOW_MS, key)


def test_every_event_that_is_not_valid_is_named_by_its_place() -> None:
    wrong = {
        1: (b'{"user_id":"","item_id":"mug"}', "field", "user_id"),
        2: (b'{"user_id":5,"item_id":"mug"}', "field", "user_id"),
        3: (b'{"user_id":"ann"}', "field", "item_id"),
        5: (b'{"user_id":"ann","item_id":"mug","event_time_ms":1782777600}', "field", "event_time_ms"),
        6: (b'{"user_id":"ann","item_id":"mug","event_time_ms":1782864000001}', "time", "1782864000001"),
        7: (b'{"user_id":"ann","item_id":"mug","profile":{"x":"' + b"y" * 100 + b'"}}', "size", "at most 100"),
        8: (b'"text"', "field", "object"),
        9: (b"null", "field", "object"),
        10: (b"[]", "field", "object"),
    }
    right = b'{"user_id":"ann","item_id":"mug","event_time_ms":1782864000000}'  # to the day after the request
    body = b"[" + b",".join(wrong[place][0] if place in wrong else right for place in range(11)) + b"]"
    with pytest.raises(
        BadEventsError, match=r"^9 of 11 events are not valid, so none was .* place 1: .*user_id"
    ) as raised:
        records_in(body, NOW_MS, most_bytes=100)
    assert raised.value.events == 11
    assert [(one.place, one.reason) for one in raised.value.faults] == [(at, wrong[at][1]) for at in wrong]
    for fault in raised.value.faults:
        assert wrong[fault.place][2] in fault.error
        assert fault.error.endswith(f"; the event is {excerpt(wrong[fault.place][0])}")  # as it was sent
        assert "MAPPING" not in fault.error


@pytest.mark.parametrize("time", [b'"2026-01-31T12:00:00Z"', b"1.5", b"1782777600"])
def test_a_time_of_another_kind_is_told_what_is_right(time: bytes) -> None:
    with pytest.raises(BadEventsError) as raised:
        records_in(b'{"user_id":"ann","item_id":"mug","event_time_ms":' + time + b"}", NOW_MS)
    [fault] = raised.value.faults
    assert "right is Unix time in milliseconds as a whole number" in fault.error


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is no JSON in UTF-8"),
        (b"nope", "the body is no JSON in UTF-8"),
        (WHOLE + b"x", "the body is no JSON in UTF-8"),
        (b"[" + WHOLE + b",]", "the body is no JSON in UTF-8"),
        (b"[" * 100_000, "the body is no JSON in UTF-8"),
        (b'{"a":' * 100_000, "the body is no JSON in UTF-8"),
        (WHOLE.replace("ë".encode(), b"\xeb"), "the body is no JSON in UTF-8"),
        (b"5", "the body is '5'; right is an event .an object., or a list of them"),
        (b"null", "the body is 'null'; right is"),
        (b"[]", "the body has 0 events; right are 1 to 1,000"),
        (b"[" + b",".join([WHOLE] * (MOST_EVENTS + 1)) + b"]", "the body has 1,001 events; right are 1 to 1,000"),
    ],
)
def test_a_body_that_has_no_events(body: bytes, message: str) -> None:
    with pytest.raises(BadRequestError, match=f"^{message}"):
        records_in(body, NOW_MS)


def test_as_many_as_may_come() -> None:
    assert len(records_in(b"[" + b",".join([WHOLE] * MOST_EVENTS) + b"]", NOW_MS)) == MOST_EVENTS
