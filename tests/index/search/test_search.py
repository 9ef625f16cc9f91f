"""Max-sim: both indexes give what the definition gives, and a damaged index file is refused."""

import json
import shutil
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import hnswlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from index.search import beam, ef_tuning, heaps, hnsw, index_files
from index.search.beam import BeamIndex
from index.search.exact import ExactIndex
from index.search.hnsw import HnswIndex, HnswSettings, augmented
from index.search.index_files import build_index, open_index
from index.search.links import links_of, union
from index.search.maxsim import EVERY_ROW, NO_ROWS, Allowed, Hits, MaxSimIndex
from model_export.bundle.bundle import (
    LINK_ENTRIES,
    LINKS,
    OLD_INDEX,
    Bundle,
    BundleError,
    describe_file,
    write_manifest,
)
from model_export.bundle.check import check
from model_export.bundle.registry import Registry

Build = Callable[[np.ndarray], MaxSimIndex]

ITEMS, DIM = 3_000, 32
SMALL = HnswSettings(m=8, ef_construction=40, ef=40)


def build_hnsw(items: np.ndarray) -> HnswIndex:
    return hnsw.build(items, HnswSettings(), progress=False)


def build_beam(items: np.ndarray) -> BeamIndex:
    """A joint beam that never scans instead."""
    return BeamIndex(items, links_of(build_hnsw(items).graph), {100: 200}, break_even=0)


BUILDS = [
    pytest.param(ExactIndex, id="exact"),
    pytest.param(build_hnsw, id="plain hnsw"),
    pytest.param(build_beam, id="joint beam"),
]


def vectors_of_uneven_norms(clusters: int) -> np.ndarray:
    """Items whose norms differ tenfold, in clusters or, without, in all directions."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(ITEMS, DIM))
    if clusters:
        vectors = rng.normal(size=(clusters, DIM))[rng.integers(clusters, size=ITEMS)] + 0.3 * vectors
    return (vectors * rng.lognormal(sigma=0.4, size=(ITEMS, 1))).astype(np.float32)


@pytest.fixture(scope="module", params=[40, 0], ids=["clustered", "scattered"])
def items(request: pytest.FixtureRequest) -> np.ndarray:
    return vectors_of_uneven_norms(request.param)


@pytest.fixture(scope="module", params=BUILDS)
def index(request: pytest.FixtureRequest, items: np.ndarray) -> MaxSimIndex:
    built: MaxSimIndex = request.param(items)
    return built


@pytest.fixture(scope="module")
def queries(items: np.ndarray) -> list[np.ndarray]:
    """Capsules of 60 users, 1 to 6 each: half of them near items, half anywhere."""
    rng = np.random.default_rng(4)
    noise = [rng.normal(size=(number, DIM)) for number in rng.integers(1, 6, size=60, endpoint=True)]
    near = [items[rng.integers(ITEMS, size=len(one))] + 0.1 * one for one in noise]
    return [one.astype(np.float32) for one in near[:30] + noise[30:]]


def oracle(
    items: np.ndarray, capsules: np.ndarray, n: int, exclude: Collection[int] = NO_ROWS, allowed: Allowed | None = None
) -> Hits:
    """Max-sim by its definition: every score, then sorted by score and row."""
    scores = items.astype(np.float64) @ capsules.astype(np.float64).T
    best = scores.max(1)
    may = [row for row in range(len(items)) if row not in exclude and (allowed is None or allowed.mask[row])]
    rows = sorted(may, key=lambda row: (-best[row], row))[:n]
    return Hits(np.array(rows, dtype=np.int64), best[rows].astype(np.float32), scores.argmax(1)[rows])


def assert_true(hits: Hits, items: np.ndarray, capsules: np.ndarray) -> None:
    """Every hit stands once, with its exact score and the capsule that gave it, best first."""
    scores = items[hits.rows].astype(np.float64) @ capsules.astype(np.float64).T
    assert len(set(hits.rows.tolist())) == len(hits.rows) == len(hits.scores) == len(hits.capsule)
    np.testing.assert_allclose(hits.scores, scores.max(1, initial=-np.inf), rtol=1e-5, atol=1e-5)
    assert hits.capsule.tolist() == scores.argmax(1).tolist()
    assert (np.diff(hits.scores) <= 0).all()


def recall(found: Hits, right: Hits) -> float:
    return float(np.isin(right.rows, found.rows).mean())


World = tuple[np.ndarray, np.ndarray, int, frozenset[int], Allowed | None]


@st.composite
def small_worlds(draw: st.DrawFn) -> World:
    """Items, capsules, n and what may not come back. Whole numbers: sums are exact; many ties and negative scores."""
    rows, dim = draw(st.integers(1, 25)), draw(st.integers(1, 4))
    numbers = st.integers(-3, 3)
    vectors = draw(arrays(np.float32, (rows, dim), elements=numbers))
    capsules = draw(arrays(np.float32, (draw(st.integers(1, 6)), dim), elements=numbers))
    exclude = draw(st.one_of(st.just(frozenset(range(rows))), st.frozensets(st.integers(0, rows - 1))))
    allowed = draw(st.one_of(st.none(), arrays(np.bool_, rows).map(Allowed)))
    return vectors, capsules, draw(st.integers(1, rows + 3)), exclude, allowed


@pytest.mark.parametrize("build", BUILDS)
@given(world=small_worlds())
@settings(max_examples=120)
def test_every_index_gives_the_definition_in_small_worlds(build: Build, world: World) -> None:
    """Graphs up to which of several equal items they find."""
    items, capsules, n, exclude, allowed = world
    index = build(items)
    found, right = index.search(capsules, n, exclude, allowed), oracle(items, capsules, n, exclude, allowed)
    assert found.scores.tolist() == right.scores.tolist()
    assert_true(found, items, capsules)
    assert not exclude & set(found.rows.tolist())
    assert allowed is None or allowed.mask[found.rows].all()
    if index.kind == "exact":
        assert found.rows.tolist() == right.rows.tolist()
        assert found.capsule.tolist() == right.capsule.tolist()


@pytest.mark.parametrize("build", BUILDS)
def test_an_example_by_hand(build: Build) -> None:
    index = build(np.array([[3, 0], [0, 2], [1, 1], [-1, -1]], dtype=np.float32))
    hits = index.search(np.array([[1, 0], [0, 2]], dtype=np.float32), 3)
    assert hits.rows.tolist() == [1, 0, 2]
    assert hits.scores.tolist() == [4, 3, 2]
    assert hits.capsule.tolist() == [1, 0, 1]
    hits = index.search(np.array([[-1, -2]], dtype=np.float32), 9, exclude={3})  # only bad items are left
    assert hits.rows.tolist() == [0, 2, 1]
    assert hits.scores.tolist() == [-3, -3, -4]


@pytest.mark.parametrize("n", [1, 50, 400])
def test_recall_and_scores(index: MaxSimIndex, items: np.ndarray, queries: list[np.ndarray], n: int) -> None:
    found = [index.search(capsules, n) for capsules in queries]
    for hits, capsules in zip(found, queries, strict=True):
        assert len(hits.rows) == n
        assert_true(hits, items, capsules)
    recalls = [recall(hits, oracle(items, capsules, n)) for hits, capsules in zip(found, queries, strict=True)]
    assert np.mean(recalls) >= (1 if index.kind == "exact" else 0.98)


def test_all_of_a_user_s_best_excluded(index: MaxSimIndex, items: np.ndarray, queries: list[np.ndarray]) -> None:
    recalls = []
    for capsules in queries[::3]:
        exclude = frozenset(oracle(items, capsules, 100).rows.tolist())
        hits = index.search(capsules, 50, exclude)
        assert len(hits.rows) == 50
        assert not exclude & set(hits.rows.tolist())
        assert_true(hits, items, capsules)
        recalls.append(recall(hits, oracle(items, capsules, 50, exclude)))
    assert np.mean(recalls) >= 0.98


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("n", [10, 100])
def test_filters_at_every_selectivity(
    index: MaxSimIndex, items: np.ndarray, queries: list[np.ndarray], share: float, n: int
) -> None:
    allowed = Allowed(np.random.default_rng(8).random(ITEMS) < share)
    found = index.search_many(queries, n, allowed=allowed)
    recalls = []
    for hits, capsules in zip(found, queries, strict=True):
        right = oracle(items, capsules, n, allowed=allowed)
        assert len(hits.rows) == len(right.rows) == min(n, allowed.mask.sum())
        assert allowed.mask[hits.rows].all()
        assert_true(hits, items, capsules)
        recalls.append(recall(hits, right))
    assert np.mean(recalls) >= (1 if index.kind == "exact" else 0.98)


def test_a_filter_that_leaves_only_what_is_far_away(
    index: MaxSimIndex, items: np.ndarray, queries: list[np.ndarray]
) -> None:
    for capsules in queries[::20]:
        far = np.zeros(ITEMS, dtype=bool)
        far[oracle(items, capsules, ITEMS).rows[-300:]] = True
        hits = index.search(capsules, 20, allowed=Allowed(far))
        assert recall(hits, oracle(items, capsules, 20, allowed=Allowed(far))) >= 0.95
        assert len(index.search(capsules, 20, allowed=Allowed(np.zeros(ITEMS, dtype=bool))).rows) == 0


def test_a_batch_gives_each_user_the_same_as_alone(index: MaxSimIndex, queries: list[np.ndarray]) -> None:
    """Also when users are so many that the marks of a beam are wiped in between, and in several threads."""
    users = queries * 5
    exclude = [frozenset(range(number, number + number % 7)) for number in range(len(users))]
    alone = [index.search(capsules, 20, rows) for capsules, rows in zip(users, exclude, strict=True)]
    with ThreadPoolExecutor(3) as threads:
        batches = list(threads.map(lambda _: index.search_many(users, 20, exclude), range(3)))
    for together in batches:
        for one, other in zip(alone, together, strict=True):
            assert one.rows.tolist() == other.rows.tolist()
            assert one.scores.tolist() == other.scores.tolist()
            assert one.capsule.tolist() == other.capsule.tolist()
    assert index.search_many([], 5) == []


@pytest.mark.parametrize(
    ("n", "excluded"), [(2_999, 0), (3_000, 0), (5_000, 0), (100, 2_900), (2_000, 1_000), (101, 2_900), (1, 2_999)]
)
def test_never_fewer_than_there_are(
    index: MaxSimIndex, items: np.ndarray, queries: list[np.ndarray], n: int, excluded: int
) -> None:
    exclude = frozenset(np.random.default_rng(n).permutation(ITEMS)[:excluded].tolist())
    for capsules in queries[::30]:
        hits = index.search(capsules, n, exclude)
        assert len(hits.rows) == min(n, ITEMS - excluded)
        assert not exclude & set(hits.rows.tolist())
        assert_true(hits, items, capsules)


def test_marks_of_a_busy_moment_are_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    items = vectors_of_uneven_norms(0)
    index, together = build_beam(items), Barrier(9)
    take = index.take_marks

    def take_together(beams: int) -> beam.Marks:
        marks = take(beams)
        together.wait()
        return marks

    alone = index.search(items[:2], 20)
    monkeypatch.setattr(index, "take_marks", take_together)
    with ThreadPoolExecutor(9) as threads:
        found = list(threads.map(lambda _: index.search(items[:2], 20).rows.tolist(), range(9)))
    assert found == [alone.rows.tolist()] * 9
    assert len(index.free) == beam.KEPT == 4


def test_what_the_graph_does_not_reach_is_scanned_for() -> None:
    items = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    index, right = build_hnsw(items), oracle(items, items[:2], 50)
    for row in right.rows[:5]:
        index.graph.mark_deleted(row)  # hnswlib does not find these any more
    assert index.search(items[:2], 50).rows.tolist() == right.rows.tolist()


def test_a_beam_that_would_visit_too_much_becomes_a_scan(
    items: np.ndarray, queries: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beam, "FEW", 50)  # so it may visit 750 of the 3,000
    index = build_beam(items)
    assert index.beams(queries[:1], 700, 1_400, [EVERY_ROW], None)[1].tolist() == [-1]
    for capsules in queries[::20]:
        assert index.search(capsules, 700).rows.tolist() == index.scan.search(capsules, 700).rows.tolist()


def test_where_a_scan_is_faster_it_is_taken(items: np.ndarray) -> None:
    index = BeamIndex(items, links_of(build_hnsw(items).graph), {10: 40, 100: 200}, break_even=5)
    assert [index.ef_for(n) for n in (1, 10, 55, 100, 300, 10_000)] == [40, 40, 120, 200, 600, 20_000]
    assert not index.scan_is_faster(500, None)  # 3,000 rows against a beam worth 2,500
    assert index.scan_is_faster(600, None)
    half = Allowed(np.arange(ITEMS) < ITEMS // 2)
    assert index.scan_is_faster(150, half)  # 1,500 rows against a beam worth 750, which meets every second for nothing
    assert not index.scan_is_faster(149, half)


def test_measured_breadth(items: np.ndarray, queries: list[np.ndarray]) -> None:
    index = build_beam(items)
    found = ef_tuning.measured(index, queries, target=0.99)
    assert list(found.ef) == list(found.recall) == [10, 100, 1_000]
    for n, ef in found.ef.items():
        assert ef >= max(n, ef_tuning.NARROWEST)
        right = index.scan.search_many(queries, n)
        hits = BeamIndex(items, index.links, {n: ef}, break_even=0).search_many(queries, n)
        shares = [recall(one, other) for one, other in zip(hits, right, strict=True)]
        assert np.mean(shares) == pytest.approx(found.recall[n])
        assert found.recall[n] >= 0.99
    assert ef_tuning.measured(index, queries, target=0.2).ef == {10: 32, 100: 100, 1_000: 1_000}
    with pytest.raises(ValueError, match=r"the target of recall is 1\.5; right is above 0 and at most 1"):
        ef_tuning.measured(index, queries, target=1.5)


def test_nothing_is_left(index: MaxSimIndex, queries: list[np.ndarray]) -> None:
    hits = index.search(queries[0], 10, range(ITEMS))
    assert len(hits.rows) == len(hits.scores) == len(hits.capsule) == 0


@pytest.mark.parametrize(
    ("shape", "n", "message"),
    [
        ((2, DIM), 0, "n is 0; it must be at least 1"),
        ((2, DIM), -3, "n is -3"),
        ((2, DIM + 1), 5, r"capsules are of shape \(2, 33\); right is \(K', 32\)"),
        ((DIM,), 5, r"of shape \(32,\)"),
        ((0, DIM), 5, r"of shape \(0, 32\).*K' at least 1"),
    ],
)
def test_bad_queries(index: MaxSimIndex, shape: tuple[int, ...], n: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        index.search(np.ones(shape, dtype=np.float32), n)
    with pytest.raises(ValueError, match="capsules hold NaN or infinite numbers"):
        index.search(np.full((1, DIM), np.nan, dtype=np.float32), 5)


def test_links_of_two_graphs_are_joined_in_the_slots_that_are_free() -> None:
    first = np.array([[1, 2, -1, -1], [0, 2, 3, -1], [3, -1, -1, -1], [0, 1, 2, -1]], dtype=np.int32)
    second = np.array([[2, 3, -1, -1], [3, 2, -1, -1], [0, 3, 1, -1], [2, 1, 0, -1]], dtype=np.int32)
    right = [[1, 2, 3, -1], [0, 2, 3, -1], [3, 0, 1, -1], [0, 1, 2, -1]]
    assert union(first, second).tolist() == right


@pytest.mark.parametrize(("even", "fewest"), [(True, 9), (False, 13)])
def test_only_uneven_norms_get_links_of_both_graphs(even: bool, fewest: float) -> None:
    items = np.random.default_rng(0).normal(size=(2_000, 20)).astype(np.float32)
    if even:
        items /= np.linalg.norm(items, axis=1, keepdims=True)
    graph = hnsw.build(items, SMALL, progress=False).graph
    number = (links_of(graph).rows >= 0).sum(1).mean()
    assert fewest < number < fewest + 4  # of 16 slots
    labels, _ = graph.knn_query(augmented(items), k=1)  # hnswlib itself reads what was written
    assert (labels[:, 0] == np.arange(2_000)).mean() > 0.99


@given(
    st.lists(st.tuples(st.floats(-(2.0**100), 2.0**100, width=32), st.integers(0, 2**31 - 1)), min_size=1, max_size=20)
)
@settings(max_examples=100)
def test_keys_sort_by_score_and_then_by_row(pairs: list[tuple[float, int]]) -> None:
    made = sorted((heaps.key_of(np.float32(score), row) for score, row in pairs), reverse=True)
    assert made[-1] > heaps.NOTHING
    right = sorted(pairs, key=lambda one: (-one[0], one[1]))
    assert [(float(heaps.score_of(key)), heaps.row_of(key)) for key in made] == right


def test_augmented_vectors_have_one_norm_and_keep_the_order(items: np.ndarray, queries: list[np.ndarray]) -> None:
    vectors = augmented(items)
    assert vectors.shape == (ITEMS, 48)  # 33 and up to a multiple of 16
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors[:, :DIM], items)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), np.linalg.norm(items, axis=1).max(), rtol=1e-5)
    query = queries[0][0].astype(np.float64)
    distance = np.linalg.norm(vectors - np.pad(query, (0, 48 - DIM)), axis=1)
    assert np.argsort(distance)[:100].tolist() == np.argsort(-(items @ query))[:100].tolist()


@pytest.mark.parametrize(("dim", "width"), [(1, 16), (15, 16), (16, 32), (64, 80)])
def test_augmented_widths(dim: int, width: int) -> None:
    vectors = augmented(np.eye(3, dim, dtype=np.float32))
    assert vectors.shape == (3, width)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1)


def plain_inner_product(items: np.ndarray) -> hnswlib.Index:
    """hnswlib's own way to the same answers."""
    graph = hnswlib.Index("ip", items.shape[1])
    graph.init_index(len(items), ef_construction=HnswSettings.ef_construction, M=HnswSettings.m, random_seed=7)
    graph.add_items(items, num_threads=1)
    graph.set_ef(hnsw.PLAIN_EF)
    return graph


def test_every_item_is_reached() -> None:
    items = vectors_of_uneven_norms(clusters=40)
    graph = build_hnsw(items).graph
    labels, _ = graph.knn_query(augmented(items), k=1)
    assert labels[:, 0].tolist() == list(range(ITEMS))
    graph.knn_query(augmented(items[:1]), k=ITEMS)
    with pytest.raises(RuntimeError, match="Cannot return the results"):
        plain_inner_product(items).knn_query(items[:1], k=ITEMS)


def test_the_plain_inner_product_space_finds_less() -> None:
    """The reason for the augmented space."""
    items = vectors_of_uneven_norms(clusters=40)
    ours, plain = build_hnsw(items), plain_inner_product(items)
    found = []
    for capsules in items[:100, None]:
        right = oracle(items, capsules, 50).rows
        rows = ours.search(capsules, 50).rows, plain.knn_query(capsules, k=50)[0]
        found.append([np.isin(right, one).mean() for one in rows])
    ours_recall, plain_recall = np.mean(found, axis=0)
    assert ours_recall > 0.99
    assert plain_recall < 0.9


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, Path]:
    """400 items and the file of their graph."""
    items = np.random.default_rng(5).normal(size=(400, 20)).astype(np.float32)
    file = tmp_path_factory.mktemp("index") / OLD_INDEX
    hnsw.build(items, SMALL, progress=False).graph.save_index(str(file))
    return items, file


def test_a_loaded_index_gives_the_same_answers(saved: tuple[np.ndarray, Path], tmp_path: Path) -> None:
    items, file = saved[0], tmp_path / OLD_INDEX
    built = hnsw.build(items, SMALL, progress=False)  # not that of the fixture: each is another graph
    built.graph.save_index(str(file))
    loaded = hnsw.load(items, file, ef=SMALL.ef)
    assert loaded.graph.ef == SMALL.ef
    for capsules in np.random.default_rng(6).normal(size=(20, 3, 20)).astype(np.float32):
        before, after = built.search(capsules, 30), loaded.search(capsules, 30)
        assert before.rows.tolist() == after.rows.tolist()
        assert before.scores.tolist() == after.scores.tolist()


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(lambda good: b"", id="empty"),
        pytest.param(lambda good: good[:60], id="header cut off"),
        pytest.param(lambda good: good[: len(good) // 2], id="half"),
        pytest.param(lambda good: good[:-1], id="last byte missing"),
        pytest.param(lambda good: good + b"\0\0\0\0", id="too long"),
        pytest.param(lambda good: b"this is no index " * 500, id="foreign"),
    ],
)
def test_what_is_no_index_is_refused(
    saved: tuple[np.ndarray, Path], tmp_path: Path, damaged: Callable[[bytes], bytes]
) -> None:
    items, file = saved
    (tmp_path / OLD_INDEX).write_bytes(damaged(file.read_bytes()))
    with pytest.raises(ValueError, match=rf"{OLD_INDEX} is not an index of these items"):
        hnsw.load(items, tmp_path / OLD_INDEX, ef=40)


def test_an_index_of_other_items_or_none_is_refused(saved: tuple[np.ndarray, Path], tmp_path: Path) -> None:
    items, file = saved
    with pytest.raises(ValueError, match=rf"{OLD_INDEX} has 400 items; the item table has 399"):
        hnsw.load(items[:-1], file, ef=40)
    with pytest.raises(ValueError, match="not an index"):
        hnsw.load(items, tmp_path / "missing", ef=40)


@pytest.fixture
def copy(bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle to change."""
    return Bundle(shutil.copytree(bundle.path, tmp_path / bundle.version))


def build_small(bundle: Bundle, kind: str) -> Bundle:
    return build_index(bundle, kind, SMALL, progress=False)


def test_a_bundle_gets_an_hnsw_index(copy: Bundle) -> None:
    built = build_small(copy, "hnsw")
    assert built.manifest.index == {"kind": "hnsw", "m": 8, "ef_construction": 40, "ef": 40, "seed": 7}
    for name in (LINKS, LINK_ENTRIES):
        assert built.manifest.files[name] == describe_file(copy.path / name)
    assert built.manifest == replace(copy.manifest, index=built.manifest.index, files=built.manifest.files)
    built.verify()
    index = open_index(built)
    assert isinstance(index, BeamIndex)
    assert index.ef == {100: 40}
    assert not index.links.rows.flags.owndata  # memory-mapped
    capsules = np.array(built.item_embeddings[:3])
    right = oracle(built.item_embeddings, capsules, 50)
    assert recall(index.search(capsules, 50), right) >= 0.9


def test_a_bundle_says_the_ef_that_was_measured(copy: Bundle) -> None:
    built = build_index(copy, "hnsw", replace(SMALL, ef=0), progress=False, target=0.95)
    found = built.manifest.index
    assert found["target"] == 0.95
    assert list(found["ef"]) == list(found["recall"]) == ["10", "100"]  # of 600 items
    assert min(found["recall"].values()) >= 0.95
    index = open_index(built)
    assert isinstance(index, BeamIndex)
    assert index.ef == {int(n): ef for n, ef in found["ef"].items()}
    queries = ef_tuning.queries_of(built, seed=SMALL.seed)
    assert len(queries) == ef_tuning.QUERIES
    golden = json.loads((built.path / "golden.json").read_text())
    assert queries[0].tolist() == next(case["capsules"] for case in golden if case["capsules"])


def test_a_bundle_gets_an_exact_index(copy: Bundle) -> None:
    built = build_small(build_small(copy, "hnsw"), "exact")  # takes the place of the other
    assert built.manifest.index == {"kind": "exact"}
    assert built.manifest.files == copy.manifest.files
    assert not (copy.path / LINKS).exists()
    built.verify()
    assert open_index(built).kind == "exact"


def test_a_bundle_without_an_index_is_searched_exactly(bundle: Bundle) -> None:
    assert bundle.manifest.index == {}
    assert open_index(bundle).kind == "exact"


@pytest.mark.parametrize(("up_to", "kind"), [(600, "exact"), (599, "hnsw")])
def test_auto_goes_by_the_number_of_items(copy: Bundle, monkeypatch: pytest.MonkeyPatch, up_to: int, kind: str) -> None:
    monkeypatch.setattr(index_files, "EXACT_UP_TO", up_to)
    assert copy.manifest.items == 600
    built = build_small(copy, "auto")
    assert built.manifest.index["kind"] == open_index(built).kind == kind


def test_unknown_kinds_are_refused(copy: Bundle) -> None:
    before = copy.manifest
    with pytest.raises(ValueError, match="the kind of index is 'annoy'; right is auto, exact or hnsw"):
        build_small(copy, "annoy")
    assert Bundle(copy.path).manifest == before


def test_the_index_is_published_with_the_bundle(copy: Bundle, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    registry.publish(build_small(copy, "hnsw").path)
    assert open_index(registry.current()).kind == "hnsw"


def with_old_index(bundle: Bundle) -> Bundle:
    """A bundle with hnswlib's own file, as they had before."""
    hnsw.build(bundle.item_embeddings, SMALL, progress=False).graph.save_index(str(bundle.path / OLD_INDEX))
    files = bundle.manifest.files | {OLD_INDEX: describe_file(bundle.path / OLD_INDEX)}
    write_manifest(bundle.path, replace(bundle.manifest, files=files, index={"kind": "hnsw", "ef": 40}))
    return Bundle(bundle.path)


def test_an_index_of_before_gives_the_same_answers(copy: Bundle) -> None:
    old, vectors = with_old_index(copy), copy.item_embeddings
    check(old)
    found, right = open_index(old), links_of(hnsw.load(vectors, copy.path / OLD_INDEX).graph)
    assert isinstance(found, BeamIndex)
    np.testing.assert_array_equal(found.links.rows, right.rows)
    np.testing.assert_array_equal(found.links.entries, right.entries)
    capsules = np.array(vectors[:3])
    assert (
        found.search(capsules, 50).rows.tolist()
        == BeamIndex(vectors, right, {100: 40}).search(capsules, 50).rows.tolist()
    )
    built = build_small(old, "hnsw")  # takes the place of the other
    assert not (copy.path / OLD_INDEX).exists()
    check(built)


@pytest.mark.parametrize("at", [0, 8, 48, 100, -5_000, -1])
def test_a_changed_index_never_reaches_hnswlib(copy: Bundle, tmp_path: Path, at: int) -> None:
    """hnswlib reads most such files without a word, and then crashes; the checksum tells."""
    old = with_old_index(copy)
    content = bytearray((copy.path / OLD_INDEX).read_bytes())
    content[at] ^= 0x7F
    (copy.path / OLD_INDEX).write_bytes(content)
    for refuse in (old.verify, lambda: open_index(old), lambda: Registry(tmp_path / "models").publish(old.path)):
        with pytest.raises(BundleError, match=rf"{OLD_INDEX} was changed"):
            refuse()
    assert Registry(tmp_path / "models").current_version() is None


@pytest.mark.parametrize("name", [LINKS, LINK_ENTRIES])
def test_a_lost_or_cut_off_index_is_refused(copy: Bundle, name: str) -> None:
    built = build_small(copy, "hnsw")
    content = (copy.path / name).read_bytes()
    (copy.path / name).write_bytes(content[:-10])
    with pytest.raises(BundleError, match=rf"{name} has {len(content) - 10} bytes; the manifest says {len(content)}"):
        open_index(built)
    (copy.path / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        open_index(built)
    with pytest.raises(BundleError, match=f"{name} is missing"):
        built.verify()


@pytest.mark.parametrize(("name", "row"), [(LINKS, 600), (LINKS, -2), (LINK_ENTRIES, 600), (LINK_ENTRIES, -1)])
def test_links_that_lead_out_of_the_table_never_reach_compiled_code(copy: Bundle, name: str, row: int) -> None:
    built = build_small(copy, "hnsw")
    rows = np.load(copy.path / name)
    rows[-1] = row
    np.save(copy.path / name, rows)
    with pytest.raises(BundleError, match=f"{LINKS} cannot be read: links lead from row .*; there are 600"):
        open_index(built)


def test_what_the_manifest_does_not_list_is_not_there(copy: Bundle) -> None:
    built = build_small(copy, "hnsw")
    write_manifest(copy.path, replace(built.manifest, files={}))
    assert open_index(Bundle(copy.path)).kind == "exact"
