"""Records that are no events: what every reader of the topic has to get past."""

from dataclasses import dataclass

__all__ = ["BAD_RECORDS", "GOOD", "BadRecord"]

GOOD = b'{"user_id":"anna","item_id":"mug","event_time_ms":1720000000000}'


@dataclass(frozen=True)
class BadRecord:
    """A record's value and key, the reason to give, and what the message has to name."""

    value: bytes | None
    reason: str
    names: tuple[str, ...]
    key: bytes | None = b"anna"


BAD_RECORDS = {
    "no value and no key": BadRecord(None, "key", ("no value", "missing"), key=None),
    "no value and no user": BadRecord(None, "key", ("no value", r"\xff"), key=b"\xff"),
    "empty": BadRecord(b"", "empty", ("is empty",)),
    "too large": BadRecord(GOOD + b" " * 100_000, "size", ("100,064 bytes", "at most 100,000", "anna")),
    "not JSON": BadRecord(b"anna clicked mug", "json", ("anna clicked mug", "byte 0")),
    "cut off": BadRecord(GOOD[:30], "json", ('{"user_id":"anna","item_id":"m', "truncated")),
    "two events": BadRecord(GOOD + GOOD, "json", ("trailing", "1720000000000")),
    "not UTF-8": BadRecord(GOOD.replace(b"anna", b"\xe9va"), "json", (r"\xe9va", "utf-8")),
    "half a surrogate pair": BadRecord(GOOD.replace(b"mug", rb"\ud800"), "json", ("surrogate", r"\\ud800")),
    "nested too deep": BadRecord(GOOD[:-1] + b',"x":' + b"[" * 90_000, "json", ("recursion", "anna")),
    "a list": BadRecord(b'["anna","mug"]', "field", ("Expected `object`, got `array`", '["anna","mug"]')),
    "wrong type": BadRecord(GOOD.replace(b'"mug"', b"7"), "field", ("$.item_id", "got `int`", '"item_id":7')),
    "missing field": BadRecord(GOOD.replace(b"item_id", b"item"), "field", ("missing", "`item_id`", '"item":"mug"')),
    "seconds": BadRecord(GOOD[:-4] + b"}", "field", ("$.event_time_ms", ">= 100000000000", "1720000000}")),
    "microseconds": BadRecord(
        GOOD[:-1] + b"000}", "field", ("$.event_time_ms", "<= 4102444800000", "1720000000000000")
    ),
    "the future": BadRecord(GOOD.replace(b"172", b"402"), "time", ("4020000000000", "more than a day after")),
    "text for a time": BadRecord(GOOD[:-14] + b'"now"}', "field", ("$.event_time_ms", "got `str`", '"now"')),
    "empty user_id": BadRecord(GOOD.replace(b"anna", b""), "field", ("$.user_id", "length >= 1", '"user_id":""')),
    "too long user_id": BadRecord(GOOD.replace(b"anna", b"a" * 128), "field", ("$.user_id", "<= 127", "aaaa")),
    "wrong profile": BadRecord(GOOD[:-1] + b',"profile":{"age":30}}', "field", ("$.profile", '"age":30')),
    "wrong key": BadRecord(GOOD, "key", ("'ben'", "'anna'"), key=b"ben"),
    "no key": BadRecord(GOOD, "key", ("missing", "'anna'"), key=None),
}
