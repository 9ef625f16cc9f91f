"""WALS, a baseline: matrix factorisation of the counts of who took what, by the library `implicit`.

Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008: what a user took is wanted
with confidence 1 + alpha * count, everything else is not wanted with confidence 1. A user that training did not see is
folded in: with the items' factors held fixed, the history alone decides the user's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import coo_matrix, csr_matrix
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from model_export.data.dataset import Sequences, positions_of
from model_export.evaluation.cases import Cases
from model_export.evaluation.rankers import TUNING_CASES, rank_by_scores, tuning_recall

__all__ = ["Wals", "WalsSettings", "tune_wals"]

FACTORS = 64  # as long as the models' vectors
ITERATIONS = 15
ALPHAS = (1.0, 10.0, 40.0, 100.0)  # 40 is the paper's
REGULARISATIONS = (3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True)
class WalsSettings:
    """Settings that tuning chooses.

    Attributes
    ----------
    alpha : how much surer a behaviour makes us that the item is wanted.
    regularisation : lambda, weight of the factors' squared lengths.
    """

    alpha: float = 40.0
    regularisation: float = 10.0


class Wals:
    """WALS: an item's score is the inner product of its factors and the folded-in user's.

    Parameters
    ----------
    sequences : behaviours to learn from.
    users : int64, whose of them.
    num_items : number of items.
    settings : how to learn.
    seed : of the factors that learning starts from.
    """

    name = "WALS"

    def __init__(
        self, sequences: Sequences, users: np.ndarray, num_items: int, settings: WalsSettings, seed: int = 7
    ) -> None:
        self.settings, self.num_items = settings, num_items
        positions, owners = positions_of(sequences, users)
        seen = self.confidence(owners, sequences.items[positions], len(sequences.user_ids))
        with _one_thread():
            self.model = AlternatingLeastSquares(
                factors=min(FACTORS, num_items),
                regularization=settings.regularisation,
                iterations=ITERATIONS,
                num_threads=1,
                random_state=seed,
            )
            self.model.fit(seen, show_progress=False)

    def confidence(self, users: np.ndarray, items: np.ndarray, number: int) -> csr_matrix:
        """Return 1 + alpha * count of each pair of user and item, float32 (number, items).

        Parameters
        ----------
        users : int64 (E,), rows below `number`.
        items : int64 (E,), the item of each.
        """
        ones = np.ones(len(users), dtype=np.float32)
        counts = coo_matrix((ones, (users, items)), shape=(number, self.num_items)).tocsr()  # repeats are summed
        counts.data = 1 + self.settings.alpha * counts.data
        return counts

    def top(self, cases: Cases, n: int, unseen_only: bool) -> np.ndarray:
        """Return the n best item rows of each case; see Ranker.top."""
        return rank_by_scores(self.scores, self.num_items, cases, n, unseen_only)

    def scores(self, cases: Cases) -> np.ndarray:
        """Score all items for each case: float32 (C, items)."""
        rows, _ = np.nonzero(cases.mask)
        seen = self.confidence(rows, cases.history[cases.mask], len(cases))
        with _one_thread():
            users = self.model.recalculate_user(np.arange(len(cases)), seen)  # (C, factors)
            return np.asarray(users @ self.model.item_factors.T)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit BLAS to one thread, since `implicit` warns that others get in the solver's way."""
    with threadpool_limits(1, "blas"):
        yield


def tune_wals(
    sequences: Sequences,
    train_users: np.ndarray,
    num_items: int,
    valid_cases: Cases,
    seed: int = 7,
    progress: bool = True,
) -> Wals:
    """Fit WALS with the alpha and regularisation of best recall@50 on validation cases.

    Parameters
    ----------
    valid_cases : of users that are not among `train_users`; at most 3,000 are drawn. Without any, nothing is tuned.
    """
    cases = valid_cases.sample(TUNING_CASES, seed)
    if not len(cases):
        return Wals(sequences, train_users, num_items, WalsSettings(), seed)
    grid = [WalsSettings(*pair) for pair in product(ALPHAS, REGULARISATIONS)]
    bar = tqdm(grid, desc="tuning WALS", unit="setting", disable=not progress)
    recalls = [tuning_recall(Wals(sequences, train_users, num_items, settings, seed), cases) for settings in bar]
    return Wals(sequences, train_users, num_items, grid[int(np.argmax(recalls))], seed)
