"""What is said of a topic's first records: a name that none of them has, and that all of them are left out."""

import json
import logging
from typing import Any

import pytest

from stream.events.event import BadEventError
from stream.events.mapped.decoder import MappedDecoder
from stream.events.mapped.first_records import MOST_WATCHED
from testbed.shapes.shape import FLAT, NOON, PUBLISHED, TIMES, decoder_of, timed


def read(decoder: MappedDecoder, value: Any, times: int = 1, key: bytes | None = None) -> None:
    for _ in range(times):
        decoder.decode(json.dumps(value).encode(), key, PUBLISHED)


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({**FLAT, "type": "evnt"}, "`type` is evnt, which none of the first 1,000 records has, so all of them count"),
        ({**TIMES, "event_id": "source,id"}, "`event_id` is source,id, which none of the first 1,000 records has"),
    ],
)
def test_a_name_that_no_record_has_is_said_once(
    mapping: dict[str, Any], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    decoder = decoder_of(mapping)
    record = timed(NOON, event="dislike", source="shop")
    with caplog.at_level(logging.WARNING):
        read(decoder, record, MOST_WATCHED - 1)
        for bad in (timed("yesterday"), {"uid": "ann"}):  # dead letters tell for themselves
            with pytest.raises(BadEventError):
                read(decoder, bad)
        read(decoder, {"user_id": "ann", "item_id": "a", "event_time_ms": NOON}, key=b"ann")  # in our own form
        assert caplog.messages == []
        read(decoder, record, 2)
    [said] = caplog.messages
    assert said.startswith(f"shop.toml: {says}")
    assert said.endswith("the last one has uid, product, ts, event, source")


def test_one_record_with_every_name_is_enough(caplog: pytest.LogCaptureFixture) -> None:
    decoder = decoder_of({**FLAT, "event_id": "id"})
    read(decoder, timed(NOON))
    read(decoder, timed(NOON, id="e-1"))
    assert decoder.first_records is not None
    read(decoder, timed(NOON, kind="cart"))
    assert decoder.first_records is None
    read(decoder, timed(NOON), MOST_WATCHED)
    assert caplog.messages == []


def test_that_all_are_left_out_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    decoder = decoder_of({"format": "segment"})
    read(decoder, {"type": "page"}, 10)
    read(decoder, {"type": "track", "properties": {"article": "mug"}}, MOST_WATCHED)
    [said] = caplog.messages
    assert said == (
        "shop.toml: all of the first 1,000 records were left out: 10 of other kinds than track; "
        "990 without a product (page views and the like); the last one has type, properties.article; "
        '`item = "..."` in the mapping names the product, `format` the format'
    )


def test_that_one_gave_events_is_enough(caplog: pytest.LogCaptureFixture) -> None:
    decoder = decoder_of({"format": "ga4"})
    viewed = {"event_name": "view", "event_timestamp": NOON * 1000, "user_pseudo_id": "1.2", "items": [{"item_id": 7}]}
    read(decoder, viewed)
    read(decoder, viewed | {"items": []}, MOST_WATCHED)
    assert caplog.messages == []
