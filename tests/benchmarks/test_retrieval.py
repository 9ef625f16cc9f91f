"""The retrieval benchmark: all ways answer the same question and are tuned alike; the figures are what was measured."""

import importlib.util
import json
from typing import Any

import numpy as np
import pytest

from benchmarks.retrieval import command as retrieval
from benchmarks.retrieval import peers
from benchmarks.retrieval.command import EXACT, OURS, PLAIN, WayFigures, WorldSize
from benchmarks.retrieval.world import hard_capsules, made_up_items, usual_capsules
from index.search import hnsw
from index.search.exact import ExactIndex
from index.search.hnsw import HnswSettings
from model_export.bundle.bundle import Bundle

HAS_PEERS = all(importlib.util.find_spec(module) for module in peers.PACKAGES)


def figures(recall: float, p50_ms: float) -> WayFigures:
    return WayFigures(ef=100, recall=recall, p50_ms=p50_ms, p99_ms=2 * p50_ms, queries_per_s=1_000 / p50_ms)


CASE = {
    OURS: figures(0.991, 0.5),
    EXACT: figures(1.0, 2.0),
    PLAIN: figures(0.999, 1.0),
    "a": figures(0.995, 3.0),
    "b": figures(0.992, 2.0),
}


def test_the_world_is_clustered_with_uneven_norms() -> None:
    rng = np.random.default_rng(1)
    items = made_up_items(2_000, 16, rng)
    norms = np.linalg.norm(items, axis=1)
    assert items.shape == (2_000, 16)
    assert items.dtype == np.float32
    assert norms.max() / norms.min() > 3
    usual = usual_capsules(items, 200, 4, rng)
    np.testing.assert_allclose([np.linalg.norm(one, axis=1) for one in usual], 1, rtol=1e-5)
    hard = hard_capsules(items, 200, 4, rng)
    lengths = np.array([np.linalg.norm(one, axis=1) for one in hard])
    assert lengths.std() > 0.3
    alike = [np.sort(((one / length[:, None]) @ (one / length[:, None]).T)[np.triu_indices(4, 1)])[-1]
             for one, length in zip(hard, lengths, strict=True)]  # fmt: skip
    assert 0.4 < np.mean(np.array(alike) > 0.9) < 0.9  # users with at least one capsule near another


def test_merging_keeps_the_best_score_of_each_row() -> None:
    rows = np.array([[5, 7, 9], [7, 5, 1]])
    scores = np.array([[3.0, 2.0, 1.0], [9.0, 4.0, 0.5]])
    assert peers.merged(rows, scores, 3).tolist() == [7, 5, 9]


@pytest.mark.skipif(not HAS_PEERS, reason="the peers are not installed; `pip install 'mindstream[peers]'`")
def test_every_peer_finds_the_best() -> None:
    rng = np.random.default_rng(2)
    items = rng.normal(size=(400, 16)).astype(np.float32)
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    plain = hnsw.build(items, HnswSettings(), progress=False)
    ways: list[peers.Way] = [peers.Hnswlib(items), peers.Augmented(plain), peers.Faiss(items), peers.USearch(items)]
    for capsules in usual_capsules(items, 10, 4, rng):
        right = ExactIndex(items).search(capsules, 20).rows
        for way in ways:
            assert np.isin(right, way.top(capsules, 20, 300)).mean() >= 0.95


def test_the_best_peer_is_the_quickest_that_reaches_the_target() -> None:
    assert retrieval.best_peer(CASE) == "b"
    assert retrieval.best_peer({**CASE, "b": figures(0.98, 0.1)}) == "a"
    assert retrieval.best_peer({OURS: CASE[OURS], "a": figures(0.9, 1.0), "b": figures(0.95, 2.0)}) == "b"
    assert retrieval.scan_pays_up_to(CASE, 200_000) == 50_000


def test_ef_is_the_smallest_that_reaches_the_target() -> None:
    class Growing:
        """Finds ef of 200 rows."""

        def top(self, capsules: np.ndarray, n: int, ef: int) -> np.ndarray:
            return np.arange(min(ef, self.most))

        most = 200

    way, users, right = Growing(), [np.zeros((1, 2))], [np.arange(200)]
    assert retrieval.tuned(way, users, right, 100) == 200
    way.most = 130
    assert retrieval.tuned(way, users, right, 100) == 150  # the first of the best


def test_the_command_ends_with_its_figures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[WorldSize] = []

    def measured(size: WorldSize, seed: int, libraries: peers.Libraries) -> Any:
        assert list(libraries) == ["hnswlib"]
        asked.append(size)
        return {f"{size.items} items, N = 100, usual": CASE}, 128.0

    monkeypatch.setattr(retrieval, "measure", measured)
    retrieval.main(items=[200_000, 1_000_000], seed=1, peer=["hnswlib"])
    printed, last = capsys.readouterr().out.rsplit("\n", 2)[:2]
    found = json.loads(last)
    assert [size.items for size in asked] == [200_000, 1_000_000]
    assert list(found) == [
        "recall", "p50_ms", "p99_ms", "best_peer", "best_peer_recall", "best_peer_p50_ms", "ratio", "same_graph_ratio",
        "bytes_per_item", "cases",
    ]  # fmt: skip
    assert (found["best_peer"], found["ratio"], found["same_graph_ratio"], found["bytes_per_item"]) == ("b", 4, 2, 128)
    assert found["cases"]["1000000 items, N = 100, usual"]["ways"]["a"]["recall"] == 0.995
    assert "joint beam" in printed


@pytest.mark.skipif(not HAS_PEERS, reason="the peers are not installed; `pip install 'mindstream[peers]'`")
def test_everything_is_measured(monkeypatch: pytest.MonkeyPatch, bundle: Bundle) -> None:
    monkeypatch.setattr(retrieval, "COUNTS", (10,))
    cases, memory = retrieval.measure(WorldSize(items=600, tuning=3, users=4), seed=1)
    assert list(cases) == ["600 items, N = 10, usual", "600 items, N = 10, hard"]
    for case in cases.values():
        assert case[EXACT].recall == 1
        assert all(one.p50_ms > 0 and one.p99_ms >= one.p50_ms and one.recall > 0.5 for one in case.values())
    assert 128 <= memory <= 130
    real, _ = retrieval.measure_bundle(bundle, seed=1)
    assert list(real) == [f"{bundle.manifest.items} items, N = 10, bundle {bundle.version}"]
    assert all(case[EXACT].recall == 1 for case in real.values())


def test_a_missing_peer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="the peer Faiss is not installed; `pip install faiss-cpu` installs it"):
        peers.chosen(["Faiss"])
    with pytest.raises(ValueError, match="there is no peer 'faiss'; it must be one of hnswlib, Faiss, USearch"):
        peers.chosen(["faiss"])
