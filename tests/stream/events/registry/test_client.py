"""A registry over HTTP: what is asked and how often, who we are to it, and what happens while it is away."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stream.events.event import BadEventError
from testbed import system_packages
from testbed.schema_registry import RegistryServer, prefixed
from tests.stream.events.registry.opened import opened
from tests.support.certificates import new_authority

if TYPE_CHECKING:  # the module needs the extra
    from stream.events.registry.reader import RegistryReader

LINE = (
    '{"type": "record", "name": "Line", "namespace": "com.shop", "fields": [{"name": "item", "type": "com.shop.Item"}]}'
)
ITEM = '{"type": "record", "name": "Item", "namespace": "com.shop", "fields": [{"name": "id", "type": "string"}]}'
ORDER = json.dumps(
    {
        "type": "record",
        "name": "Order",
        "fields": [
            {"name": "first", "type": "com.shop.Item"},
            {"name": "lines", "type": {"type": "array", "items": "com.shop.Line"}},
        ],
    }
)
ORDERED = b"\x02a\x02\x02b\x00"  # an item a; a block of one line with the item b, and the end
JSON = {"schema": "{}", "schemaType": "JSON"}
PROTO = 'syntax = "proto3"; import "shop/item.proto"; message Click { shop.Item item = 1; }'


def refer(name: str, subject: str, version: int) -> dict[str, object]:
    return {"name": name, "subject": subject, "version": version}


def test_each_schema_is_asked_for_once_with_what_it_refers_to(
    registry: RegistryServer, reader: "RegistryReader"
) -> None:
    """Some producers give a reference a name of their own."""
    item, line = refer("com.shop.Item", "item-value", 2), refer("the line", "line value", 1)
    registry.schemas = {
        1: {"schema": ITEM},
        2: {"schema": LINE, "references": [item]},
        3: {"schema": ORDER, "references": [line, item]},
    }
    registry.versions = {("item-value", 2): 1, ("line%20value", 1): 2}
    for _ in range(3):
        assert reader.read(prefixed(3, ORDERED)) == {"first": {"id": "a"}, "lines": [{"item": {"id": "b"}}]}
    asked = ["/schemas/ids/3", "/subjects/line%20value/versions/1", "/subjects/item-value/versions/2"]
    assert [path for path, _ in registry.asked] == asked


def test_protobuf_and_what_it_imports(registry: RegistryServer, reader: "RegistryReader") -> None:
    registry.schemas = {
        4: {"schemaType": "PROTOBUF", "schema": 'syntax = "proto3"; package shop; message Item { string id = 1; }'},
        5: {"schemaType": "PROTOBUF", "schema": PROTO, "references": [refer("shop/item.proto", "item", 1)]},
        6: {"schemaType": "PROTOBUF", "schema": PROTO, "references": [refer("../../item.proto", "item", 1)]},
    }
    registry.versions = {("item", 1): 4}
    assert reader.read(prefixed(5, b"\0\x0a\x03\x0a\x01x")) == {"item": {"id": "x"}}
    with pytest.raises(BadEventError, match=r"imports \.\./\.\./item\.proto, which is outside"):
        reader.read(prefixed(6, b"\0"))


def test_an_id_that_the_registry_does_not_know(registry: RegistryServer, reader: "RegistryReader") -> None:
    for _ in range(3):
        with pytest.raises(BadEventError, match=rf"schema 7 of {registry.url}: .*Schema not found") as refused:
            reader.read(prefixed(7, b"x"))
        assert refused.value.reason == "schema"
    assert len(registry.asked) == 1
    registry.schemas[8] = {"schema": "", "schemaType": "THRIFT"}
    with pytest.raises(BadEventError, match="of the type THRIFT, which is not read; right is one of AVRO, JSON, PROTO"):
        reader.read(prefixed(8, b"x"))


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, '{"error_code": 50001, "message": "store"}', "answers HTTP 500"),
        (429, "", "answers HTTP 429"),
        (404, "<html>", r"does not answer as a schema registry does \(HTTP 404\); is MINDSTREAM_SCHEMA_REGISTRY right"),
        (404, '{"error_code": 404, "message": "HTTP 404 Not Found"}', r"\(HTTP 404\)"),
        (302, "", r"\(HTTP 302\)"),
        (200, "<html>", r"does not answer as a schema registry does \(JSONDecodeError"),
        (200, "[]", "does not answer as a schema registry does"),
        (401, "{}", r"does not let us in \(HTTP 401\)"),
        (403, "", r"does not let us in \(HTTP 403\)"),
    ],
)
def test_what_is_no_answer_is_waited_for(
    registry: RegistryServer, reader: "RegistryReader", status: int, body: str, said: str
) -> None:
    """No event is a dead letter because of it."""
    registry.schemas[1], registry.failures = JSON, [(status, body)]
    with pytest.raises(OSError, match=rf"{registry.url} .*{said}|{registry.url}.* {said}"):
        reader.read(prefixed(1, b"1"))
    assert reader.read(prefixed(1, b"1")) == 1


def test_a_registry_that_is_away_is_waited_for() -> None:
    registry = RegistryServer(schemas={1: JSON})
    with registry.serving():
        url = registry.url
    reader = opened(url)
    with pytest.raises(OSError, match=rf"the schema registry at {url} does not answer: .*refused"):
        reader.read(prefixed(1, b"1"))
    assert reader.read(b"2") == 2
    with registry.serving(int(url.rpartition(":")[2])):
        assert reader.read(prefixed(1, b"1")) == 1
    assert reader.read(prefixed(1, b"3")) == 3  # known by now


def test_user_and_password_in_the_url_or_a_file(registry: RegistryServer, tmp_path: Path) -> None:
    registry.schemas[1], registry.user = JSON, "shop:p@ss:1/2"
    at = registry.url.removeprefix("http://")
    assert opened(f"http://shop:p%40ss:1%2F2@{at}/").read(prefixed(1, b"1")) == 1
    file = tmp_path / "password"
    file.write_text("old\n")
    reader = opened(f"http://shop@{at}", schema_registry_password_file=file)
    with pytest.raises(OSError, match="does not let us in"):
        reader.read(prefixed(1, b"1"))
    file.unlink()
    with pytest.raises(OSError, match=r"MINDSTREAM_SCHEMA_REGISTRY_PASSWORD_FILE is .*cannot be read"):
        reader.read(prefixed(1, b"1"))
    file.write_text("p@ss:1/2\n")  # it is read again
    assert reader.read(prefixed(1, b"1")) == 1


def test_a_token(registry: RegistryServer, tmp_path: Path) -> None:
    registry.schemas[1] = JSON
    (tmp_path / "token").write_text("abc\n")
    reader = opened(registry.url, schema_registry_token_file=tmp_path / "token")
    assert reader.read(prefixed(1, b"1")) == 1
    assert registry.asked == [("/schemas/ids/1", "Bearer abc")]


def test_one_of_two_registries_is_away(registry: RegistryServer) -> None:
    registry.schemas[1] = JSON
    with RegistryServer().serving() as other:
        away = other.url
    assert opened(f"{away}, {registry.url}").read(prefixed(1, b"1")) == 1


def test_a_certificate_of_our_own_authority(tmp_path: Path) -> None:
    system_packages.provide("openssl")
    authority = new_authority(tmp_path / "authority")
    certificate, key = authority.sign("registry", "127.0.0.1")
    registry = RegistryServer(schemas={1: JSON})
    with registry.serving(certificate=(str(certificate), str(key))):
        reader = opened(registry.url, schema_registry_cafile=authority.certificate)
        assert reader.read(prefixed(1, b"1")) == 1
        with pytest.raises(OSError, match=r"does not answer: .*certificate verify failed"):
            opened(registry.url).read(prefixed(1, b"1"))


def test_a_folder_that_is_away_is_waited_for(
    reader_of: "Callable[[dict[str, str]], RegistryReader]", tmp_path: Path
) -> None:
    reader = reader_of({"1.json": "{}"})
    (tmp_path / "schemas").rename(tmp_path / "away")
    with pytest.raises(OSError, match=r"the folder of schemas .*schemas cannot be read"):
        reader.read(prefixed(1, b"1"))
    (tmp_path / "away").rename(tmp_path / "schemas")
    assert reader.read(prefixed(1, b"1")) == 1
