"""Values behind the prefix, most of them written by hand byte for byte, and what of them is read."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from stream.events.event import BadEventError
from testbed.schema_registry import prefixed

if TYPE_CHECKING:  # the module needs the extra
    from stream.events.registry.reader import RegistryReader

ReaderOf = Callable[[dict[str, str]], "RegistryReader"]


def record(name: str, **fields: object) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": one, "type": type_} for one, type_ in fields.items()]}


def logical(kind: str, name: str, **more: int) -> dict[str, Any]:
    return {"type": kind, "logicalType": name, **more}


CLICK = record(
    "Click",
    user="string",
    item=["null", "long"],
    at=logical("long", "timestamp-millis"),
    price=logical("bytes", "decimal", precision=6, scale=2),
    kind={"type": "enum", "name": "Kind", "symbols": ["view", "cart"]},
    lines={"type": "array", "items": record("Line", sku="string")},
    where={"type": "map", "values": "boolean"},
)
# A string of 3 bytes, the union's second type and 42, 64 ms, 2 bytes of 1250 hundredths, the second symbol, a block of
# two lines and the end of the list, a block of one pair and the end of the map. Avro doubles whole numbers.
CLICKED = b"\x06ann\x02\x54\x80\x01\x04\x04\xe2\x02\x04\x02a\x02b\x00\x02\x04eu\x01\x00"

PROTO = """
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/type/money.proto";
import "confluent/meta.proto";
import "confluent/types/decimal.proto";
import "shop/item.proto";
message First {}
message Click {
  message Note { string text = 1; }
  enum Kind { VIEW = 0; CART = 1; }
  string user_id = 1 [(.confluent.field_meta) = {doc: "who"}];
  int64 at_ms = 2;
  Item item = 3;
  google.protobuf.Timestamp at = 4;
  Kind kind = 5;
  google.protobuf.StringValue title = 6;
  optional int32 rank = 7;
  google.type.Money price = 8;
  repeated Note notes = 9;
  confluent.type.Decimal discount = 10;
}
"""
ITEM = 'syntax = "proto3"; package shop; message Item { string id = 1; }'


def test_avro_by_hand(reader_of: ReaderOf) -> None:
    read = reader_of({"7.avsc": json.dumps(CLICK)}).read(b"\0\0\0\0\7" + CLICKED)
    assert read == {
        "user": "ann",
        "item": 42,
        "at": datetime(1970, 1, 1, 0, 0, 0, 64_000, UTC),
        "price": Decimal("12.50"),
        "kind": "cart",
        "lines": [{"sku": "a"}, {"sku": "b"}],
        "where": {"eu": True},
    }


@pytest.mark.parametrize(
    ("type_", "written", "read"),
    [
        (logical("long", "timestamp-millis"), datetime(2026, 6, 30, 0, 0, 0, 123_000, UTC), None),
        (logical("long", "timestamp-micros"), datetime(2026, 6, 30, 0, 0, 0, 123_456, UTC), None),
        (logical("long", "local-timestamp-millis"), datetime(2026, 6, 30, 0, 0, 1), None),
        (logical("int", "date"), date(2026, 6, 30), None),
        (logical("int", "time-millis"), time(9, 5, 7), "09:05:07"),
        (logical("bytes", "decimal", precision=20, scale=0), Decimal(12345678901234567890), None),
        (logical("string", "uuid"), UUID(int=7), None),
        ({"type": "array", "items": logical("long", "time-micros")}, [time(9, 5, 7)], ["09:05:07"]),
        ({"type": "fixed", "name": "Four", "size": 4}, b"mug1", None),
        (["null", record("One", a="int"), record("Other", b="string")], {"b": "x"}, None),
        (["null", "double"], None, None),
    ],
)
def test_what_fastavro_writes(reader_of: ReaderOf, type_: object, written: object, read: object) -> None:
    """It is read as it was written, but for times of day."""
    fastavro = import_module("fastavro")
    schema, stream = record("Event", field=type_), BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), {"field": written})
    assert reader_of({"1.avsc": json.dumps(schema)}).read(prefixed(1, stream.getvalue())) == {"field": read or written}


def test_avro_types_in_files_of_their_own(reader_of: ReaderOf) -> None:
    item = {**record("Item", id="string"), "namespace": "com.shop"}
    schema = record("Event", item="com.shop.Item", also=["null", "com.shop.Item"])
    files = {"3.avsc": json.dumps(schema), "types/com.shop.Item.avsc": json.dumps(item), "com.shop.Other.avsc": "{"}
    reader = reader_of(files)
    assert reader.read(prefixed(3, b"\x02a\x02\x02b")) == {"item": {"id": "a"}, "also": {"id": "b"}}


def test_a_type_that_holds_itself_ends_no_process(reader_of: ReaderOf) -> None:
    """Read by compiled code, 90,000 within each other overflow the stack."""
    reader = reader_of({"1.avsc": json.dumps(record("Part", of=["null", "Part"]))})
    assert reader.read(prefixed(1, b"\2\2\0")) == {"of": {"of": {"of": None}}}
    with pytest.raises(BadEventError, match=r"not a value of schema 1 of .* \(it is nested too deep\)"):
        reader.read(prefixed(1, b"\2" * 90_000 + b"\0"))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x02", "the bytes end before the value does"),  # the second branch, and nothing of its text
        (b"\x02\x0amug", "the bytes end before the value does"),  # a text of five letters
        (b"\x08", "a number in it stands for nothing that the schema has"),  # the fifth branch of two
        (b"\x02\x02\xff", "a text in it is not in UTF-8"),
        (b"\x00!", "1 bytes are left over"),
    ],
)
def test_bytes_of_no_value_are_refused_in_a_sentence(reader_of: ReaderOf, data: bytes, why: str) -> None:
    reader = reader_of({"1.avsc": json.dumps(record("Event", field=["null", "string"]))})
    with pytest.raises(BadEventError) as refused:
        reader.read(prefixed(1, data))
    assert f"({why}); the value is" in str(refused.value)


def test_json_after_the_prefix_and_without_it(reader_of: ReaderOf) -> None:
    """Our own commands write plain JSON to the same topic."""
    reader = reader_of({"258.json": '{"type": "object"}'})
    assert reader.read(b"\0\0\0\1\2" + b'{"user": "ann", "n": [1, 2.5, null]}') == {"user": "ann", "n": [1, 2.5, None]}
    assert reader.read(b' {"user_id": "ann"}') == {"user_id": "ann"}


def test_protobuf_by_hand(reader_of: ReaderOf) -> None:
    reader = reader_of({"9.proto": PROTO, "shop/item.proto": ITEM})
    # One number, zigzag 2, for the second type. Then: field, wire type and length of each.
    second = b"\x02\x02"
    message = (
        b"\x0a\x03ann"  # 1: user_id
        b"\x10\x96\x01"  # 2: 150
        b"\x1a\x03\x0a\x01x"  # 3: the item's 1: id
        b"\x22\x02\x08\x40"  # 4: 64 seconds
        b"\x32\x05\x0a\x03mug"  # 6: the title's 1: value
        b"\x4a\x04\x0a\x02hi"  # 9: the note's 1: text
    )
    assert reader.read(prefixed(9, second + message)) == {
        "user_id": "ann",
        "at_ms": "150",
        "item": {"id": "x"},
        "at": "1970-01-01T00:01:04Z",
        "kind": "VIEW",
        "title": "mug",
        "notes": [{"text": "hi"}],
    }
    assert reader.read(prefixed(9, b"\0")) == {}  # a single zero is the first type
    assert reader.read(prefixed(9, b"\x04\x02\x00" + b"\x0a\x02hi")) == {"text": "hi"}  # the second type's first
    with pytest.raises(BadEventError, match=r"no message type 2 in shop, which has 2\); the value is '"):
        reader.read(prefixed(9, b"\x02\x04" + message))


@pytest.mark.parametrize("kind", ["avro", "json_schema", "protobuf"])
def test_what_confluent_s_serializers_write(reader_of: ReaderOf, kind: str) -> None:
    """Protobuf's registers a descriptor in base64; registries give it back as text or as it is."""
    client = import_module("confluent_kafka.schema_registry").SchemaRegistryClient.new_client({"url": "mock://"})
    serializers = import_module(f"confluent_kafka.schema_registry.{kind}")
    event: Any = {"sku": "mug", "n": 3}
    if kind == "avro":
        write = serializers.AvroSerializer(client, json.dumps(record("Line", sku="string", n="long")))
    elif kind == "json_schema":
        write = serializers.JSONSerializer(json.dumps({"title": "Line", "type": "object"}), client)
    else:
        money = import_module("google.type.money_pb2")
        write = serializers.ProtobufSerializer(money.Money, client, {"use.deprecated.format": False})
        event = money.Money(currency_code="EUR", units=3)
    context = import_module("confluent_kafka.serialization")
    value = write(event, context.SerializationContext("clicks", context.MessageField.VALUE))
    registered = client.get_schema(int.from_bytes(value[1:5], "big"))
    suffix = {"AVRO": "avsc", "JSON": "json", "PROTOBUF": "proto"}[registered.schema_type]
    read = reader_of({f"{int.from_bytes(value[1:5], 'big')}.{suffix}": registered.schema_str}).read(value)
    assert read == ({"currency_code": "EUR", "units": "3", "nanos": 0} if kind == "protobuf" else event)


SCHEMAS = {
    "7.avsc": json.dumps(CLICK),
    "8.json": "{}",
    "9.proto": 'syntax = "proto3"; message Click { string user_id = 1; }',
    "10.avsc": '{"type": "recrod", "name": "Click"}',
    "11.avsc": json.dumps(record("Click", item="com.shop.Gone")),
    "12.proto": 'syntax = "proto3";\nmesage Click {}',
    "13.proto": 'syntax = "proto3"; import "shop/gone.proto"; message Click {}',
    "14.avsc": "{",
    "15.avsc": '"string"',
    "15.json": "{}",
}


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (prefixed(7, CLICKED[:-3]), ("schema 7 of ", "schemas", r"\x06ann")),
        (prefixed(7, CLICKED + b"!"), ("1 bytes are left over",)),
        (prefixed(7, b"\x7f" + CLICKED), ("schema 7",)),
        (prefixed(8, b'{"user": "ann"'), ("schema 8", "truncated")),
        (prefixed(8, b"[" * 90_000), ("schema 8", "nested too deep")),
        (prefixed(9, b""), ("the place of the message's type is cut off",)),
        (prefixed(9, b"\x01"), ("a type's place of -1 numbers",)),
        (prefixed(9, b"\x00\x0a\x09ann"), ("schema 9", "message")),
        (prefixed(10, b"x"), ("schema 10 of ", "no Avro schema", "recrod")),
        (prefixed(11, b"x"), ("schema 11", "com.shop.Gone, which is not there")),
        (prefixed(12, b"x"), ("schema 12", "protoc cannot compile it", ":2:1: Expected top-level statement")),
        (prefixed(13, b"x"), ("schema 13", "shop/gone.proto: File not found")),
        (prefixed(14, b"x"), ("schema 14", "no Avro schema")),
        (prefixed(15, b"x"), ("15.avsc and 15.json are there",)),
        (prefixed(16, b"x"), ("schema 16", "no such file", "16.avsc, 16.json, 16.proto")),
        (bytes(8) + b"\7\x06ann", ("eight-byte id 7", "as-confluent")),
        (b"\3\5" + b"\xab" * 16 + b"\x06ann", ("AWS Glue", "abababab")),
        (b"\1" + b"\xab" * 16 + b"\x06ann", ("GUID abababab",)),
        (b"\xc3\1\x06ann", ("single-object encoding",)),
        (b"ann clicked", ("neither a zero byte", "ann clicked")),
        (b"\0\0\1", ("neither a zero byte",)),
    ],
)
def test_what_cannot_be_read_says_why(reader_of: ReaderOf, value: bytes, named: tuple[str, ...]) -> None:
    with pytest.raises(BadEventError) as refused:
        reader_of(SCHEMAS).read(value)
    assert refused.value.reason == "schema"
    assert [one for one in named if one not in str(refused.value)] == [], refused.value
    assert len(str(refused.value)) < 1_500


def test_a_file_that_is_added_is_found_a_minute_later(reader_of: ReaderOf, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_of({"1.json": "{}"})
    now = [1000.0]
    monkeypatch.setattr(reader, "clock", lambda: now[0])
    value = prefixed(2, b'{"user": "ann"}')
    with pytest.raises(BadEventError, match="no such file"):
        reader.read(value)
    reader_of({"2.json": "{}"})
    now[0] += 59
    with pytest.raises(BadEventError, match="no such file"):
        reader.read(value)
    now[0] += 1
    assert reader.read(value) == {"user": "ann"}
