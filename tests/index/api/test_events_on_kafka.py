"""Posted events on a real Kafka: what is accepted is on the topic as it was sent, what is refused is not there."""

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType
from kafka.consumer.fetcher import ConsumerRecord

from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from stream.events import publisher as publishing
from stream.events.event import Event, decode
from stream.events.publisher import EventPublisher
from stream.kafka import cluster
from stream.store.lmdb_store import LmdbStore
from testbed.real_kafka import RealKafka
from testbed.stream_process import wait_until
from tests.support.api_world import app_of, awaited

CONNECTIONS = 50
TIME_MS = 1_782_777_600_000
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def app(bundle: Bundle, real_kafka: RealKafka, topic: str, tmp_path: Path) -> Iterator[FastAPI]:
    """The API over the real Kafka."""
    known = Settings(home=tmp_path, bootstrap_servers=real_kafka.bootstrap_servers, topic=topic)
    with EventPublisher(known) as publisher, LmdbStore(tmp_path / "state") as store:
        yield app_of(bundle, store, tmp_path, publisher)[0]


def post(app: FastAPI, *bodies: bytes) -> list[tuple[int, str]]:
    """Post bodies, all at once; status and text of each answer."""

    async def all_of_them() -> list[httpx2.Response]:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://api") as client:
            asked = [client.post("/events", content=body, headers=JSON, timeout=240) for body in bodies]
            return await asyncio.gather(*asked)

    return [(answer.status_code, answer.text) for answer in awaited(all_of_them)]


def click(user: str, place: int) -> bytes:
    """An event as nobody of ours would write it: other order, spaces, a field of the shop's own."""
    return (
        f'{{ "item_id": "item-{place}",  "user_id":"{user}","event_time_ms":{TIME_MS + place},"price":1.10}}'.encode()
    )


def by_key(records: list[ConsumerRecord]) -> dict[str, list[bytes]]:
    """The values of each key, in their order; all of a key are on one partition."""
    assert len({(one.key, one.partition) for one in records}) == len({one.key for one in records})
    found: dict[str, list[bytes]] = {}
    for record in records:
        found.setdefault(record.key.decode(), []).append(record.value)
    return found


def test_what_is_accepted_is_on_the_topic_as_it_was_sent(app: FastAPI, real_kafka: RealKafka, topic: str) -> None:
    """Fifty requests at once, every fifth of which has an event that is not valid and leaves nothing behind."""
    sent = {f"Zoë {user}": [click(f"Zoë {user}", place) for place in range(3)] for user in range(CONNECTIONS)}
    refused = set(list(sent)[::5])
    bodies = [
        b"[" + b" , ".join([*clicks, b'{"user_id":"x"}'] if user in refused else clicks) + b"]"
        for user, clicks in sent.items()
    ]
    answers = post(app, *bodies)
    assert [status for status, _ in answers] == [422 if user in refused else 202 for user in sent]
    assert by_key(real_kafka.records(topic)) == {user: sent[user] for user in sent if user not in refused}


def test_one_event_without_a_time_is_of_the_time_that_the_answer_says(
    app: FastAPI, real_kafka: RealKafka, topic: str
) -> None:
    [(status, text)] = post(app, b'{"user_id":"ann","item_id":"mug"}')
    [record] = real_kafka.records(topic)
    assert status == 202
    assert decode(record.value, record.key, record.timestamp) == Event("ann", "mug", json.loads(text)["received_ms"])
    assert abs(record.timestamp - json.loads(text)["received_ms"]) < 60_000


def test_no_topic_is_made(
    bundle: Bundle, real_kafka: RealKafka, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Settings(home=tmp_path, bootstrap_servers=real_kafka.bootstrap_servers, topic=f"{topic}-misspelt")
    with EventPublisher(known) as publisher, LmdbStore(tmp_path / "state") as store:
        answers = post(app_of(bundle, store, tmp_path, publisher)[0], *[click("ann", 1)] * 3)
    for status, text in answers:
        assert (
            status,
            f"Kafka has no topic {topic}-misspelt to take events; where all is new the first updater" in text,
        ) == (503, True)
        assert real_kafka.bootstrap_servers not in text
    with real_kafka.admin() as admin:
        assert f"{topic}-misspelt" not in admin.list_topics()


def test_an_event_that_is_too_large_for_the_topic_is_named_and_holds_up_nobody(
    app: FastAPI, real_kafka: RealKafka, topic: str
) -> None:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": (AlterConfigOp.SET, "20000")})
    with real_kafka.admin() as admin:
        admin.alter_configs([resource])
    large = click("large", 1).replace(b"1.10", b'"' + b"x" * 30_000 + b'"')

    def refused() -> bool:  # once the broker knows it
        [(status, text)] = post(app, b"[" + click("small", 1) + b"," + large + b"]")
        return status == 413 and "the event at place 1 has 30,0" in text and json.loads(text)["in_doubt"]

    wait_until(refused, "a large event is refused")
    [(status, text)] = post(app, large)
    assert (status, text.count("nothing was written"), json.loads(text)["in_doubt"]) == (413, 1, False)
    assert [status for status, _ in post(app, click("after", 1))] == [202]
    assert by_key(real_kafka.records(topic))["after"] == [click("after", 1)]


def test_a_broker_that_is_killed_loses_nothing_that_was_acknowledged(
    app: FastAPI,
    real_kafka: RealKafka,
    topic: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, publishing.__name__)
    if not real_kafka.can_restart:
        pytest.skip("only a broker that was started here can be killed")
    [(status, _)] = post(app, click("before", 1))
    assert status == 202
    monkeypatch.setattr(publishing, "ACKNOWLEDGED_WITHIN_S", 1.0)
    monkeypatch.setattr(cluster, "CONNECTED_WITHIN_S", 0.5)
    real_kafka.kill()
    try:
        [(status, text)] = post(app, b"[" + b",".join([click("doubt", 1), click("doubt", 2)]) + b"]")
        assert (status, json.loads(text)["in_doubt"]) == (503, True)
        assert "Kafka has not acknowledged all 2 events within 1 s, so what was sent may have been written" in text
        for status, text in post(app, *[click("away", place) for place in range(CONNECTIONS)]):
            assert (status, json.loads(text)["in_doubt"]) == (503, False)
            assert "Kafka does not answer, so nothing was written" in text
            assert real_kafka.bootstrap_servers not in text
    finally:
        real_kafka.restart()
    monkeypatch.undo()
    assert {status for status, _ in post(app, *[click("after", place) for place in range(5)])} == {202}
    lines = [line.getMessage() for line in caplog.records if line.name == publishing.__name__]
    assert len(lines) == 2, lines
    assert lines[0].startswith("posted events are not published: Kafka has not acknowledged all 2 events")
    assert lines[1] == f"posted events are published again; {1 + CONNECTIONS} requests were told that theirs are not"
    found = by_key(real_kafka.records(topic))
    assert (found.keys() - {"doubt"}, found["before"]) == ({"before", "after"}, [click("before", 1)])
    assert sorted(found["after"]) == [click("after", place) for place in range(5)]
