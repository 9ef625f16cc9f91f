"""The HTTP API in process, over a real store and a real bundle: what it answers, and what it refuses."""

import gzip
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from msgspec import structs
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from starlette.testclient import TestClient

from index.api.errors import JSON, MOST_BYTES
from index.api.requests import MOST_USERS
from index.recommend.recommender import Recommender
from model_export.bundle.bundle import Bundle, write_manifest
from stream.store.feedback import Feedback, ItemFeedback
from stream.store.lmdb_store import LmdbStore
from testbed.real_redis import RealRedis
from tests.support.api_world import AGE_S, app_of, client_of, user
from tests.support.overlay.stores import spoil
from tests.support.refusals import refused_in_turn

KEY = "canary-4f1d"
ODD = ["a/b", "a/recommendations", "50% off", "Zoë 🚲", "line\nbreak", "?n=1#x", "+ &", "🚲" * 127]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Iterator[LmdbStore]:
    with LmdbStore(tmp_path_factory.mktemp("api") / "state") as store:
        store.put_many([user(bundle, name, bundle.item_ids[3:13]) for name in ("ann", *ODD)])
        store.put_many([user(bundle, "gone", ["not", "known"]), user(bundle, "new", [])])
        yield store


@pytest.fixture(scope="module")
def client(bundle: Bundle, store: LmdbStore, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    return client_of(app_of(bundle, store, tmp_path_factory.mktemp("home"))[0])


@pytest.fixture(scope="module")
def recommender(bundle: Bundle, store: LmdbStore) -> Recommender:
    return Recommender(bundle, store)


def error_of(answer: Any) -> str:
    """The sentence of a refusal, which has nothing else."""
    assert set(answer.json()) == {"error"}
    return str(answer.json()["error"])


def test_recommendations_are_the_recommender_s(client: TestClient, recommender: Recommender, bundle: Bundle) -> None:
    answer = client.get("/users/ann/recommendations", params={"n": 7})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    body, right = answer.json(), recommender.recommend("ann", 7)
    assert [one["item_id"] for one in body["candidates"]] == right.item_ids
    assert [one["score"] for one in body["candidates"]] == right.scores
    assert [one["interest"] for one in body["candidates"]] == right.capsule
    assert (body["user_id"], body["path"], body["model_version"]) == ("ann", "capsules", bundle.version)
    assert AGE_S <= body["freshness_s"] < AGE_S + 600
    first, row = body["candidates"][0], bundle.rows[right.item_ids[0]]
    shown = bundle.catalogue
    assert (first["title"], first["category"], first["price"]) == (
        shown.title[row],
        shown.category[row],
        shown.price[row],
    )
    for one, its in zip(body["interests"], right.interests, strict=True):
        assert one["importance"] == its.importance
        assert [(b["item_id"], b["weight"]) for b in one["behaviours"]] == [
            (b.item_id, b.weight) for b in its.behaviours[:5]
        ]
        assert one["behaviours"][0]["title"] == shown.title[bundle.rows[one["behaviours"][0]["item_id"]]]


def test_options_in_the_query_are_those_of_a_request(
    client: TestClient, recommender: Recommender, bundle: Bundle
) -> None:
    first, other = sorted(set(bundle.catalogue.category))[:2]
    left_out = recommender.recommend("ann", 1, where={"category": frozenset({first, other})}).item_ids
    query: dict[str, Any] = {
        "n": 9,
        "exclude_seen": True,
        "exclude": left_out,
        "category": first,
        "where": f"category={other}",
    }
    numbers: dict[str, Any] = {"min_score": -5, "quota": 4, "by_importance": True, "diversity": 0.1, "max_cosine": 0.99}
    found = client.get("/users/ann/recommendations", params={**query, **numbers}).json()["candidates"]
    right = recommender.recommend(
        "ann",
        9,
        exclude_seen=True,
        exclude=frozenset(left_out),
        where={"category": frozenset({first, other})},
        **numbers,
    )
    assert [one["item_id"] for one in found] == right.item_ids
    assert {one["category"] for one in found} <= {first, other}


@pytest.mark.parametrize(("user_id", "age"), [("nobody", None), ("new", None), ("gone", AGE_S)])
def test_who_is_not_known_gets_popular_items(client: TestClient, user_id: str, age: float | None) -> None:
    body = client.get(f"/users/{user_id}/recommendations").json()
    assert (body["path"], body["interests"], len(body["candidates"])) == ("popular", [], 50)
    assert body["candidates"][0]["interest"] is None
    assert (body["freshness_s"] is None) == (age is None)
    interests = client.get(f"/users/{user_id}/interests").json()
    assert (interests["path"], interests["interests"]) == ("popular", [])


@pytest.mark.parametrize("user_id", ODD)
def test_ids_are_data(client: TestClient, user_id: str) -> None:
    for what in ("recommendations", "interests"):
        answer = client.get(f"/users/{quote(user_id, safe='')}/{what}")
        assert (answer.status_code, answer.json()["user_id"], answer.json()["path"]) == (200, user_id, "capsules")


def test_interests_have_all_behaviours_and_vectors_where_asked(
    client: TestClient, recommender: Recommender, store: LmdbStore
) -> None:
    plain = client.get("/users/ann/interests").json()
    assert {one["vector"] for one in plain["interests"]} == {None}
    right = recommender.recommend("ann", 1).interests
    assert [[b["item_id"] for b in one["behaviours"]] for one in plain["interests"]] == [
        [b.item_id for b in one.behaviours] for one in right
    ]
    with_vectors = client.get("/users/ann/interests", params={"vectors": True}).json()
    [state] = store.get_many(["ann"])
    assert state is not None
    np.testing.assert_array_equal([one["vector"] for one in with_vectors["interests"]], state.capsules.vectors)


def test_a_batch_answers_users_and_visitors_in_their_order(client: TestClient, bundle: Bundle) -> None:
    profile = {"region": "north", "age": "25-34"}
    history = bundle.item_ids[3:13]
    visitors = [{"history": history}, {"history": history, "profile": profile}, {"history": ["unknown"]}]
    asked = {"user_ids": ["nobody", "ann"], "visitors": visitors, "n": 5, "exclude_seen": True}
    nobody, ann, same, other, unknown = client.post("/recommendations", json=asked).json()["answers"]
    assert [one["user_id"] for one in (nobody, ann, same, other)] == ["nobody", "ann", None, None]
    assert [one["path"] for one in (nobody, ann, same, unknown)] == ["popular", "capsules", "capsules", "popular"]
    assert same["candidates"] == ann["candidates"]
    assert same["interests"] == ann["interests"]
    assert other["candidates"] != same["candidates"]
    assert (same["freshness_s"], ann["freshness_s"] >= AGE_S) == (None, True)
    assert not {one["item_id"] for one in same["candidates"]} & set(history)


def test_similar_items_are_those_of_an_interest_in_one(client: TestClient, bundle: Bundle) -> None:
    items = np.asarray(bundle.item_embeddings)
    item_id = bundle.item_ids[5]
    body = client.get(f"/items/{item_id}/similar", params={"n": 4}).json()
    scores = items @ (items[5] / np.linalg.norm(items[5]))
    scores[5] = -np.inf
    assert [one["item_id"] for one in body["candidates"]] == [bundle.item_ids[row] for row in np.argsort(-scores)[:4]]
    assert (body["path"], body["model_version"], body["freshness_s"]) == ("similar", bundle.version, None)
    category = bundle.catalogue.category[5]
    same = client.get(f"/items/{item_id}/similar", params={"category": category}).json()["candidates"]
    assert {one["category"] for one in same} == {category}


WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    ("/users/ann/recommendations?n=0", {}, 422, "n in the query is '0'; right is at least 1"),
    ("/users/ann/recommendations?n=1001", {}, 422, "n in the query is '1001'; right is at most 1,000"),
    ("/users/ann/recommendations?n=ten", {}, 422, "n in the query is 'ten'; right is a whole number"),
    ("/users/ann/recommendations?n=1&n=2", {}, 422, "n in the query is given 2 times: '1', '2'; right is once"),
    ("/users/ann/interests?vectors=1&vectors=1", {}, 422, "vectors in the query is given 2 times"),
    ("/users/ann/recommendations?nn=1", {}, 422, "nn in the query is not known; /docs says what is"),
    ("/users/ann/recommendations?min_score=nan", {}, 422, "min_score is nan; right is a finite number"),
    ("/users/ann/recommendations?where=tea", {}, 422, "where in the query is 'tea'; right is attribute=value"),
    ("/users/ann/recommendations?where=smell=good", {}, 422, "there is no attribute 'smell'; right are"),
    ("/users/ann/recommendations?category=Air", {}, 422, "no item has the category 'Air'; right are"),
    ("/users//recommendations", {}, 422, "user_id in the path is ''; right is text of at least 1 character"),
    (f"/users/{'x' * 128}/interests", {}, 422, "user_id in the path is 'xxx"),
    ("/users/ann/interests?vectors=some", {}, 422, "vectors in the query is 'some'; right is true or false"),
    ("/items/lost/similar", {}, 404, "knows no item 'lost'"),
    ("/items//similar", {}, 422, "item_id in the path is ''"),
    ("/users/ann", {}, 404, "there is nothing at '/users/ann'; /docs says what there is"),
    ("/recommendations", {"method": "GET"}, 405, "GET is not for '/recommendations'"),
    ("/recommendations", {"content": b"{"}, 422, "the body is no JSON: Expecting property name"),
    (
        "/recommendations",
        {"content": b"[" * 8_000},
        400,
        "the body is nested too deeply",
    ),
    (
        "/recommendations",
        {"content": b'{"user_ids": ["\xff"]}'},
        400,
        "the body is no UTF-8: it has the byte 0xff at 15",
    ),
    ("/recommendations", {"content": b'{"n": ' + b"1" * 5_000 + b"}"}, 400, "a number of more than 4,300 digits"),
    ("/recommendations", {"content": b"null"}, 422, "the body is null; right is an object"),
    ("/recommendations", {"content": b"5"}, 422, "the body is 5; right is an object"),
    ("/recommendations", {"json": {"user_ids": ["a"], "n": True}}, 422, "n in the body is true; right is a whole numb"),
    ("/recommendations", {"json": {"user_ids": ["a"], "n": "1"}}, 422, "n in the body is '1'; right is a whole number"),
    ("/recommendations", {"json": {"user_ids": ["a"], "n": None}}, 422, "n in the body is null; right is a whole numb"),
    ("/recommendations", {"json": {"user_ids": ["a"], "n": [1]}}, 422, "n in the body is a list; right is a whole num"),
    ("/recommendations", {"json": {"user_ids": ["a"], "exclude_seen": 1}}, 422, "exclude_seen in the body is 1; right"),
    (
        "/recommendations",
        {"json": {"user_ids": ["a"], "min_score": "1"}},
        422,
        "min_score in the body is '1'; right is",
    ),
    ("/items", {"json": [{"item_id": "a", "title": "A", "price": True}]}, 422, "[0].price in the body is true; right"),
    ("/items", {"json": [{"item_id": "a"}]}, 422, "[0].title in the body is missing; /docs says what it is"),
    ("/items", {"json": {"item_id": "a"}}, 422, "the body is an object; right is a list"),
    ("/recommendations", {"content": b"[" * 20_000}, 400, "the body is nested too deeply"),
    ("/recommendations", {"content": b"[" * 100_000}, 413, "the body has 0 names, 100,000 lists and objects and 0"),
    ("/recommendations", {"json": {"exclude": [1] * 200_000}}, 413, "at most 30,000 of the first three together"),
    (
        "/recommendations",
        {"content": b"{\n" + b" " * 9_000 + b"x}"},
        422,
        "is no JSON: key must be a string at character 9002",
    ),
    ("/recommendations", {"content": b" " * (MOST_BYTES + 1)}, 413, "the most is 1,000,000 bytes"),
    ("/recommendations", {"content": (b" " * 60_000 for _ in range(20))}, 413, "the most is 1,000,000 bytes"),
    ("/recommendations", {"json": {}}, 422, "user_ids and visitors in the body have 0 entries together; 1 to 100"),
    ("/recommendations", {"json": {"user_ids": ["a"] * MOST_USERS, "visitors": [{"history": []}]}}, 422, "101 entries"),
    (
        "/recommendations",
        {"json": {"user_ids": ["a"] * 101}},
        422,
        "user_ids in the body has 101 entries; right is at most 100",
    ),
    (
        "/recommendations",
        {"content": b'{"user_ids": ["\\ud800"]}'},
        422,
        r"user_ids[0] in the body is '\ud800'; right is text",
    ),
    (
        "/recommendations",
        {"json": {"user_ids": ["a"], "where": {"category": []}}},
        422,
        "where.category in the body has 0 entries; right is at least 1",
    ),
    (
        "/recommendations",
        {"content": b'{"user_ids": ["a"], "where": {"category": ["\\ud800"]}}'},
        422,
        r"where.category[0] in the body is '\ud800'",
    ),
    ("/items/remove", {"content": b'{"item_ids": ["a", "\\ud800"]}'}, 422, r"item_ids[1] in the body is '\ud800'"),
    ("/items/restore", {"content": b'{"item_ids": ["\\ud800"]}'}, 422, r"item_ids[0] in the body is '\ud800'"),
    (
        "/items",
        {"content": b'[{"item_id": "a", "title": "A", "vector": [NaN]}]'},
        422,
        "[0].vector[0] in the body is nan; right is a finite number",
    ),
    ("/users/%FF/recommendations", {}, 422, "the path is no UTF-8 where its percent signs are decoded"),
    ("/items/%ED%A0%80", {"method": "DELETE"}, 422, "the path is no UTF-8 where its percent signs are decoded"),
    ("/recommendations", {"json": {"visitors": [{}]}}, 422, "visitors[0].history in the body is missing"),
    (
        "/recommendations",
        {"json": {"visitors": [{"history": ["a"] * 1001}]}},
        422,
        "visitors[0].history in the body has 1,001",
    ),
]


@pytest.mark.parametrize(
    ("path", "sent", "status", "message"), WRONG, ids=[f"{n} {one[0][:60]}" for n, one in enumerate(WRONG)]
)
def test_what_is_not_right_is_named(
    client: TestClient, path: str, sent: dict[str, Any], status: int, message: str
) -> None:
    method = sent.get("method") or ("POST" if sent else "GET")
    sent = {name: value for name, value in sent.items() if name != "method"}
    answer = client.request(method, path, headers={"Content-Type": "application/json"}, **sent)
    assert answer.status_code == status, answer.text
    assert message in error_of(answer)
    assert len(answer.text) < 400


def test_nothing_is_removed_where_one_id_can_be_written_nowhere(client: TestClient, bundle: Bundle) -> None:
    body = f'{{"item_ids": ["{bundle.item_ids[0]}", "\\ud800"]}}'
    answer = client.post("/items/remove", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert client.get(f"/items/{bundle.item_ids[0]}").status_code == 200
    found = client.get(f"/items/{bundle.item_ids[1]}/similar", params={"n": 1_000}).json()["candidates"]
    assert bundle.item_ids[0] in {one["item_id"] for one in found}


def test_an_id_may_hold_the_replacement_character_itself(client: TestClient) -> None:
    assert client.get("/users/%EF%BF%BD/recommendations").json()["user_id"] == "\ufffd"


def test_a_body_that_does_not_say_that_it_is_json(client: TestClient) -> None:
    answer = client.post("/recommendations", content=b'{"user_ids": ["ann"]}')
    assert answer.status_code == 422
    assert (
        error_of(answer) == "the body does not say that it is JSON; right is the header Content-Type: application/json"
    )


def test_a_compressed_body_is_refused_in_words(client: TestClient) -> None:
    body = gzip.compress(b'{"user_ids": ["ann"]}')
    for path in ("/recommendations", "/events"):
        answer = client.post(path, content=body, headers={"Content-Type": JSON, "Content-Encoding": "gzip"})
        assert (answer.status_code, error_of(answer)) == (
            415,
            "the header Content-Encoding is 'gzip'; right is a body as it is, without that header",
        )
    headers = {"Content-Type": JSON, "Content-Encoding": "identity"}
    assert client.post("/recommendations", content=b'{"user_ids": ["ann"]}', headers=headers).status_code == 200


def test_load_balancers_may_ask_for_the_head_alone(client: TestClient) -> None:
    answer = client.head("/healthz")
    assert (answer.status_code, answer.text) == (200, "")


@pytest.fixture(scope="module")
def locked(bundle: Bundle, store: LmdbStore, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """A client of an API with a key."""
    return client_of(app_of(bundle, store, tmp_path_factory.mktemp("locked"), api_key=SecretStr(KEY))[0])


@pytest.mark.parametrize("path", ["/users/ann/recommendations", "/users/ann/interests", "/items/x/similar", "/items/x"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"X-API-Key": ""}, {"X-API-Key": KEY + "x"}, {"X-API-Key": "ö"}, {"Authorization": f"Basic {KEY}"}],
    ids=str,
)
def test_without_the_key_nothing_is_told(locked: TestClient, path: str, headers: dict[str, str]) -> None:
    sent = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = locked.get(path, headers=sent)  # type: ignore[arg-type]
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "MINDSTREAM_API_KEY" in error_of(answer)
    assert KEY not in answer.text


@pytest.mark.parametrize("headers", [{"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}], ids=str)
def test_the_key_opens(locked: TestClient, headers: dict[str, str]) -> None:
    assert locked.get("/users/ann/recommendations", headers=headers).json()["path"] == "capsules"
    assert locked.post("/recommendations", headers=headers, json={"user_ids": ["ann"]}).status_code == 200
    assert KEY not in locked.get("/metrics", headers=headers).text


def test_some_pages_need_no_key(locked: TestClient) -> None:
    assert locked.get("/healthz").text == "ok\n"
    assert locked.get("/", follow_redirects=False).headers["location"] == "/docs"
    assert "swagger" in locked.get("/docs").text
    schema = locked.get("/openapi.json")
    assert KEY not in schema.text
    assert set(schema.json()["components"]["securitySchemes"]) == {"APIKeyHeader", "HTTPBearer"}
    assert locked.post("/recommendations", json={"user_ids": ["ann"]}).status_code == 401


def test_metrics_name_routes_and_never_users(bundle: Bundle, store: LmdbStore, tmp_path: Path) -> None:
    client = client_of(app_of(bundle, store, tmp_path)[0])
    for path in ("/users/ann/recommendations", "/users/secret-user/recommendations", "/users/ann/interests?vectors=x"):
        client.get(path)
    client.request("BREW", "/coffee")
    text = client.get("/metrics").text
    families = {family.name: family.samples for family in text_string_to_metric_families(text)}
    requests = {
        tuple(one.labels.values()): one.value for one in families["mindstream_api_requests"] if "total" in one.name
    }
    assert requests == {
        ("GET", "/users/{user_id}/recommendations", "200"): 2,
        ("GET", "/users/{user_id}/interests", "422"): 1,
        ("other", "other", "404"): 1,
    }
    answers = {one.labels["path"]: one.value for one in families["mindstream_api_answers"] if "total" in one.name}
    assert answers == {"capsules": 1, "popular": 1}
    assert [one.labels for one in families["mindstream_bundle_info"]] == [{"version": bundle.version}]
    [aged] = [one.value for one in families["mindstream_api_freshness_seconds"] if one.name.endswith("_count")]
    assert aged == 1
    assert "secret-user" not in text
    assert "_created" not in text


def test_a_new_model_is_served_whole(bundle: Bundle, store: LmdbStore, tmp_path: Path) -> None:
    app, serving = app_of(bundle, store, tmp_path)
    client = client_of(app)
    before = client.get("/users/ann/recommendations").json()
    newer = Bundle(shutil.copytree(bundle.path, tmp_path / "newer"))
    write_manifest(newer.path, replace(newer.manifest, version="newer"))
    serving.registry.publish(newer.path)
    assert serving.look()
    after = client.get("/users/ann/recommendations").json()
    assert (before["model_version"], after["model_version"]) == (bundle.version, "newer")
    assert after["candidates"] == before["candidates"]  # of capsules that were computed again
    assert 'mindstream_bundle_info{version="newer"} 1.0' in client.get("/metrics").text


def test_a_bad_model_changes_nothing_and_is_counted(bundle: Bundle, store: LmdbStore, tmp_path: Path) -> None:
    app, serving = app_of(bundle, store, tmp_path)
    client = client_of(app)
    before = client.get("/users/ann/recommendations").json()
    assert "mindstream_bundles_refused_total 0.0" in client.get("/metrics").text
    assert "mindstream_bundle_behind_seconds 0.0" in client.get("/metrics").text
    serving.registry.write_pointer(["not-there"])
    os.utime(serving.registry.folder / "CURRENT", (1_000_000_000, 1_000_000_000))
    assert not serving.look()
    page = client.get("/metrics").text
    assert "mindstream_bundles_refused_total 1.0" in page
    [behind] = [line for line in page.splitlines() if line.startswith("mindstream_bundle_behind_seconds ")]
    assert float(behind.split()[1]) > 700_000_000
    said = client.get("/readyz").text.splitlines()
    assert said[:2] == ["ok", f"model {bundle.version}"]
    assert said[2].startswith("CURRENT names model not-there since 2001-09-09T01:46:40+00:00: ")
    after = client.get("/users/ann/recommendations").json()
    assert (after["model_version"], after["candidates"]) == (bundle.version, before["candidates"])


def test_every_bad_bundle_is_refused_by_name_and_answers_go_on(
    bundle: Bundle, store: LmdbStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, serving = app_of(bundle, store, tmp_path)
    client, before = client_of(app), serving.version
    for count, (version, said) in enumerate(refused_in_turn(serving, bundle, monkeypatch), start=1):
        lines = client.get("/readyz").text.splitlines()
        assert lines[:2] == ["ok", f"model {before}"]
        assert lines[2].startswith(f"CURRENT names model {version} since ")
        assert " ".join(said.split()) in lines[2]
        assert client.get("/users/ann/recommendations").json()["model_version"] == before
        assert f"mindstream_bundles_refused_total {count}.0" in client.get("/metrics").text


def lamp(bundle: Bundle, **fields: object) -> dict[str, object]:
    """A new item with a category that the model knows."""
    known = next(category for category in bundle.catalogue.category if category)
    return {"item_id": "oak/lamp", "title": "Oak lamp", "category": known, "price": 49.0, "attributes": {}} | fields


def test_a_new_item_is_found_at_once_until_it_is_removed(bundle: Bundle, store: LmdbStore, tmp_path: Path) -> None:
    client = client_of(app_of(bundle, store, tmp_path)[0])
    wanted = {"n": "600", "category": str(lamp(bundle)["category"])}

    def found() -> dict[str, Any]:
        answer = client.get("/users/ann/recommendations", params=wanted).json()
        return {one["item_id"]: one for one in answer["candidates"]}

    assert "oak/lamp" not in found()
    assert client.post("/items", json=[lamp(bundle)]).status_code == 204
    assert found()["oak/lamp"]["title"] == "Oak lamp"
    assert client.get("/items/oak%2Flamp").json() == lamp(bundle)
    assert client.get("/items/oak%2Flamp/similar").status_code == 200
    known = bundle.item_ids[0]
    assert client.post("/items", json=[lamp(bundle, item_id=known, title="New name")]).status_code == 204
    assert found()[known]["title"] == "New name"
    for item_id in ("oak%2Flamp", known):
        assert client.delete(f"/items/{item_id}").status_code == 204
        assert client.get(f"/items/{item_id}").status_code == 404
    assert client.get("/items/oak%2Flamp/similar").status_code == 404
    assert client.get(f"/items/{known}/similar").status_code == 200  # the page of what is sold out shows others
    assert not {"oak/lamp", known} & found().keys()
    for item_id in ("oak%2Flamp", known):
        assert client.post(f"/items/{item_id}/restore").status_code == 204
    assert (found()["oak/lamp"]["title"], found()[known]["title"]) == ("Oak lamp", "New name")
    assert client.post("/items/lost/restore").status_code == 404
    assert client.post(f"/items/{600 * 'a'}/restore").status_code == 422


def test_many_items_go_and_come_back_and_one_brings_its_own_vector(
    bundle: Bundle, store: LmdbStore, tmp_path: Path
) -> None:
    client = client_of(app_of(bundle, store, tmp_path)[0])
    known, vector = bundle.item_ids[:2], bundle.item_embeddings[0].tolist()
    asked = {"item_ids": [*known, "lost", ""]}
    empty = {"": "the item_id '' has 0 bytes; right is 1 to 511 bytes of UTF-8"}
    answer = client.post("/items/remove", json=asked).json()
    assert answer == {"removed": 3, "unchanged": 0, "unknown": 1, "refused": empty}
    answer = client.post("/items/remove", json={"item_ids": [known[0], "lost"]}).json()
    assert answer == {"removed": 0, "unchanged": 2, "unknown": 0, "refused": {}}
    assert [client.get(f"/items/{item_id}").status_code for item_id in known] == [404, 404]
    answer = client.post("/items/restore", json={"item_ids": [*known, bundle.item_ids[2], "never", ""]}).json()
    assert answer == {"restored": 2, "unchanged": 1, "unknown": 1, "refused": empty}
    answer = client.post("/items/restore", json={"item_ids": ["lost"]}).json()  # whose removal is dropped
    assert answer == {"restored": 0, "unchanged": 0, "unknown": 1, "refused": {}}
    assert client.post("/items/lost/restore").status_code == 404
    assert client.delete("/items/restore").status_code == 204  # an item may be called so
    own = lamp(bundle, category="Unheard of", price=None, vector=vector)
    assert client.post("/items", json=[own]).status_code == 204
    assert client.get("/items/oak%2Flamp").json() == {**own, "vector_model": bundle.version}
    [first] = client.get("/items/oak%2Flamp/similar?n=1").json()["candidates"]
    assert first["item_id"] == bundle.item_ids[0]
    answer = client.post("/items", json=[{**own, "vector": [1.0]}])
    assert (answer.status_code, error_of(answer)) == (422, "the vector of item 'oak/lamp' has 1 numbers; right is 16")


def test_an_item_that_the_next_model_cannot_find_says_so_and_is_counted(
    bundle: Bundle, store: LmdbStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app, serving = app_of(bundle, store, tmp_path)
    client = client_of(app)
    own = lamp(bundle, category="Unheard of", price=None, vector=bundle.item_embeddings[0].tolist())
    assert client.post("/items", json=[own, lamp(bundle, item_id="known")]).status_code == 204
    assert 'mindstream_items_left_out{reason="vector"} 0.0' in client.get("/metrics").text
    newer = Bundle(shutil.copytree(bundle.path, tmp_path / "newer"))
    write_manifest(newer.path, replace(newer.manifest, version="newer"))
    serving.registry.publish(newer.path)
    assert serving.look()
    [line] = [line for line in caplog.messages if "leaves out" in line]
    said = "the model newer leaves out 1 entry of the item store: 1 whose vector is of another model; "
    assert line.startswith(said)
    assert client.get("/items/oak%2Flamp").json()["vector_model"] == bundle.version
    answer = client.get("/items/oak%2Flamp/similar")
    assert (answer.status_code, error_of(answer)) == (
        409,
        f"item 'oak/lamp' was added, and no answer can have it now: the vector of item 'oak/lamp' is of the model "
        f"{bundle.version!r}; right is a vector of the model 'newer', which is served, or none and a value that it "
        "knows; add it again so",
    )
    overlay = serving.current.catalogue.overlay
    assert overlay is not None
    for item_id, value in (("bad", b"{"), ("odd", b'{"item_id": "odd", "title": "Odd"}')):
        spoil(overlay.store, item_id, value)
    overlay.look()
    for path, end in (("/items/bad", "put or remove it again"), ("/items/bad/similar", "add it again so")):
        answer = client.get(path)
        assert (answer.status_code, "this is no item" in error_of(answer)) == (409, True)
        assert error_of(answer).endswith(end)
    assert "the model knows no value of item 'odd'" in error_of(client.get("/items/odd/similar"))
    page = client.get("/metrics").text
    for reason in ("vector", "values", "unreadable"):
        assert f'mindstream_items_left_out{{reason="{reason}"}} 1.0' in page
    assert client.post("/items", json=[own, lamp(bundle, item_id="bad")]).status_code == 204
    assert client.delete("/items/odd").status_code == 204
    assert client.get("/items/oak%2Flamp/similar").status_code == 200
    page = client.get("/metrics").text
    for reason in ("vector", "values", "unreadable"):
        assert f'mindstream_items_left_out{{reason="{reason}"}} 0.0' in page
    said = "knows no item 'odd', and it was removed"
    assert said in error_of(client.get("/items/odd/similar"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"category": "no such", "price": None}, "category"),
        ({"title": ""}, "title"),
        ({"item_id": ""}, "item_id"),
        ({"attributes": {"price": ["1"]}}, "attribute 'price'"),
        ({"colour": "red"}, "colour in the body is not known"),
    ],
)
def test_what_is_no_item_is_refused(
    fields: dict[str, object], said: str, bundle: Bundle, store: LmdbStore, tmp_path: Path
) -> None:
    client = client_of(app_of(bundle, store, tmp_path)[0])
    answer = client.post("/items", json=[lamp(bundle, item_id="good"), lamp(bundle, **fields)])
    assert answer.status_code == 422
    assert said in error_of(answer)
    assert client.get("/items/good").status_code == 404  # all are added, or none


def test_items_are_changed_with_the_key_only(bundle: Bundle, store: LmdbStore, tmp_path: Path) -> None:
    client = client_of(app_of(bundle, store, tmp_path, api_key=SecretStr(KEY))[0])
    assert client.delete("/items/mug").status_code == 401
    assert client.post("/items", json=[lamp(bundle)]).status_code == 401
    assert client.post("/items/mug/restore").status_code == 401
    assert client.delete("/items/mug", headers={"X-API-Key": KEY}).status_code == 204


def test_a_fault_of_ours_tells_nothing_of_itself(
    bundle: Bundle, store: LmdbStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(app_of(bundle, store, tmp_path)[0])

    def fail(_: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(store, "get_many", fail)
    answer = client.get("/users/ann/recommendations")
    assert (answer.status_code, error_of(answer)) == (500, "something went wrong here; the log of the API says what")


def test_a_record_that_cannot_be_read_is_nobody_s_but_its_user_s(
    bundle: Bundle, store: LmdbStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(app_of(bundle, store, tmp_path)[0])
    with store.environment.begin(write=True) as transaction:
        transaction.put(b"broken", b"\xff\xff")
    answers = client.post("/recommendations", json={"user_ids": ["ann", "broken", "nobody"]}).json()["answers"]
    assert [one["path"] for one in answers] == ["capsules", "unreadable", "popular"]
    assert [bool(one["candidates"]) for one in answers] == [True, False, True]
    said = "what is stored of user 'broken' cannot be read; `mindstream stream repair` says why, and what to do"
    assert [one["error"] for one in answers] == [None, said, None]
    for path in ("/users/broken/recommendations", "/users/broken/interests"):
        answer = client.get(path)
        assert (answer.status_code, error_of(answer)) == (500, said)
    assert f"{said}: a stored user cannot be read" in caplog.text
    assert client.get("/healthz").status_code == 200


@pytest.mark.redis
def test_without_its_store_it_says_so_and_comes_back(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from stream.store.redis_store import RedisStore

    with RealRedis("--requirepass", KEY, password=KEY) as redis, RedisStore(redis.url) as store:
        store.put_many([user(bundle, "ann", bundle.item_ids[:9])])
        client = client_of(app_of(bundle, store, tmp_path)[0])
        assert client.get("/users/ann/recommendations").json()["path"] == "capsules"
        redis.kill()
        with caplog.at_level(logging.WARNING, logger="index"):
            for path in ("/users/ann/recommendations", "/users/ann/interests"):
                answer = client.get(path)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
                assert error_of(answer) == "the capsule store does not answer; ask again later"
        assert redis.address in caplog.text
        assert KEY not in caplog.text
        statuses = {path: client.get(f"/{path}").status_code for path in ("healthz", "readyz", "livez", "metrics")}
        assert statuses == {"healthz": 503, "readyz": 503, "livez": 200, "metrics": 200}
        visitor = client.post("/recommendations", json={"visitors": [{"history": bundle.item_ids[:9]}]})
        assert visitor.json()["answers"][0]["path"] == "capsules"  # this needs no store
        redis.start()
        assert client.get("/users/ann/recommendations").json()["path"] == "capsules"
        assert client.get("/healthz").text == "ok\n"
        assert client.get("/readyz").text == f"ok\nmodel {bundle.version}\n"


def test_refused_items_are_in_no_answer_whatever_is_asked(bundle: Bundle, tmp_path: Path) -> None:
    """Of her own, in a batch, by capsules and among popular items; the answer has the fields it always had."""
    first = bundle.item_ids[0]
    refused = Feedback((ItemFeedback(first, 1_720_000_000_000),))
    with LmdbStore(tmp_path / "state") as store:
        known = user(bundle, "ann", [first])
        states = [known, user(bundle, "ben", [])]
        store.put_many([structs.replace(one, feedback=refused) for one in states])
        store.put_many([structs.replace(known, user_id="cleo")])
        client = client_of(app_of(bundle, store, tmp_path)[0])
        bodies = [client.get(f"/users/{name}/recommendations?n=600").json() for name in ("ann", "ben", "cleo")]
        batch = client.post("/recommendations", json={"user_ids": ["ann", "ben", "cleo"], "n": 600}).json()
        for ann, ben, cleo in (bodies, batch["answers"]):
            items = [{one["item_id"] for one in body["candidates"]} for body in (ann, ben, cleo)]
            assert items == [set(bundle.item_ids[1:]), set(bundle.item_ids[1:]), set(bundle.item_ids)]
            assert [body["path"] for body in (ann, ben, cleo)] == ["capsules", "popular", "capsules"]
            assert ann.keys() == cleo.keys()
        similar = client.get(f"/items/{quote(bundle.item_ids[1], safe='')}/similar?n=600").json()
        assert first in {one["item_id"] for one in similar["candidates"]}  # there is no user
