"""What goes with what, by hand; and that items which go together start close to each other."""

from functools import partial

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from model_export.data import cooccurrence
from model_export.data.cooccurrence import Neighbours, co_occurrence, similarity_matrix, svd_item_vectors
from model_export.data.dataset import Sequences, user_blocks


def sequences_of(histories: list[list[int]]) -> Sequences:
    items = np.array([item for history in histories for item in history], dtype=np.int64)
    starts = np.cumsum([0, *map(len, histories)])
    users = [f"u{user}" for user in range(len(histories))]
    return Sequences(users, items, np.arange(len(items)), starts, np.zeros((len(users), 0), dtype=np.int64))


# Three users that are learned from and one that is not. Counts: item 0 has 3, 1 has 2, 2 has 1, 3 has 1, 4 none.
THREE = sequences_of([[0, 1, 2], [1, 0], [3, 0], [4, 4, 4, 4]])
LEARNED = np.array([0, 1, 2])


def test_co_occurrence_of_three_users_by_hand() -> None:
    near = co_occurrence(THREE, LEARNED, 5, reach=1, distance_weight="constant").toarray()
    assert near.tolist() == [[0, 2, 0, 1, 0], [2, 0, 1, 0, 0], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0] * 5]
    far = co_occurrence(THREE, LEARNED, 5, reach=2, distance_weight="constant").toarray()
    assert (far - near).tolist() == [[0, 0, 1, 0, 0], [0] * 5, [1, 0, 0, 0, 0], [0] * 5, [0] * 5]  # 0 . 2
    inverse = co_occurrence(THREE, LEARNED, 5, reach=9, distance_weight="inverse").toarray()
    assert (inverse - near).tolist() == [[0, 0, 0.5, 0, 0], [0] * 5, [0.5, 0, 0, 0, 0], [0] * 5, [0] * 5]


def test_blocks_of_users_make_the_same_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    sequences = sequences_of([rng.integers(0, 30, rng.integers(0, 12)).tolist() for _ in range(50)])
    users = np.flatnonzero(rng.random(50) < 0.7)
    whole = co_occurrence(sequences, users, 30, reach=3, distance_weight="constant")
    neighbours = Neighbours(similarity_matrix(whole, np.arange(30)), most=4)
    monkeypatch.setattr(cooccurrence, "user_blocks", partial(user_blocks, most=10))
    monkeypatch.setattr(cooccurrence, "BLOCK", 10)
    parts = co_occurrence(sequences, users, 30, reach=3, distance_weight="constant")
    assert whole.nnz > 100
    assert (whole != parts).nnz == 0
    again = Neighbours(similarity_matrix(parts, np.arange(30)), most=4)
    assert (again.items == neighbours.items).all()
    assert (again.cumulative == neighbours.cumulative).all()


def test_of_a_large_log_some_users_speak_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = sequences_of([[user, user, user, user] for user in range(100)])
    monkeypatch.setattr(cooccurrence, "MOST_BEHAVIOURS", 40)
    drawn = co_occurrence(sequences, np.arange(50), 100, reach=1).diagonal().nonzero()[0]
    assert len(drawn) == 10  # of four behaviours each, and whole
    assert set(drawn) < set(range(50))  # of those that may teach
    assert (np.diff(drawn) > 1).any()  # not just the first
    assert co_occurrence(sequences, np.arange(10), 100, reach=1).diagonal().nonzero()[0].tolist() == [*range(10)]
    monkeypatch.setattr(cooccurrence, "MOST_BEHAVIOURS", 3)  # one user is more
    assert co_occurrence(sequences, np.arange(50), 100, reach=1).nnz == 1


def test_cosine_by_hand() -> None:
    pairs = co_occurrence(THREE, LEARNED, 5, reach=1)
    found = similarity_matrix(pairs, np.array([3, 2, 1, 1, 0])).toarray()
    assert found[0] == pytest.approx([0, 2 / np.sqrt(6), 0, 1 / np.sqrt(3), 0])
    assert found[2] == pytest.approx([0, 1 / np.sqrt(2), 0, 0, 0])
    assert (found == found.T).all()
    assert not found[4].any()  # nobody has item 4: nothing is divided by zero


def two_shelves(alone: int = 0) -> csr_matrix:
    """Similarity of two shelves of ten items that never meet, and of items that meet nothing."""
    rng = np.random.default_rng(1)
    histories = [(10 * (user % 2) + rng.integers(0, 10, 12)).tolist() for user in range(80)]
    items = 20 + alone
    sequences = sequences_of(histories)
    pairs = co_occurrence(sequences, np.arange(80), items)
    return similarity_matrix(pairs, np.bincount(sequences.items, minlength=items))


@pytest.mark.parametrize("exact_up_to", [10**9, 0])
def test_items_that_go_together_start_close(exact_up_to: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cooccurrence, "EXACT_UP_TO", exact_up_to)
    vectors = svd_item_vectors(two_shelves(), 4, np.random.default_rng(0))
    assert vectors.shape == (20, 4)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    cosines = vectors @ vectors.T
    within = np.r_[cosines[:10, :10].ravel(), cosines[10:, 10:].ravel()]
    assert within.mean() > 0.5
    assert np.abs(cosines[:10, 10:]).max() < 1e-3  # shelves that never meet have nothing in common


@pytest.mark.parametrize("dim", [4, 64])
def test_items_that_go_with_nothing_have_directions_of_their_own(dim: int) -> None:
    vectors = svd_item_vectors(two_shelves(alone=3), dim, np.random.default_rng(0))
    assert vectors.shape == (23, dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    alone = vectors[20:] @ vectors[20:].T
    assert np.abs(alone - np.eye(3)).max() < 0.99


@pytest.mark.parametrize("items", [1, 2, 5])
def test_where_nothing_goes_with_anything_all_directions_are_random(items: int) -> None:
    vectors = svd_item_vectors(csr_matrix((items, items)), 3, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


def test_the_same_seed_gives_the_same_vectors() -> None:
    one, again, other = (svd_item_vectors(two_shelves(2), 4, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (one == again).all()
    assert not np.allclose(one[20:], other[20:])


# Neighbours: 0 goes with 1, 2 and 3 as 1 : 2 : 5; 1 goes with 0 alone; 2 and 3 with nothing.
SIMILARITY = csr_matrix(np.array([[0, 0.1, 0.2, 0.5], [0.1, 0, 0, 0], [0] * 4, [0] * 4]))


def test_neighbours_are_drawn_in_proportion_to_the_similarity() -> None:
    draws = Neighbours(SIMILARITY).draw(np.zeros(8_000, dtype=np.int64), np.random.default_rng(1))
    counts, expected = np.bincount(draws, minlength=4), np.array([1_000, 2_000, 5_000])
    assert counts[0] == 0
    assert ((counts[1:] - expected) ** 2 / expected).sum() < 13.8  # chi-square of two degrees of freedom: 1 in 1,000


def test_only_the_most_similar_are_kept() -> None:
    draws = Neighbours(SIMILARITY, most=2).draw(np.zeros(7_000, dtype=np.int64), np.random.default_rng(1))
    assert np.bincount(draws, minlength=4)[[0, 1]].tolist() == [0, 0]
    assert np.bincount(draws, minlength=4)[2] == pytest.approx(2_000, abs=150)


def test_an_item_without_neighbours_is_its_own() -> None:
    rows = np.array([2, 1, 3, 1, 2])
    assert Neighbours(SIMILARITY).draw(rows, np.random.default_rng(1)).tolist() == [2, 0, 3, 0, 2]
    assert Neighbours(csr_matrix((3, 3))).draw(np.arange(3), np.random.default_rng(1)).tolist() == [0, 1, 2]
