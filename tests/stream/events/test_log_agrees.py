"""One mapping, one truth: what is read of a log is what is read of a topic with the same records."""

import json
from pathlib import Path
from typing import Any

import pytest

from mindstream.mapping import load_mapping
from model_export.readers import read_log
from stream.events.event import Event
from stream.events.mapped.decoder import MappedDecoder
from tests.support.logs import put

NOON = 1_769_860_800_000  # 2026-01-31T12:00:00Z
PRODUCTS = "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1"


def iso(number: int) -> str:
    return f"2026-01-31T12:{number:02}:00.250Z"


def call(number: int, **more: Any) -> dict[str, Any]:
    user = {"userId": f"u{number % 3}"} if number % 4 else {"userId": None, "anonymousId": "a-1"}
    return {"type": "track", "event": "Viewed", "messageId": f"m{number}", "timestamp": iso(number), **user, **more}


SEGMENT = [
    *(call(number, properties={"product_id": number, "name": "x"}) for number in range(6)),
    *(call(number, properties={"products": [{"sku": "a"}, {"productId": 12.0}, {}]}) for number in range(6, 9)),
    call(9, type="identify", traits={}),
    call(10, properties={"url": "/"}),
]
CLOUD = [
    {
        **{"specversion": "1.0", "id": str(number), "source": "/s", "type": "seen", "time": iso(number)},
        "data": {"customerId": number % 3, **({"items": [{"sku": "a"}, {"id": "b"}]} if number > 4 else {"sku": "c"})},
    }
    for number in range(8)
]
GA4 = [
    {
        **{"event_name": "view_item", "event_timestamp": (NOON + number) * 1000, "user_pseudo_id": f"{number % 3}.5"},
        **{"user_id": "u" if number % 2 else None},
        "items": [{"item_id": f"i{number}", "price": 1}, {"item_id": "(not set)"}][: number % 3],
    }
    for number in range(9)
]
SNOWPLOW = [
    {
        **{"event_id": f"e{number}", "event": "unstruct", "event_name": "action", "domain_userid": f"d{number % 3}"},
        **{"collector_tstamp": f"2026-01-31 12:{number:02}:00.250", "user_id": "u", "ti_sku": None},
        PRODUCTS: [{"id": f"i{number}", "name": "x"}] if number % 4 else None,
        "se_property": None if number % 2 else "p",
    }
    for number in range(8)
]
OWN = [
    {"who": {"id": number % 3}, "at": at, "kind": " view ", "lines": [{"sku": " a "}, {"sku": 12.0}], "stars": number}
    for number, at in enumerate([iso(1), iso(2), "2026-01-31 13:00:00+01:00", "2026-01-31", iso(5), iso(6)])
]
CASES = {
    "segment": ('format = "segment"', SEGMENT),
    "cloudevents": ('format = "cloudevents"', CLOUD),
    "ga4": ('format = "ga4"', GA4),
    "snowplow": ('format = "snowplow"', SNOWPLOW),
    "a shape of one's own": (
        'user = "who.id"\nitem = "lines[].sku"\ntime = "at"\ntype = "kind"\nvalue = "stars"\nmin_value = 2',
        OWN,
    ),
}


@pytest.mark.parametrize(("toml", "records"), CASES.values(), ids=CASES.keys())
def test_a_log_and_a_topic_have_the_same_events(toml: str, records: list[dict[str, Any]], tmp_path: Path) -> None:
    mapping = load_mapping(put(tmp_path / "shop.toml", toml))
    lines = [json.dumps(record) for record in records]
    log = read_log(put(tmp_path / "log.jsonl", "\n".join(lines) + "\n"), mapping).events
    decoder = MappedDecoder(mapping)
    events = [event for line in lines for event in decoder.decode(line.encode(), b"k", NOON + 86_400_000)]
    of_topic = [
        (one.user_id, one.item_id, one.event_type, one.event_time_ms) for one in events if isinstance(one, Event)
    ]
    names = ["user_id", "item_id", "event_type", "event_time_ms"]
    assert sorted(of_topic) == sorted(log[names].astype(str).astype({"event_time_ms": "int64"}).itertuples(False, None))
    assert len(of_topic) >= len(records) / 2
