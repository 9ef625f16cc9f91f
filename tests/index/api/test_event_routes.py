"""Posting events: who may, what is refused before Kafka is asked, and what is said where there is none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from index.api import event_routes
from index.api.errors import MOST_BYTES
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from stream.events.publisher import EventPublisher
from stream.kafka.embedded_broker import EmbeddedBroker
from stream.store.lmdb_store import LmdbStore
from tests.support.api_world import app_of, client_of

KEY, READ_KEY = "canary-write-7a1e", "canary-read-03bb"
ONE = {"user_id": "ann", "item_id": "mug"}
SHOP = "https://shop.example"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LmdbStore]:
    with LmdbStore(tmp_path_factory.mktemp("events") / "state") as store:
        yield store


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with an embedded broker, which takes events."""
    home = tmp_path_factory.mktemp("home")
    with EmbeddedBroker(Settings(home=home).state):
        yield home


@pytest.fixture(scope="module")
def client(bundle: Bundle, store: LmdbStore, home: Path) -> Iterator[TestClient]:
    """One that needs no key, over an API that takes events."""
    with EventPublisher(Settings(home=home, bootstrap_servers="")) as publisher:
        yield client_of(app_of(bundle, store, home, publisher)[0])


def results(client: TestClient) -> dict[str, float]:
    """What became of the events that were posted."""
    lines = [line.split("{result=") for line in client.get("/metrics").text.splitlines()]
    counts = [one[1].split("} ") for one in lines if one[0] == "mindstream_api_events_total"]
    return {name.strip('"'): float(count) for name, count in counts}


def test_what_is_accepted_and_refused_is_said_and_counted(client: TestClient) -> None:
    before = results(client)
    assert set(before) == {"accepted", "refused", "not_written", "in_doubt"}
    answer = client.post("/events", json=[ONE, {**ONE, "item_id": "bowl"}])
    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    assert client.post("/events", json=ONE, headers={"Idempotency-Key": "a1"}).json()["accepted"] == 1
    answer = client.post("/events", json=[ONE, {**ONE, "item_id": ""}, ONE])
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("1 of 3 events is not valid, so none was written; the first is that at pl")
    [fault] = answer.json()["refused"]
    assert (fault["place"], fault["reason"], "$.item_id" in fault["error"]) == (1, "field", True)
    assert {name: count - before[name] for name, count in results(client).items()} == {
        "accepted": 3,
        "refused": 1,
        "not_written": 2,
        "in_doubt": 0,
    }


@pytest.mark.parametrize(
    ("content", "headers", "status", "message"),
    [
        (b"{", {}, 422, "the body is no JSON in UTF-8"),
        (b"[]", {}, 422, "the body has 0 events; right are 1 to 1,000"),
        (b"{}", {"Idempotency-Key": "a b"}, 422, "the header Idempotency-Key is 'a b'; right are 1 to 120 visible"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "right is the header Content-Type: application/json"),
        (b"{}", {"Content-Type": ""}, 415, "right is the header Content-Type: application/json"),
        (b" " * (MOST_BYTES + 1), {}, 413, "the most is 1,000,000 bytes"),
    ],
)
def test_what_is_no_request_with_events_is_refused_in_words(
    client: TestClient, content: bytes, headers: dict[str, str], status: int, message: str
) -> None:
    answer = client.post("/events", content=content, headers={"Content-Type": "application/json", **headers})
    assert (answer.status_code, message in answer.json()["error"]) == (status, True), answer.text


def test_other_kinds_of_json_are_json(client: TestClient) -> None:
    for kind in ("application/json; charset=utf-8", "application/cloudevents+json", "APPLICATION/JSON"):
        answer = client.post("/events", content=b"[]", headers={"Content-Type": kind})
        assert "the body has 0 events" in answer.json()["error"]


NO_KEY: dict[str, Any] = {"api_host": "127.0.0.1"}
OPEN = {"api_host": "0.0.0.0"}
READ, WRITE = {"api_key": SecretStr(READ_KEY)}, {"write_key": SecretStr(KEY)}


@pytest.mark.parametrize(
    ("settings", "key", "status", "message"),
    [
        (NO_KEY, "", 503, "there is no Kafka to take events: KAFKA_BOOTSTRAP_SERVERS is not set"),
        (OPEN, "", 403, "no events are taken here: MINDSTREAM_WRITE_KEY is not set where the API runs"),
        (NO_KEY | READ, READ_KEY, 403, "MINDSTREAM_WRITE_KEY is not set"),
        (OPEN | WRITE, "", 401, "this needs the key of MINDSTREAM_WRITE_KEY, as X-API-Key: KEY"),
        (NO_KEY | WRITE, "", 401, "this needs the key of MINDSTREAM_WRITE_KEY"),
        (OPEN | WRITE | READ, READ_KEY, 401, "this needs the key of MINDSTREAM_WRITE_KEY"),
        (OPEN | WRITE | READ, KEY, 503, "there is no Kafka to take events"),
    ],
)
def test_who_may_post_events(
    bundle: Bundle, store: LmdbStore, tmp_path: Path, settings: dict[str, Any], key: str, status: int, message: str
) -> None:
    client = client_of(app_of(bundle, store, tmp_path, bootstrap_servers="", **settings)[0])
    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
        answer = client.post("/events", json=ONE, headers=headers)
        assert (answer.status_code, message in answer.json()["error"]) == (status, True), answer.text
        assert KEY not in answer.text
        assert (answer.headers.get("Retry-After") == "5") == (status == 503)
    if settings == OPEN | WRITE | READ:  # who may write may not read for that
        assert client.get("/users/ann/interests", headers={"X-API-Key": KEY}).status_code == 401
        assert client.get("/users/ann/interests", headers={"X-API-Key": READ_KEY}).status_code == 200


def test_pages_of_named_origins_may_post_events_and_do_no_more(
    bundle: Bundle, store: LmdbStore, tmp_path: Path, client: TestClient
) -> None:
    asks = {"Origin": SHOP, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    origins = f"https://other.example, {SHOP}"
    of_shop = client_of(app_of(bundle, store, tmp_path, bootstrap_servers="", cors_origins=origins)[0])
    answer = of_shop.options("/events", headers=asks)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, SHOP)
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    for status, content in ((422, b"[]"), (503, b'{"user_id":"ann","item_id":"mug"}'), (413, b" " * 1_000_001)):
        headers = {"Origin": SHOP, "Content-Type": "application/json"}
        answer = of_shop.post("/events", content=content, headers=headers)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, SHOP)
    allowed = "Access-Control-Allow-Origin"
    assert allowed not in of_shop.options("/events", headers=asks | {"Origin": "https://shop.example.evil"}).headers
    for path in ("/recommendations", "/events/", "/users/ann/interests", "/items"):
        assert allowed not in of_shop.options(path, headers=asks).headers
        assert allowed not in of_shop.get(path, headers={"Origin": SHOP}).headers
    assert allowed not in client.options("/events", headers=asks).headers  # where no origin is named


def test_more_requests_than_may_wait_are_told_to_come_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_routes, "MOST_WAITING", 0)
    answer = client.post("/events", json=ONE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["error"] == "0 requests with events wait for Kafka; nothing was written"


def test_the_schema_shows_the_route_with_examples_that_it_takes(client: TestClient) -> None:
    shown = client.get("/openapi.json").json()["paths"]["/events"]["post"]
    examples = shown["requestBody"]["content"]["application/json"]["examples"]
    assert {"202", "422", "503", "4XX"} <= shown["responses"].keys()
    assert [client.post("/events", json=one["value"]).json()["accepted"] for one in examples.values()] == [1, 2]
