"""EASE: a linear model of what goes with what, in closed form.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019: with X (users, items), 1 where a user took an
item, the B of zero diagonal that minimises |X - X B|^2 + lambda |B|^2 is B = I - P diag(1 / diag P), where
P = (X' X + lambda I)^-1. An item's score is the sum of its weights from the items of the history.
"""

import numpy as np
from scipy.linalg.lapack import spotrf, spotri
from scipy.sparse import coo_matrix, csr_matrix
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from model_export.data.dataset import Sequences, positions_of
from model_export.evaluation.cases import Cases
from model_export.evaluation.rankers import TUNING_CASES, rank_by_scores, tuning_recall

__all__ = ["MOST_ITEMS", "Ease", "left_out", "tune_ease"]

MOST_ITEMS = 20_000  # the matrix takes items^2 * 4 bytes, 1.6 GB of so many
REGULARISATIONS = (30.0, 100.0, 300.0, 1_000.0)


class Ease:
    """EASE: an item's score is the sum of its weights from the distinct items of the history.

    Parameters
    ----------
    sequences : behaviours to learn from.
    users : int64, whose of them.
    num_items : number of items; memory grows with its square.
    regularisation : lambda.
    """

    name = "EASE"

    def __init__(self, sequences: Sequences, users: np.ndarray, num_items: int, regularisation: float) -> None:
        self.regularisation, self.num_items = regularisation, num_items
        positions, owners = positions_of(sequences, users)
        taken = _taken(owners, sequences.items[positions], (len(sequences.user_ids), num_items))
        self.weights = _closed_form(taken, regularisation)  # (items, items)

    def top(self, cases: Cases, n: int, unseen_only: bool) -> np.ndarray:
        """Return the n best item rows of each case; see Ranker.top."""
        return rank_by_scores(self.scores, self.num_items, cases, n, unseen_only)

    def scores(self, cases: Cases) -> np.ndarray:
        """Score all items for each case: float32 (C, items)."""
        rows, _ = np.nonzero(cases.mask)
        taken = _taken(rows, cases.history[cases.mask], (len(cases), self.num_items))
        return np.asarray(taken @ self.weights)


def _taken(users: np.ndarray, items: np.ndarray, shape: tuple[int, int]) -> csr_matrix:
    """Return 1 for each pair of user and item that occurs: float32, of this shape."""
    found = coo_matrix((np.ones(len(users), dtype=np.float32), (users, items)), shape=shape).tocsr()
    found.data[:] = 1  # repeats were summed
    return found


def _closed_form(taken: csr_matrix, regularisation: float) -> np.ndarray:
    """Return B, float32 (items, items), with a diagonal of zeros.

    Parameters
    ----------
    taken : float32 (users, items), X.

    Raises
    ------
    ValueError
        If X' X + lambda I cannot be inverted in 32 bits.
    """
    matrix = np.asfortranarray((taken.T @ taken).toarray())
    matrix[np.diag_indices_from(matrix)] += regularisation
    with threadpool_limits(1, "blas"):  # others train beside it
        matrix, failed = spotrf(matrix, lower=0, clean=0, overwrite_a=1)
        if not failed:
            matrix, failed = spotri(matrix, lower=0, overwrite_c=1)  # the upper triangle of P, in place
    if failed:
        raise ValueError(f"EASE's matrix has no inverse in 32 bits with lambda {regularisation}; try a larger one")
    return _weights_of(matrix)


def _weights_of(inverse: np.ndarray) -> np.ndarray:
    """Turn P, whose upper triangle counts, into B in place; its rows lie one after the other."""
    for item in range(len(inverse)):  # one by one: a whole copy may not fit
        inverse[item + 1 :, item] = inverse[item, item + 1 :]
    weights = inverse.T  # P is the same both ways, and a history needs whole rows
    weights /= -weights.diagonal().copy()  # each column by its own
    np.fill_diagonal(weights, 0)
    return weights


def left_out(num_items: int) -> str:
    """Say why EASE is left out; empty if it is not."""
    if num_items <= MOST_ITEMS:
        return ""
    gigabytes = num_items**2 * 4 / 1e9
    return (
        f"EASE is left out: of {num_items:,} items its matrix would take {gigabytes:.1f} GB and an inversion for each "
        f"setting; it is tried on at most {MOST_ITEMS:,}"
    )


def tune_ease(
    sequences: Sequences,
    train_users: np.ndarray,
    num_items: int,
    valid_cases: Cases,
    seed: int = 7,
    progress: bool = True,
) -> Ease:
    """Fit EASE with the regularisation of best recall on validation cases.

    Parameters
    ----------
    valid_cases : of users that are not among `train_users`; at most 3,000 are drawn. Without any, the first that is
        not the least is taken.
    """
    cases = valid_cases.sample(TUNING_CASES, seed)
    if not len(cases):
        return Ease(sequences, train_users, num_items, REGULARISATIONS[1])
    best, recall_of_best = None, -1.0
    for regularisation in tqdm(REGULARISATIONS, desc="tuning EASE", unit="setting", disable=not progress):
        ease = Ease(sequences, train_users, num_items, regularisation)
        recall = tuning_recall(ease, cases)
        if recall > recall_of_best:
            best, recall_of_best = ease, recall
    assert best is not None, "there are regularisations to try"
    return best
