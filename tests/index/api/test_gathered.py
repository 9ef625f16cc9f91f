"""Requests that wait are answered together, each as it would be alone, and by the quick way as by the long one."""

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from fastapi import HTTPException

from index.api.answers.gathered import AskedOne, GatheredAnswers, OneJob, ReadTogetherError
from index.api.limits.gathering import Gathering, Job
from index.api.metrics import ApiMetrics
from index.api.responses import MADE_BY, Behaviour, Candidate, Interest, NamedItem, Recommendations
from index.catalogue.item import Item
from index.catalogue.lmdb_overlay import LmdbOverlayStore
from index.catalogue.overlay import Overlay
from index.recommend.cancellation import Cancellation, CancelledWorkError
from index.recommend.candidates import Candidates
from index.recommend.recommender import AT_ONCE, Recommender
from index.recommend.request import Request
from model_export.bundle.bundle import Bundle, write_manifest
from stream.store.contract import Store
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState
from tests.support.api_world import AGE_S, app_of, awaited, client_of, user

KEY = "canary-77ab"
TITLE, CATEGORY = 'Käse "alt" \\ 🧀\n', 'say "hi", für\tZoë'


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Iterator[LmdbStore]:
    with LmdbStore(tmp_path_factory.mktemp("gathered") / "state") as store:
        ids = bundle.item_ids
        store.put_many([user(bundle, f"u{at}", ids[7 * at : 7 * at + 4 + at]) for at in range(9)])
        store.put_many([user(bundle, "gone", ["not", "known"]), user(bundle, "new", [], {"category": "Kitchen"})])
        with store.environment.begin(write=True) as transaction:
            transaction.put(b"broken", b"\xff\xff")
        yield store


@pytest.fixture(scope="module")
def recommender(bundle: Bundle, store: LmdbStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recommender]:
    """With items that were put: one of the bundle says what JSON has to escape, one is new and one removed."""
    with Overlay(LmdbOverlayStore(tmp_path_factory.mktemp("items"))) as overlay:
        recommender = Recommender(bundle, store, overlay)
        best = recommender.recommend("u0", 3).item_ids
        recommender.catalogue.put(Item(best[0], TITLE, CATEGORY, None))
        recommender.catalogue.put(
            Item('new "one"', "Ünder\x07", bundle.catalogue.category[5], bundle.catalogue.price[5])
        )
        recommender.catalogue.remove(best[1])
        yield recommender


OF_RANKERS = ["tasks", "matching_rank", "reasons"]


def formerly(recommender: Recommender, user_id: str, found: Candidates, freshness_s: float | None) -> Any:
    """The answer by an object for each candidate and behaviour, written by msgspec."""
    snapshot = recommender.catalogue.current
    answer = Recommendations(
        user_id,
        found.path,
        found.model_version,
        freshness_s,
        [
            Interest(
                one.importance,
                [Behaviour(b.item_id, b.weight, snapshot.summary(b.item_id).title) for b in one.behaviours[:MADE_BY]],
            )
            for one in found.interests
        ],
        [
            Candidate(
                item_id,
                score,
                interest if interest >= 0 else None,
                NamedItem(because, snapshot.summary(because).title) if because else None,
                *snapshot.summary(item_id),
            )
            for item_id, score, interest, because in zip(
                found.item_ids, found.scores, found.capsule, found.because, strict=True
            )
        ],
    )
    written = msgspec.json.decode(msgspec.json.encode(answer))
    for part, of_rankers in ((written, ["ranked"]), *((one, OF_RANKERS) for one in written["candidates"])):
        assert [part.pop(name) for name in of_rankers] == [None] * len(of_rankers)  # only a ranker's answers have them
    return written


def job(recommender: Recommender, user_id: str, request: Request) -> OneJob:
    return Job(AskedOne(user_id, request, recommender), Cancellation())


REQUESTS = [
    Request(5),
    Request(40, exclude_seen=True),
    Request(600),
    Request(20, diversity=0.3),
    Request(20, quota=6, max_cosine=0.9),
    Request(9, by_importance=True, min_score=-3.0),
]


def test_each_gets_what_it_would_get_alone_in_the_json_of_before(
    bundle: Bundle, store: LmdbStore, recommender: Recommender
) -> None:
    """Stored, unknown and cold users with all options, in two batches; the two wrong ones among them fail alone."""
    category = bundle.catalogue.category[40]
    requests = [
        *REQUESTS,
        Request(8),
        Request(8, where={"category": frozenset({category})}),
        Request(3, exclude=frozenset({"x"})),
    ]
    users = [*(f"u{at}" for at in range(9)), "gone", "new", "nobody"]
    pairs = [(name, requests[(at + turn) % len(requests)]) for turn in range(3) for at, name in enumerate(users)]
    answers = GatheredAnswers(store, ApiMetrics())
    jobs = [job(recommender, *pair) for pair in pairs]
    wrong = [
        job(recommender, "broken", Request(5)),
        job(recommender, "u1", Request(5, where={"colour": frozenset({"red"})})),
    ]
    jobs[AT_ONCE:AT_ONCE] = wrong
    found = [one for at in range(0, len(jobs), AT_ONCE + 4) for one in answers.work(jobs[at : at + AT_ONCE + 4])]
    by_job = dict(zip(jobs, found, strict=True))
    statuses = [(type(one), one.status_code) for one in map(by_job.pop, wrong) if isinstance(one, HTTPException)]
    assert statuses == [(HTTPException, 500), (HTTPException, 422)]
    titles = set()
    for (user_id, request), one in zip(pairs, by_job.values(), strict=True):
        assert isinstance(one, bytes)
        body = msgspec.json.decode(one)
        alone = recommender.answer(store.get_many([user_id]), recommender.resolve(request))[0]
        assert body == formerly(recommender, user_id, alone, body["freshness_s"])
        known = user_id.startswith("u") or user_id == "gone"
        assert (body["freshness_s"] is not None and body["freshness_s"] >= AGE_S) == known
        titles |= {(shown["title"], shown["category"]) for shown in body["candidates"]}
    assert (TITLE, CATEGORY) in titles
    assert "Ünder\x07" in {title for title, _ in titles}


def test_no_answer_mixes_models_whatever_is_served_meanwhile(
    bundle: Bundle, store: LmdbStore, recommender: Recommender, tmp_path: Path
) -> None:
    newer = Bundle(shutil.copytree(bundle.path, tmp_path / "newer"))
    write_manifest(newer.path, replace(newer.manifest, version="newer", blend={}))
    np.save(newer.path / "item_embeddings.npy", -np.array(bundle.item_embeddings))
    other = Recommender(Bundle(newer.path), store)
    jobs = [job((recommender, other)[at % 2], f"u{at % 9}", Request(7)) for at in range(10)]
    bodies = [msgspec.json.decode(cast(bytes, one)) for one in GatheredAnswers(store, ApiMetrics()).work(jobs)]
    assert [one["model_version"] for one in bodies] == [bundle.version, "newer"] * 5
    for one, body in zip(jobs, bodies, strict=True):
        alone = one.asked.recommender.recommend(one.asked.user_id, 7)
        assert [shown["item_id"] for shown in body["candidates"]] == alone.item_ids
    assert {one["candidates"][0]["item_id"] for one in bodies[0::2]}.isdisjoint(
        one["candidates"][0]["item_id"] for one in bodies[1::2]
    )


class TellingStore:
    """A store of nobody that does something at each reading."""

    def __init__(self, then: Callable[[Sequence[str]], None]) -> None:
        self.then = then

    def get_many(self, user_ids: Sequence[str]) -> list[UserState | None]:
        self.then(user_ids)
        return [None] * len(user_ids)


def test_who_is_not_waited_for_any_more_is_left_out_and_the_others_are_answered(recommender: Recommender) -> None:
    jobs = [job(recommender, name, Request(3)) for name in ("a", "b", "c")]
    metrics = ApiMetrics()
    store = cast(Store, TellingStore(lambda _: jobs[1].cancellation.cancel()))
    found = GatheredAnswers(store, metrics).work(jobs)
    assert [type(one) for one in found] == [bytes, CancelledWorkError, bytes]
    assert b'mindstream_api_answers_total{path="popular"} 2.0' in metrics.page()


def test_a_store_that_fails_for_several_is_asked_for_each_alone(
    bundle: Bundle, tmp_path: Path, recommender: Recommender
) -> None:
    """As where one node of a Redis Cluster is away: who lies on another one is answered."""

    def fail(user_ids: Sequence[str]) -> None:
        if "away" in user_ids:
            raise OSError("a node is away")

    store = cast(Store, TellingStore(fail))
    together = GatheredAnswers(store, ApiMetrics()).work([job(recommender, name, Request(3)) for name in ("a", "away")])
    assert [type(one) for one in together] == [ReadTogetherError] * 2
    app, serving = app_of(bundle, store, tmp_path)
    begun, go = threading.Semaphore(0), threading.Event()

    def hold_until_all_have_asked(user_ids: Sequence[str]) -> None:
        begun.release()
        assert go.wait(60)
        fail(user_ids)

    store.then = hold_until_all_have_asked  # type: ignore[attr-defined]
    statuses: dict[str, int] = {}

    def ask(name: str) -> None:
        statuses[name] = client_of(app).get(f"/users/{name}/recommendations").status_code

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("x", "y", "a", "away", "b")]
    for held in threads[:2]:  # each of the two threads that gather has one
        held.start()
        assert begun.acquire(timeout=60)
    for waiting in threads[2:]:
        waiting.start()
    go.set()
    for thread in threads:
        thread.join(60)
    assert statuses == {"x": 200, "y": 200, "a": 200, "away": 503, "b": 200}
    assert serving.version == bundle.version


def test_the_first_is_begun_at_once_and_what_comes_meanwhile_is_done_together() -> None:
    """Two threads are held with one job each; five more wait, and are one batch, in which a bad one fails alone."""
    begun, go, batches = threading.Semaphore(0), threading.Event(), []

    def work(jobs: Sequence[Job[str]]) -> list[str | Exception]:
        batches.append([one.asked for one in jobs])
        begun.release()
        assert go.wait(60)
        if any(one.asked == "bad" for one in jobs):
            raise RuntimeError("bad")
        return [one.asked.upper() for one in jobs]

    async def ask() -> list[str | BaseException]:
        gathering: Gathering[str, str] = Gathering(work)
        submitted = []
        for name in ("a", "b"):
            submitted.append(gathering.submit(Job(name, Cancellation()), 0.0))
            assert await asyncio.to_thread(begun.acquire, timeout=60)
        gone = Cancellation()
        gone.cancel()
        submitted += [gathering.submit(Job(name, Cancellation()), 0.0) for name in ("c", "d", "bad", "e")]
        left = gathering.submit(Job("left", gone), 0.0)
        assert gathering.waiting == 5
        go.set()
        answers = await asyncio.gather(*submitted, return_exceptions=True)
        assert not left.done()
        return answers

    answers = awaited(ask)
    assert [repr(one) for one in answers] == ["'A'", "'B'", "'C'", "'D'", "RuntimeError('bad')", "'E'"]
    assert sorted(batches[:2]) == [["a"], ["b"]]
    assert batches[2:] == [["c", "d", "bad", "e"], ["c"], ["d"], ["bad"], ["e"]]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/users/u3/recommendations?n=4&diversity=0.2", 200),
        ("/users/a%2Fb/recommendations?n=4", 200),
        ("/users/broken/recommendations?n=4", 500),
        (f"/users/{'x' * 1_000}/recommendations?n=4", 422),
        ("/users/u3/recommendations?n=0", 422),
        ("/users/u3/recommendations?category=nowhere", 422),
        ("/users//recommendations?n=4", 422),
    ],
)
def test_the_quick_way_answers_as_the_long_one(
    bundle: Bundle, store: LmdbStore, tmp_path: Path, path: str, status: int
) -> None:
    """A query is checked by the framework the first time; asked again, the answer is the same to the byte."""
    app, _ = app_of(bundle, store, tmp_path, api_key=KEY)
    client = client_of(app)
    headers = {"X-API-Key": KEY}
    assert client.get("/users/u3/recommendations?n=4", headers=headers).status_code == 200
    first, second = (client.get(path, headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (status, status)
    assert first.headers.keys() == second.headers.keys()
    assert first.headers["content-type"] == second.headers["content-type"]
    if status != 200:
        assert first.content == second.content
    else:
        both = [one.json() | {"freshness_s": 0} for one in (first, second)]
        assert both[0] == both[1]
    unlocked = client.get(path)
    assert (unlocked.status_code, unlocked.headers["www-authenticate"]) == (401, "Bearer")
    assert client.request("GET", path, headers=headers, content=b"x" * 1_000_001).status_code == 413
    line = 'mindstream_api_requests_total{method="GET",route="/users/{user_id}/recommendations",status="401"} 1.0'
    assert line in client.get("/metrics").text
