"""The benchmark of swaps: it counts what it is there to count."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.stalls import Stalls
from benchmarks.swap.catalogue import Clients
from benchmarks.swap.large_bundle import large_bundle
from benchmarks.swap.readers import Readers
from benchmarks.swap.stored_users import fill, left_old_of, warm_recommender
from index.recommend.recommender import Recommender
from index.search.index_files import open_index
from model_export.bundle.bundle import Bundle
from model_export.bundle.check import check
from model_export.bundle.extractor import Extractor
from model_export.bundle.registry import Registry
from model_export.bundle.serving import Serving
from stream.store.lmdb_store import LmdbStore
from stream.updater.sweep import Sweep
from testbed.stream_process import wait_until


@pytest.fixture
def store(bundle: Bundle, tmp_path: Path) -> Iterator[LmdbStore]:
    """Users whose capsules are of the first bundle."""
    with LmdbStore(tmp_path / "state") as store:
        fill(store, Extractor(bundle), 50, "user")
        yield store


@pytest.fixture
def registry(bundle: Bundle, other_bundle: Bundle, tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "models")
    registry.publish(other_bundle.path)
    registry.publish(bundle.path)
    return registry


def test_answers_of_both_bundles_are_found_right(
    registry: Registry, bundle: Bundle, other_bundle: Bundle, store: LmdbStore
) -> None:
    serving = Serving(registry, lambda bundle: warm_recommender(bundle, store))
    with Readers(serving, store, {one.version: one for one in (bundle, other_bundle)}) as readers:
        readers.wait_for(bundle.version)
        wait_until(lambda: readers.first_at, "the first is answered with")
        registry.point_to(other_bundle.version)
        readers.wait_for(other_bundle.version)
        assert serving.look()
        wait_until(lambda: readers.first_at, "the other is answered with")
    assert readers.answered == len(readers.took_s) > 1
    assert (readers.failed, readers.mixed) == (0, 0)


def test_an_answer_that_mixes_is_counted(
    registry: Registry, bundle: Bundle, other_bundle: Bundle, store: LmdbStore
) -> None:
    """Capsules of one bundle, searched in the items of the other; and one that names a bundle that there is not."""

    def mixing(bundle: Bundle) -> Recommender:
        recommender = Recommender(bundle, store)
        recommender.extractor = Extractor(other_bundle)
        recommender.is_old = lambda state: True  # type: ignore[method-assign]
        return recommender

    serving = Serving(registry, mixing)
    readers = Readers(serving, store, {bundle.version: bundle})
    readers.users = 50  # before the first question: nobody's answer, of popular items, mixes nothing
    with readers:
        wait_until(lambda: readers.mixed >= 3, "mixed answers are noticed")
    assert readers.mixed == readers.answered


def test_a_request_that_raises_is_counted(registry: Registry, bundle: Bundle, store: LmdbStore) -> None:
    serving = Serving(registry, lambda bundle: warm_recommender(bundle, store))
    with Readers(serving, store, {bundle.version: bundle}) as readers:
        serving.current.index = None  # type: ignore[assignment]
        readers.users = 50
        wait_until(lambda: readers.failed >= 3, "failed requests are noticed")


def test_users_who_are_not_swept_are_counted(bundle: Bundle, other_bundle: Bundle, store: LmdbStore) -> None:
    assert left_old_of(store, bundle.version) == 0
    assert left_old_of(store, other_bundle.version) == 50
    Sweep(store, Extractor(other_bundle)).step()
    assert left_old_of(store, other_bundle.version) == 0


def test_a_large_bundle_may_be_served(bundle: Bundle, tmp_path: Path) -> None:
    one, other = (large_bundle(bundle, tmp_path, f"large-{seed}", 3_000, seed) for seed in (1, 2))
    check(one)
    assert one.item_ids[:3] == ["all-00000000", "large-1-00000001", "all-00000002"]
    shared = set(one.item_ids) & set(other.item_ids)
    assert len(shared) == 1_500
    capsules = np.array(one.item_embeddings[:2])
    index = open_index(one)
    assert index.kind == "hnsw"
    assert set(index.search(capsules, 2).rows.tolist()) == {0, 1}


def test_clients_count_what_fails_and_what_mixes() -> None:
    answers = {"right": ("a", ["tea"]), "mixed": ("a", ["mug"]), "unknown": ("c", ["tea"])}

    def ask(user_id: str) -> tuple[str, list[str]]:
        return answers[user_id]  # "gone" is a KeyError

    expected: dict[str, dict[str, list[str]]] = {"a": {one: ["tea"] for one in (*answers, "gone")}, "b": {}}
    clients = Clients(lambda: ask, expected)
    clients.wait_for("c")
    with clients:
        wait_until(lambda: clients.answered >= 12 and clients.failed >= 3, "every user was asked for")
    assert clients.mixed == pytest.approx(clients.answered * 2 / 3, abs=3)  # three clients, each somewhere in a round
    assert clients.first_at
    assert len(clients.took_s) == clients.answered


def test_a_thread_that_keeps_the_lock_is_noticed() -> None:
    """A foreign function of PyDLL keeps the GIL: here for 0.2 s."""
    with Stalls() as stalls:
        ctypes.PyDLL(None).usleep(200_000)
    assert stalls.take_ms() > 150
    assert stalls.take_ms() == 0
