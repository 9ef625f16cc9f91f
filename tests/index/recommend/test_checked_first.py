"""A wrong request never costs a reading of the store: it is refused before, in Python, over HTTP and in a batch."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from index.recommend.filters import Filters
from index.recommend.recommender import Recommender
from index.recommend.request import Request
from model_export.bundle.bundle import Bundle
from stream.store.contract import Store
from stream.store.state import UserState
from tests.support.api_world import app_of, client_of


class CountingStore:
    """A store of nobody that counts how often it is read."""

    def __init__(self) -> None:
        self.readings = 0

    def get_many(self, user_ids: Iterable[str]) -> list[UserState | None]:
        self.readings += 1
        return [None for _ in user_ids]


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def recommender(bundle: Bundle, store: CountingStore) -> Recommender:
    return Recommender(bundle, cast(Store, store))


@pytest.fixture
def client(bundle: Bundle, store: CountingStore, tmp_path: Path) -> TestClient:
    return client_of(app_of(bundle, cast(Store, store), tmp_path)[0])


WRONG_FILTERS = [{"smell": frozenset({"good"})}, {"category": frozenset({"Air"})}]
WRONG: list[dict[str, Any]] = [{"n": 0}, {"quota": 0}, {"max_cosine": 2.0}, *({"where": one} for one in WRONG_FILTERS)]


@pytest.mark.parametrize("wanted", WRONG, ids=str)
def test_a_wrong_request_of_one_user(recommender: Recommender, store: CountingStore, wanted: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"right|must be"):
        recommender.recommend("ann", **wanted)
    assert store.readings == 0


@pytest.mark.parametrize("where", WRONG_FILTERS, ids=str)
def test_a_wrong_request_of_many(
    recommender: Recommender, store: CountingStore, where: dict[str, frozenset[str]]
) -> None:
    with pytest.raises(ValueError, match="right are"):
        recommender.recommend_many(["ann", "bob"], Request(where=where))
    assert store.readings == 0
    assert len(recommender.recommend_many(["ann", "bob"], Request())) == 2
    assert store.readings == 1


@pytest.mark.parametrize("query", ["n=0", "where=tea", "where=smell=good", "category=Air", "min_score=nan", "nn=1"])
def test_a_wrong_query(client: TestClient, store: CountingStore, query: str) -> None:
    assert client.get(f"/users/ann/recommendations?{query}").status_code == 422
    assert store.readings == 0
    assert client.get("/users/ann/recommendations").status_code == 200
    assert store.readings == 1


@pytest.mark.parametrize(
    "wrong", [{"n": 0}, {"where": {"smell": ["good"]}}, {"where": {"category": ["Air"]}}, {"user_ids": []}], ids=str
)
def test_a_wrong_batch(client: TestClient, store: CountingStore, wrong: dict[str, Any]) -> None:
    assert client.post("/recommendations", json={"user_ids": ["ann", "bob"], **wrong}).status_code == 422
    assert store.readings == 0


def test_items_like_another_need_no_user(client: TestClient, store: CountingStore, bundle: Bundle) -> None:
    assert client.get(f"/items/{bundle.item_ids[5]}/similar").status_code == 200
    assert client.get("/items/lost/similar").status_code == 404
    assert store.readings == 0


def test_filters_are_resolved_once_a_request(
    client: TestClient, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved: list[Request] = []
    plain = Filters.resolve

    def counting(self: Filters, request: Request, snapshot: Any) -> Any:
        resolved.append(request)
        return plain(self, request, snapshot)

    monkeypatch.setattr(Filters, "resolve", counting)
    category = bundle.catalogue.category[0]
    for path in ("/users/ann/recommendations", f"/items/{bundle.item_ids[5]}/similar"):
        resolved.clear()
        assert client.get(path, params={"category": category}).status_code == 200
        assert [request.where for request in resolved] == [{"category": frozenset({category})}]
