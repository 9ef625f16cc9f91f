"""The second stage over HTTP: the options of a query and of a body, and what the schema says of answers."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from stream.store.lmdb_store import LmdbStore
from tests.support.api_world import app_of, client_of, user
from tests.support.bundles.ranked import hand_made

HISTORY = ["item-3", "item-8", "item-21"]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("served")
    bundle = hand_made(folder / "ranked")
    store = LmdbStore(folder / "state")
    store.put_many([user(bundle, "ann", HISTORY)])
    app, _ = app_of(bundle, store, folder)
    with client_of(app) as client:
        yield client
    store.close()


def test_a_query_ranks_by_the_weights_it_names(client: TestClient) -> None:
    said = client.get("/users/ann/recommendations?n=5&why=true&candidates=30&tasks=buy=0&tasks=click=2").json()
    assert said["ranked"] == 30
    for one in said["candidates"]:
        assert one["score"] == pytest.approx(one["tasks"]["click"], abs=1e-5)
        assert one["matching_rank"] < 30
        assert 1 <= len(one["reasons"]) <= 3
    again = client.get("/users/ann/recommendations?n=5&why=true&candidates=30&tasks=buy=0&tasks=click=2").json()
    assert again["candidates"] == said["candidates"]  # by the quick way, which knows the query


def test_a_body_ranks_users_and_visitors_alike(client: TestClient) -> None:
    body = {"user_ids": ["ann"], "visitors": [{"history": HISTORY}], "n": 4, "tasks": {"buy": 0}}
    stored, visitor = client.post("/recommendations", json=body).json()["answers"]
    assert [one["item_id"] for one in stored["candidates"]] == [one["item_id"] for one in visitor["candidates"]]
    assert stored["ranked"] == visitor["ranked"] == 40
    assert "reasons" not in stored["candidates"][0]


def test_without_ranking_or_interests_nothing_is_said_of_it(client: TestClient) -> None:
    for path in ("/users/ann/recommendations?rank=false", "/users/nobody/recommendations", "/items/item-3/similar"):
        said = client.get(path).json()
        assert "ranked" not in said
        assert set(said["candidates"][0]) == {"item_id", "score", "interest", "because", "title", "category", "price"}


@pytest.mark.parametrize(
    ("query", "right"),
    [
        ("tasks=rent=2", "the ranker by-hand has click, buy"),
        ("tasks=buy", "tasks in the query is 'buy'; right is task=weight"),
        ("rank_ms=0", "greater than 0"),
        ("candidates=20000", "right is at most 10,000"),
    ],
)
def test_what_is_not_right_is_refused(client: TestClient, query: str, right: str) -> None:
    refused = client.get(f"/users/ann/recommendations?{query}")
    assert refused.status_code == 422
    assert right in refused.json()["error"]


def test_the_schema_requires_nothing_that_only_ranked_answers_have(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert {"tasks", "matching_rank", "reasons"} <= set(schemas["Candidate"]["properties"])
    assert not {"tasks", "matching_rank", "reasons"} & set(schemas["Candidate"]["required"])
    assert "ranked" not in schemas["Recommendations"]["required"]
