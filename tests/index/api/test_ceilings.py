"""The ceiling of each request to the HTTP API: the work it may need, its deadline, and a client that has left."""

import asyncio
import json
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from fastapi import HTTPException
from fastapi import Request as HttpRequest
from fastapi.exceptions import RequestValidationError
from starlette.testclient import TestClient

from index.api.answers.gathered import GatheredAnswers
from index.api.errors import sentence
from index.api.item_routes import ItemAsked
from index.api.limits import work_lanes
from index.api.limits.bodies import SMALL, JsonRequest
from index.api.limits.waiting import ClientLeftError
from index.api.limits.work_lanes import WorkLanes
from index.api.metrics import ApiMetrics
from index.catalogue.catalogue import Catalogue
from index.recommend.cancellation import Cancellation, CancelledWorkError
from index.recommend.request import Request
from index.recommend.selection import choose_greedily, select_candidates
from index.recommend.work import WorkSize, estimated_s
from index.search.maxsim import Hits
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from stream.store.contract import Store
from stream.store.state import UserState
from tests.support.api_world import app_of, awaited, client_of

VISITOR = {"history": ["mug"]}
HEAVY = {"n": 600, "quota": 1, "diversity": 0.1, "max_cosine": 0.5}


class HeldStore:
    """A store of nobody that answers when it is let go."""

    def __init__(self) -> None:
        self.go, self.readings = threading.Event(), 0

    def get_many(self, user_ids: Iterable[str]) -> list[UserState | None]:
        self.readings += 1
        assert self.go.wait(240)
        return [None for _ in user_ids]


@pytest.fixture
def store() -> HeldStore:
    return HeldStore()


def client_over(bundle: Bundle, store: HeldStore, folder: Path, **settings: Any) -> TestClient:
    return client_of(app_of(bundle, cast(Store, store), folder, **settings)[0])


def test_too_much_work_is_refused_and_what_is_said_to_be_right_is_taken(
    bundle: Bundle, store: HeldStore, tmp_path: Path
) -> None:
    """The limit is what 12.5 such users need; so 13 are refused, 12 are said to be right, and 12 are answered."""
    store.go.set()
    limit_s = 12.5 * estimated_s(Request(**HEAVY), 1, WorkSize.of(bundle.manifest))  # type: ignore[arg-type]
    client = client_over(bundle, store, tmp_path, api_work_s=limit_s)
    answer = client.post("/recommendations", json={"visitors": [VISITOR] * 13, **HEAVY})
    said = answer.json()["error"]
    assert (answer.status_code, store.readings) == (422, 0)
    assert "for 13 users with n = 600" in said
    assert "MINDSTREAM_API_WORK_S" in said
    assert "at most 12 users at once" in said
    assert client.post("/recommendations", json={"visitors": [VISITOR] * 12, **HEAVY}).status_code == 200
    assert 'mindstream_api_not_done_total{reason="work"} 1.0' in client.get("/metrics").text


def test_an_n_that_is_said_to_be_right_is_the_largest_that_is_taken(
    bundle: Bundle, store: HeldStore, tmp_path: Path
) -> None:
    store.go.set()
    limit_s = estimated_s(Request(50, diversity=0.1), 1, WorkSize.of(bundle.manifest))
    client = client_over(bundle, store, tmp_path, api_work_s=limit_s)
    said = client.get("/users/ann/recommendations?n=51&diversity=0.1")
    assert (said.status_code, "right is n of at most 50" in said.json()["error"]) == (422, True)
    assert client.get("/users/ann/recommendations?n=50&diversity=0.1").status_code == 200
    assert client.get("/users/ann/recommendations?n=51").status_code == 200  # without diversity it is less


def test_more_of_anything_is_no_less_work() -> None:
    size = WorkSize(100_000, 64, 4)
    plain = estimated_s(Request(100), 10, size)
    assert estimated_s(Request(100), 20, size) == pytest.approx(2 * plain)
    options: list[dict[str, Any]] = [
        {"diversity": 0.1},
        {"quota": 5},
        {"by_importance": True},
        {"max_cosine": 0.9},
        {"exclude": frozenset({"a", "b"})},
    ]
    assert all(estimated_s(Request(100, **one), 10, size) > plain for one in options)
    assert estimated_s(Request(200), 10, size) > plain
    assert estimated_s(Request(100), 10, replace(size, newer=100_000)) > 2 * plain


def test_after_the_deadline_it_is_503_and_the_work_stops(
    bundle: Bundle, store: HeldStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[Exception | bytes] = []
    work = GatheredAnswers.work

    def noted(self: GatheredAnswers, jobs: Any) -> Any:
        left.extend(work(self, jobs))
        return left

    monkeypatch.setattr(GatheredAnswers, "work", noted)
    client = client_over(bundle, store, tmp_path, api_deadline_s=0.05)
    answer = client.get("/users/ann/recommendations")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "no answer within 0.05 s (MINDSTREAM_API_DEADLINE_S)" in answer.json()["error"]
    assert (left, client.get("/livez").text) == ([], "ok\n")
    store.go.set()
    until(lambda: [type(one) for one in left] == [CancelledWorkError])
    page = client.get("/metrics").text
    assert 'mindstream_api_not_done_total{reason="deadline"} 1.0' in page
    assert "mindstream_api_answers_total{" not in page


def test_items_have_a_deadline_too_and_are_written_all_the_same(
    bundle: Bundle, store: HeldStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.go.set()
    go, put_many = threading.Event(), Catalogue.put_many
    monkeypatch.setattr(Catalogue, "put_many", lambda *given: go.wait(240) and put_many(*given))
    client = client_over(bundle, store, tmp_path, api_deadline_s=0.05)
    lamp = {"item_id": "lamp", "title": "Lamp", "category": bundle.catalogue.category.values[0]}
    answer = client.post("/items", json=[lamp])
    assert (answer.status_code, client.get("/livez").text) == (503, "ok\n")
    assert "(MINDSTREAM_API_DEADLINE_S); what was asked may be written all the same" in answer.json()["error"]
    go.set()
    until(lambda: client.get("/items/lamp").status_code == 200)


def until(happened: Any) -> None:
    ends = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.005)


def http_of(kind: str) -> HttpRequest:
    """A request of which the server says the same whenever it is asked; "nothing": it never says anything."""

    async def receive() -> dict[str, Any]:
        if kind == "nothing":
            await asyncio.Event().wait()
        return {"type": kind}

    return HttpRequest({"type": "http"}, receive)


def lanes(**settings: float) -> WorkLanes:
    return WorkLanes(Settings(**settings), ApiMetrics())  # type: ignore[arg-type]


def test_the_work_of_a_client_that_has_left_is_cancelled() -> None:
    seen = threading.Event()

    def work(cancellation: Cancellation) -> None:
        try:
            until(lambda: cancellation.check())
        except CancelledWorkError:
            seen.set()

    with pytest.raises(ClientLeftError):
        awaited(lambda: lanes().run(http_of("http.disconnect"), 0.0, work))
    assert seen.wait(60)


def test_heavy_requests_wait_for_each_other_and_keep_no_quick_one_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """One heavy request is at work, one waits, and the third is told to come again; a quick one is answered."""
    monkeypatch.setattr(work_lanes, "HEAVY_THREADS", 1)
    monkeypatch.setattr(work_lanes, "HEAVY_WAITING", 1)
    go, desk = threading.Event(), lanes(api_deadline_s=240)

    def heavy(_: Cancellation) -> str:
        assert go.wait(240)
        return "heavy"

    async def ask() -> list[str]:
        two = [asyncio.ensure_future(desk.run(http_of("nothing"), 1.0, heavy)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(HTTPException, match="2 heavy requests wait already") as refused:
            await desk.run(http_of("nothing"), 1.0, heavy)
        assert refused.value.status_code == 503
        quick = await desk.run(http_of("nothing"), 0.0, lambda _: "quick")
        go.set()
        return [quick, *await asyncio.gather(*two)]

    assert awaited(ask) == ["quick", "heavy", "heavy"]


def test_work_that_is_cancelled_fetches_no_more() -> None:
    """Two near-duplicates are all that there is, so more would be fetched; the flag is set meanwhile."""
    hits = Hits(np.arange(5_000), -np.arange(5_000, dtype=np.float32), np.zeros(5_000, dtype=np.int64))
    items, category = np.ones((5_000, 2), dtype=np.float32), np.zeros(5_000, dtype=np.int64)
    cancellation, asked = Cancellation(), []

    def fetch(n: int) -> Hits:
        asked.append(n)
        if len(asked) == 2:
            cancellation.cancel()
        return hits.take(np.arange(n))

    request = Request(10, max_cosine=0.5)
    with pytest.raises(CancelledWorkError):
        select_candidates(fetch, request, items, category, np.ones(1), cancellation)
    assert asked == [40, 160]
    with pytest.raises(CancelledWorkError):
        choose_greedily(hits, request, items, category, np.ones(1), cancellation)


def test_work_that_was_cancelled_before_it_began_fetches_nothing() -> None:
    """A plain request has no greedy choice that would look at the flag later."""
    cancellation, none = Cancellation(), np.empty(0)
    cancellation.cancel()
    with pytest.raises(CancelledWorkError):
        select_candidates(lambda n: pytest.fail(f"{n} are fetched"), Request(10), none, none, none, cancellation)


class Written:
    """A value that counts how often it is written."""

    times = 0

    def __repr__(self) -> str:
        Written.times += 1
        return "1"


@pytest.mark.parametrize("value", [[Written()] * 1_000, {str(number): [[Written()]] for number in range(1_000)}])
def test_nothing_in_a_large_value_is_written(value: Any) -> None:
    Written.times = 0
    said = sentence({"loc": ["body", "exclude"], "type": "string_type", "input": value, "msg": "so many are too many"})
    assert (Written.times, said.startswith("exclude in the body is ")) == (0, True)


MANY = {f"a{number}": 1 for number in range(20_000)}
FLOODS: dict[str, tuple[str, Any, str]] = {
    "names": ("/recommendations", MANY, "a0 in the body is not known"),
    "histories": (
        "/recommendations",
        {"visitors": [{"history": [1] * 900}] * 90},
        "visitors[0].history[0] in the body is 1; right is text",
    ),
    "attributes": (
        "/recommendations",
        {"user_ids": ["a"], "where": MANY},
        "where in the body has 20,000 entries; right is at most 1,000",
    ),
    "values": (
        "/recommendations",
        {"user_ids": ["a"], "where": {"a": [1] * 20_000}},
        "where.a[0] in the body is 1; right is text",
    ),
    "items": ("/items", [{"title": 1}] * 900, "[0].item_id in the body is missing"),
    "of an item": (
        "/items",
        [{"item_id": "a", "title": "b", "attributes": MANY}],
        "[0].attributes in the body has 20,000 entries; right is at most 1,000",
    ),
}


@pytest.mark.parametrize(
    "body",
    [
        '{"a": [1, -2.5, 1.5e-300, 123456789012345678901234567890, true, null], "b": {"a": "\\u00e9\\n\\\\", "c": {}}}',
        '{"a": 1, "a": [2]}',
        '"\\ud83d\\ude00 \u00e9 , : [ {"',
        "[[[]], {}, []]",
    ],
)
@pytest.mark.parametrize("spaces", [0, SMALL])
def test_a_body_is_read_as_the_standard_library_reads_it(body: str, spaces: int) -> None:
    """Small and large ones are read by different ways."""
    scope = {"type": "http", "method": "POST", "headers": []}
    content = body.encode() + b" " * spaces

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content}

    assert awaited(JsonRequest(scope, receive).json) == json.loads(content)


@pytest.mark.parametrize("kind", FLOODS)
def test_of_very_many_faults_the_first_is_named_and_few_are_looked_at(
    bundle: Bundle, store: HeldStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Pydantic takes seconds, in which nobody else is answered, to describe a hundred thousand."""
    path, body, said = FLOODS[kind]
    described: list[int] = []
    handler = RequestValidationError.errors

    def counting(error: RequestValidationError) -> Any:
        described.append(len(handler(error)))
        return handler(error)

    monkeypatch.setattr(RequestValidationError, "errors", counting)
    answer = client_over(bundle, store, tmp_path).post(path, json=body)
    assert answer.status_code == 422
    assert said in answer.json()["error"]
    assert max(described) <= len(ItemAsked.model_fields)
