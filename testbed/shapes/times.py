"""Shapes of times and keys, and of what is left out."""

from testbed.shapes.shape import FLAT, FROM_KEY, NESTED, NOON, PUBLISHED, TIMES, Shape, click, flat, timed

__all__ = ["TIMES_AND_KEYS"]


TIMES_AND_KEYS = {
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
}
