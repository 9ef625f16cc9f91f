"""Records behind a schema registry on a real Kafka: what an updater makes of them, and what it does without it."""

import json
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pytest
from pydantic import SecretStr

from stream.dead_letters.letter import read_record
from testbed.schema_registry import RegistryServer, prefixed
from testbed.system_packages import PartMissing
from tests.support.updater_world import START_MS, World, work

CLICK = {
    "type": "record",
    "name": "Click",
    "fields": [
        {"name": "shopper", "type": {"type": "record", "name": "Shopper", "fields": [{"name": "id", "type": "long"}]}},
        {"name": "sku", "type": "string"},
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    ],
}
PROTO = """
syntax = "proto3";
message Shopper { int64 id = 1; }
message Click { Shopper shopper = 1; string sku = 2; int64 ts = 3; }
"""
MAPPING = 'user = "shopper.id"\nitem = "sku"\ntime = "ts"\n'
KEY = b"\0\0\0\0\3\x54"  # the long 42


@pytest.fixture(autouse=True)
def extra() -> None:
    if find_spec("fastavro") is None:
        raise PartMissing("the extra `registry` is not installed")


def avro(item: str, at_ms: int) -> bytes:
    fastavro, stream = import_module("fastavro"), BytesIO()
    event = {"shopper": {"id": 42}, "sku": item, "ts": datetime.fromtimestamp(at_ms / 1000, UTC)}
    fastavro.schemaless_writer(stream, fastavro.parse_schema(CLICK), event)
    return prefixed(1, stream.getvalue())


def protobuf(item: str, at_ms: int) -> bytes:
    """The second type of the file: shopper, sku, ts."""
    number = b""
    while at_ms > 127:
        at_ms, number = at_ms >> 7, number + bytes([at_ms & 127 | 128])
    sku = item.encode()
    return prefixed(2, b"\x02\x02\x0a\x02\x08\x2a\x12" + bytes([len(sku)]) + sku + b"\x18" + number + bytes([at_ms]))


def test_events_of_three_kinds_and_a_registry_that_comes_late(world: World, tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text(MAPPING)
    registry = RegistryServer(
        schemas={
            1: {"schema": json.dumps(CLICK)},
            2: {"schema": PROTO, "schemaType": "PROTOBUF"},
            3: {"schema": '"long"'},
            4: {"schema": "{}", "schemaType": "JSON"},
        }
    )
    with registry.serving():
        away = registry.url
    updater = world.updater(mapping=tmp_path / "shop.toml", schema_registry=SecretStr(away), event_bytes=1_000)
    skus = [world.items[number] for number in (1, 2, 3)]
    third = json.dumps({"shopper": {"id": "42"}, "sku": skus[2], "ts": START_MS + 2_000}).encode()
    unknown = prefixed(9, b"whatever")
    values = [avro(skus[0], START_MS), protobuf(skus[1], START_MS + 1_000), prefixed(4, third), unknown]
    world.send([(KEY, value) for value in values])
    work(updater, lambda: updater.counts["stalls"] >= 2)
    assert (updater.counts["applied"], updater.counts["dead_letter"], world.committed()) == (0, 0, 0)
    assert updater.trouble is not None
    assert f"the schema registry at {away} does not answer" in updater.trouble
    with registry.serving(int(away.rpartition(":")[2])):
        work(updater, lambda: updater.counts["applied"] + updater.counts["dead_letter"] == 4)
    assert (world.history("42"), world.committed()) == ([1, 2, 3], 4)
    assert list(world.state("42").history.event_times_ms) == [START_MS, START_MS + 1_000, START_MS + 2_000]
    [letter] = [read_record(record) for record in world.dead_letters(1)]
    assert (letter.reason, letter.value) == ("schema", unknown)
    assert f"schema 9 of {away}: " in letter.error
    world.send([(KEY, None)])
    work(updater, lambda: updater.counts["forgotten"] == 1)
    [state] = world.store.get_many(["42"])
    assert state is None or not state.history.item_ids
