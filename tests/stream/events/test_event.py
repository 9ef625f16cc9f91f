"""Events as bytes: what is read back, what is refused, and what the refusal says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.events.event import (
    AHEAD_MS,
    EARLIEST_MS,
    LATEST_MS,
    REASONS,
    BadEventError,
    Event,
    Forget,
    decode,
    encode,
    excerpt,
    read_lines,
)
from testbed.bad_records import BAD_RECORDS, GOOD, BadRecord

PUBLISHED_MS = 1_800_000_000_000
MOST_PRINTED = 1_000  # characters of a message: 200 bytes of up to four each, and some words


def text(most: int, least: int = 1) -> st.SearchStrategy[str]:
    """Any characters but halves of surrogate pairs, which UTF-8 cannot carry."""
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=least, max_size=most)


events = st.builds(
    Event,
    user_id=text(127),
    item_id=text(512),
    event_time_ms=st.integers(EARLIEST_MS, LATEST_MS),
    event_type=text(64),
    event_id=st.none() | text(20, least=0),
    profile=st.none() | st.dictionaries(text(20), text(20, least=0)),
)


@given(events)
def test_what_is_encoded_is_decoded(event: Event) -> None:
    key, value = encode(event)
    assert decode(value, key) == event


def test_an_event_is_plain_json_keyed_by_the_user() -> None:
    key, value = encode(Event("anna", "mug", 1_720_000_000_000, "buy", profile={"region": "north"}))
    assert key == b"anna"
    assert json.loads(value) == {
        "user_id": "anna",
        "item_id": "mug",
        "event_time_ms": 1_720_000_000_000,
        "event_type": "buy",
        "profile": {"region": "north"},
    }


def test_what_is_not_said_is_a_click_without_a_profile() -> None:
    event = decode(GOOD, b"anna")
    assert event == Event("anna", "mug", 1_720_000_000_000)
    assert (event.event_type, event.event_id, event.profile) == ("click", None, None)


def test_no_value_forgets_the_user() -> None:
    assert decode(None, b"anna", 1_720_000_000_000) == Forget("anna", 1_720_000_000_000)


@pytest.mark.parametrize(("late_by", "fine"), [(-AHEAD_MS, True), (-AHEAD_MS - 1, False), (10**12, True)])
def test_an_event_may_be_late_but_not_of_the_future(late_by: int, fine: bool) -> None:
    published_ms = 1_720_000_000_000 + late_by
    if fine:
        assert decode(GOOD, b"anna", published_ms) == Event("anna", "mug", 1_720_000_000_000)
    else:
        with pytest.raises(BadEventError, match="more than a day after"):
            decode(GOOD, b"anna", published_ms)


def test_unknown_fields_are_let_pass() -> None:
    assert decode(GOOD[:-1] + b',"page":"/mugs","nested":{"a":[1]}}', b"anna") == decode(GOOD, b"anna")


def test_all_reasons_are_listed() -> None:
    of_no_record = {"user", "record"}  # who is not readable, and what Kafka's client cannot parse
    assert {bad.reason for bad in BAD_RECORDS.values()} == set(REASONS) - of_no_record


@pytest.mark.parametrize("bad", BAD_RECORDS.values(), ids=BAD_RECORDS.keys())
def test_a_bad_record_is_refused_with_its_reason(bad: BadRecord) -> None:
    with pytest.raises(BadEventError) as refused:
        decode(bad.value, bad.key, PUBLISHED_MS)
    message = str(refused.value)
    assert refused.value.reason == bad.reason
    assert [name for name in bad.names if name not in message] == [], message
    assert len(message) <= MOST_PRINTED


@pytest.mark.parametrize(
    "user_id", ["a" * 127, "\N{SNOWMAN}" * 127, "\U0001f600" * 127], ids=["1 byte", "3 bytes", "4 bytes"]
)
def test_the_longest_user_id_fits_into_a_key_of_lmdb(user_id: str) -> None:
    key, value = encode(Event(user_id, "mug", 1_720_000_000_000))
    assert decode(value, key).user_id == user_id
    assert len(key) <= 511


@pytest.mark.parametrize("length", [0, 1, 200])
def test_a_short_excerpt_is_whole(length: int) -> None:
    assert excerpt(b"x" * length) == repr("x" * length)


@pytest.mark.parametrize("byte", [b"x", b"\xff", b"'", b'"'])
def test_an_excerpt_is_never_long(byte: bytes) -> None:
    printed = excerpt(byte * 1_000_000)
    assert len(printed) <= 4 * 200 + 6
    assert printed.endswith("...")


def test_an_excerpt_of_nothing_says_so() -> None:
    assert excerpt(None) == "missing"


def test_lines_are_read_and_empty_ones_skipped() -> None:
    lines = [GOOD + b"\n", b"\n", b"  \n", GOOD.replace(b"mug", b"bowl")]
    assert [event.item_id for event in read_lines(lines, "stdin")] == ["mug", "bowl"]


@pytest.mark.parametrize("name", ["not JSON", "not UTF-8", "half a surrogate pair", "nested too deep", "seconds"])
def test_a_bad_line_is_named_after_those_before_it(name: str) -> None:
    events = iter(read_lines([GOOD, b"\n", BAD_RECORDS[name].value or b""], "clicks.jsonl"))
    assert next(events).item_id == "mug"
    with pytest.raises(ValueError, match=r"clicks\.jsonl, line 3: ") as refused:
        next(events)
    missing = [one for one in BAD_RECORDS[name].names if one not in str(refused.value)]
    assert missing == [], refused.value
    assert len(str(refused.value)) <= MOST_PRINTED
