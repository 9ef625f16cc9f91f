"""The benchmark of one user's page: it does the whole way, its parts are those of the bundle, its items are sound."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.workload import synthetic, trained_for_a_moment
from benchmarks.page import command as benchmark
from benchmarks.page.way import FEATURES, PARTS, RANK, WHOLE, PageWay
from benchmarks.swap.large_bundle import large_bundle
from index.recommend.recommender import Recommender
from index.recommend.request import Request
from model_export.bundle.bundle import Bundle
from model_export.bundle.check import check
from model_export.bundle.extractor import Capsules
from stream.events.position import Position
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState
from tests.support.bundles.ranked import HOUR_MS, hand_made


def write_user(store: LmdbStore, bundle: Bundle) -> None:
    """A user of three behaviours with capsules of an older model."""
    item_ids = tuple(bundle.item_ids[row] for row in (3, 8, 2))
    history = History(item_ids, tuple(HOUR_MS * (age + 1) for age in range(3)), ("",) * 3)
    older = Capsules(np.empty((0, bundle.manifest.dim), np.float32), np.empty(0, np.float32), "older")
    store.put_many([UserState("ann", history, older, Position("p", 0, 1))])


@pytest.mark.parametrize("is_ranked", [False, True])
def test_the_way_ends_with_the_answer_of_the_recommender(bundle: Bundle, tmp_path: Path, is_ranked: bool) -> None:
    served = hand_made(tmp_path / "ranked") if is_ranked else bundle
    with LmdbStore(tmp_path / "state") as store:
        write_user(store, served)
        recommender = Recommender(served, store)
        way = PageWay(recommender, Request(10, candidates=20))
        answer = json.loads(way.answer("ann"))
        right = recommender.recommend("ann", 10, candidates=20)
        took_s = way.took_s("ann")
    assert [one["item_id"] for one in answer["candidates"]] == right.item_ids
    assert answer["model_version"] == served.version
    assert set(took_s) == {WHOLE, *PARTS} - (set() if is_ranked else {FEATURES, RANK})
    assert min(took_s.values()) > 0


def test_a_large_bundle_with_a_ranker_may_be_served(tmp_path: Path) -> None:
    _, small = trained_for_a_moment(synthetic(2_000, 100), tmp_path / "small", "tin")
    large = large_bundle(small, tmp_path, "large", 3_000, seed=1)
    check(large)
    assert large.manifest.ranker == small.manifest.ranker
    assert large.ranker_items.shape == (3_000, small.ranker_items.shape[1])


def test_milliseconds_are_those_of_each_part() -> None:
    found = benchmark.milliseconds([{WHOLE: 0.004, PARTS[0]: 0.001}, {WHOLE: 0.006, PARTS[0]: 0.003}])
    assert {name: its.tolist() for name, its in found.items()} == {WHOLE: [4, 6], PARTS[0]: [1, 3]}


def test_the_last_line_has_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    parts = {name: np.full(100, 1.0) for name in PARTS}
    benchmark.report({WHOLE: np.linspace(0, 99, 100), **parts}, 5_000, "tin", 1_000)
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["p50_ms"], last["candidates"], last["parts_p50_ms"][RANK]) == (49.5, 1_000, 1.0)
    assert last["p99_ms"] == pytest.approx(98.01)
    assert last["raise_share"] == pytest.approx(1 / 49.5, abs=1e-4)
