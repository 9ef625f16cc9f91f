"""Item-kNN: similarities by hand, what a history's own items count, and what tuning must find in planted data."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from model_export.data.dataset import Sequences, build_sequences, build_vocabulary, positions_of
from model_export.evaluation.cases import Cases, comirec_cases
from model_export.evaluation.item_knn import ItemKnn, KnnSettings, tune_item_knn
from model_export.evaluation.metrics import mean_metrics, metrics_per_case
from model_export.evaluation.rankers import Popular
from model_export.evaluation.split import Split, split_users
from model_export.readers import read_log

BEAUTY = Path(__file__).parents[3].parent / "shared" / "data" / "amazon-beauty"


def sequences_of(histories: list[list[int]]) -> Sequences:
    items = np.array([item for history in histories for item in history], dtype=np.int64)
    user_ids = [f"u{user:05}" for user in range(len(histories))]
    starts = np.cumsum([0, *map(len, histories)])
    profiles = np.zeros((len(histories), 0), dtype=np.int64)
    return Sequences(user_ids, items, np.arange(len(items)), starts, profiles)


def cases_of(*histories: list[int]) -> Cases:
    length = max(map(len, histories))
    mask = np.array([[False] * (length - len(h)) + [True] * len(h) for h in histories])
    rows = np.array([[0] * (length - len(h)) + h for h in histories])
    return Cases(rows, mask, np.zeros((len(histories), 0), dtype=np.int64), np.full((len(histories), 1), -1), 0 * rows)


# Three users that are learned from and one that is not. Counts: item 0 has 3, 1 has 2, 2 has 1, 3 has 1, 4 none.
THREE = sequences_of([[0, 1, 2], [1, 0], [3, 0], [4, 4, 4, 4]])
LEARNED = np.array([0, 1, 2])


def test_similarities_and_scores_of_three_users_by_hand() -> None:
    knn = ItemKnn(THREE, LEARNED, 5, KnnSettings(reach=1, popularity_power=0.5, decay=0.5))
    by_0 = [0, 2 / np.sqrt(6), 0, 1 / np.sqrt(3), 0]
    by_1 = [2 / np.sqrt(6), 0, 1 / np.sqrt(2), 0, 0]
    assert knn.similarity.toarray()[:2] == pytest.approx(np.array([by_0, by_1]))
    cases = cases_of([0, 1])
    assert knn.scores(cases.history, cases.mask)[0] == pytest.approx(0.5 * np.array(by_0) + np.array(by_1))
    assert knn.top_of([0, 1], 3).tolist() == [0, 2, 1]  # 0.82, 0.71, 0.41


def test_the_power_weighs_popularity() -> None:
    plain = ItemKnn(THREE, LEARNED, 5, KnnSettings(reach=1, popularity_power=0.0)).similarity.toarray()
    assert plain[0].tolist() == [0, 2, 0, 1, 0]
    whole = ItemKnn(THREE, LEARNED, 5, KnnSettings(reach=1, popularity_power=1.0)).similarity.toarray()
    assert whole[0] == pytest.approx([0, 2 / 6, 0, 1 / 3, 0])


def test_what_is_not_similar_is_ranked_by_popularity() -> None:
    assert ItemKnn(THREE, LEARNED, 5, KnnSettings(reach=1)).top_of([2], 9).tolist() == [1, 0, 2, 3, 4]
    assert ItemKnn(THREE, np.array([3]), 5, KnnSettings()).top_of([0], 2).tolist() == [4, 0]


def test_the_historys_own_items_count_by_the_largest_similarity() -> None:
    settings = KnnSettings(reach=1, popularity_power=0.0, decay=0.5, own=3.0)
    cases = cases_of([2, 3])
    scores = ItemKnn(THREE, LEARNED, 5, settings).scores(cases.history, cases.mask)
    assert scores[0] == pytest.approx([1, 0.5, 3 * 2 * 0.5, 3 * 2, 0])


def test_only_the_most_recent_behaviours_count_and_padding_does_not() -> None:
    knn = ItemKnn(THREE, LEARNED, 5, KnnSettings(reach=1, length=1))
    cases = cases_of([3, 3, 2], [2])
    scores = knn.scores(cases.history, cases.mask)
    assert scores[0] == pytest.approx(scores[1])
    assert scores[1] == pytest.approx([0, 1 / np.sqrt(2), 0, 0, 0])


@pytest.mark.parametrize(("own", "seed"), product((0.0, 3.0), (1, 2)))
def test_unseen_only_never_brings_what_was_seen(own: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sequences = sequences_of(rng.integers(0, 30, (50, 10)).tolist())
    histories = rng.integers(0, 30, (600, 8)).tolist()  # more than a batch
    knn = ItemKnn(sequences, np.arange(50), 30, KnnSettings(own=own))
    for history, top in zip(histories, knn.top(cases_of(*histories), 30, unseen_only=True).tolist(), strict=True):
        unseen = set(range(30)) - set(history)
        assert set(top[: len(unseen)]) == unseen
        assert set(top[len(unseen) :]) == {-1}
    seen_too = knn.top(cases_of(*histories), 30, unseen_only=False)
    assert (np.sort(seen_too, axis=1) == np.arange(30)).all()
    assert seen_too[599].tolist() == knn.top_of(histories[599], 30).tolist()


def tuned(histories: list[list[int]], items: int) -> ItemKnn:
    sequences = sequences_of(histories)
    train, valid = np.arange(0, len(histories), 2), np.arange(1, len(histories), 2)
    return tune_item_knn(sequences, train, items, comirec_cases(sequences, valid), 20, progress=False)


def test_tuning_finds_that_users_come_back() -> None:
    # Everybody goes round among four items of their own, of 400; the neighbours of an item are others' items.
    rng = np.random.default_rng(1)
    histories = [np.tile(rng.choice(400, 4, replace=False), 5).tolist() for _ in range(200)]
    noisy = [[item if rng.random() < 0.6 else int(rng.integers(400)) for item in history] for history in histories]
    assert tuned(noisy, 400).settings.own > 0


def test_tuning_finds_that_nobody_comes_back() -> None:
    # Everybody walks through the 70 items of one of six departments in an order of their own; nothing comes twice.
    rng = np.random.default_rng(1)
    histories = [(70 * rng.integers(6) + rng.permutation(70)).tolist() for _ in range(200)]
    knn = tuned(histories, 420)
    assert (knn.settings.own, knn.settings.length) == (0.0, 20)


def test_without_validation_cases_nothing_is_tuned() -> None:
    knn = tune_item_knn(THREE, LEARNED, 5, comirec_cases(THREE, np.array([], dtype=np.int64)), 7, progress=False)
    assert knn.settings == KnnSettings(length=7)


# Amazon Beauty, its users split as in ComiRec's protocol


@pytest.fixture(scope="module")
def beauty() -> tuple[Sequences, Split]:
    if not BEAUTY.exists():
        pytest.skip("needs the real data set amazon-beauty in ../shared/data beside the repository")
    log = read_log(BEAUTY)
    sequences = build_sequences(log, build_vocabulary(log))
    return sequences, split_users(sequences.user_ids, 0, 0, log.sides)


def test_most_popular_on_beauty(beauty: tuple[Sequences, Split]) -> None:
    sequences, split = beauty
    trained_on = sequences.items[positions_of(sequences, split.train)[0]]
    cases = comirec_cases(sequences, split.test)
    assert len(cases) == 2_237
    found = mean_metrics(
        metrics_per_case(Popular(np.bincount(trained_on)).top(cases, 50, unseen_only=False), cases.labels)
    )
    expected = {"recall@20": 2.66, "hr@20": 4.52, "ndcg@20": 1.15, "recall@50": 5.01, "hr@50": 9.25, "ndcg@50": 1.72}
    assert {name: 100 * found[name] for name in expected} == pytest.approx(expected, abs=0.0055)


@pytest.mark.slow
def test_tuned_item_knn_on_beauty(beauty: tuple[Sequences, Split]) -> None:
    sequences, split = beauty
    cases = comirec_cases(sequences, split.test)
    knn = tune_item_knn(sequences, split.train, 12_101, comirec_cases(sequences, split.valid), 20, progress=False)
    assert knn.settings.own == 0  # nobody reviews a product twice
    found = mean_metrics(metrics_per_case(knn.top(cases, 50, unseen_only=False), cases.labels))
    assert 16.2 <= 100 * found["recall@50"] <= 16.6
    assert 24.7 <= 100 * found["hr@50"] <= 25.3
