"""Item-kNN, the baseline to beat: items that stand close to each other in users' sequences are alike.

Item-based collaborative filtering (Sarwar et al., WWW 2001) on the order of behaviours. Well tuned it is hard to beat
(Ferrari Dacrema et al., "Are We Really Making Much Progress?", RecSys 2019), so it is tuned like what it meets.
"""

from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, NoReturn

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, identity
from tqdm import tqdm

from model_export.data.cooccurrence import co_occurrence, most_similar, similarity_matrix
from model_export.data.dataset import Sequences, item_counts
from model_export.evaluation.cases import Cases
from model_export.evaluation.rankers import TUNING_CASES, rank_by_scores, top_columns, tuning_recall

__all__ = ["ItemKnn", "KnnSearch", "KnnSettings", "tune_item_knn"]

ROUNDS = 2
TIE = 1e-12  # of the largest similarity; far below any score


@dataclass(frozen=True)
class KnnSettings:
    """Settings of item-kNN's scores.

    Attributes
    ----------
    reach : positions between two behaviours that still count as together.
    distance_weight : "inverse" weighs two behaviours by 1 / positions between them, "constant" by 1.
    popularity_power : co-occurrence is divided by (count of the one * count of the other) to this power.
    decay : weight for each step back in the history.
    own : what the history's own items score beside, as a share of the largest similarity.
    length : behaviours of a history that count, the most recent.
    """

    reach: int = 5
    distance_weight: Literal["inverse", "constant"] = "constant"
    popularity_power: float = 0.5
    decay: float = 0.8
    own: float = 0.0
    length: int = 50


# What depends on each other is chosen together: what goes with what, then how a history is summed up.
SIMILARITIES: tuple[dict[str, Any], ...] = tuple(
    {"reach": reach, "distance_weight": weight, "popularity_power": power}
    for reach, weight, power in product((5, 10, 20), ("inverse", "constant"), (0.1, 0.2, 0.3, 0.4, 0.5))
)
SUMS: tuple[dict[str, Any], ...] = tuple(
    {"own": own, "decay": decay} for own, decay in product((0.0, 0.1, 0.3, 1.0, 3.0), (0.6, 0.7, 0.8, 0.9, 0.95, 1.0))
)


class ItemKnn:
    """Item-kNN, which scores an item by its similarity to the history.

    The recent behaviours count most.

    Equal scores, such as the zero of everything that is not similar, are ranked by popularity.

    Parameters
    ----------
    sequences : behaviours to learn from.
    users : int64, whose of them.
    num_items : number of items.
    settings : how to score.
    pairs : the co-occurrence of these users' items if it is known already.
    """

    name = "item-kNN"

    def __init__(
        self,
        sequences: Sequences,
        users: np.ndarray,
        num_items: int,
        settings: KnnSettings,
        pairs: csr_matrix | None = None,
    ) -> None:
        self.settings = settings
        if pairs is None:
            pairs = co_occurrence(sequences, users, num_items, settings.reach, settings.distance_weight)
        counts = item_counts(sequences, users, num_items)
        self.similarity = similarity_matrix(pairs, counts, settings.popularity_power)  # (items, items)
        self.largest = float(self.similarity.max()) or 1.0  # 1 if nothing is similar
        ranks = np.empty(num_items)
        ranks[np.argsort(-counts, kind="stable")] = np.arange(num_items, 0, -1)
        self.tie = TIE * self.largest * ranks / num_items  # (items,)

    def top(self, cases: Cases, n: int, unseen_only: bool) -> np.ndarray:
        """Return the n best item rows of each case; see Ranker.top."""
        return rank_by_scores(
            lambda some: self.scores(some.history, some.mask), self.similarity.shape[0], cases, n, unseen_only
        )

    def top_of(self, history: list[int], n: int) -> np.ndarray:
        """Return the n best item rows for one history of item rows, best first.

        Fewer if there are fewer items.

        Parameters
        ----------
        history : item rows, oldest first.

        Returns
        -------
        int64 (n,)
        """
        rows = np.array(history, dtype=np.int64)[None]
        [top] = top_columns(self.scores(rows, np.ones(rows.shape, dtype=bool)), n)
        found: np.ndarray = top[top >= 0]
        return found

    def neighbours(self, most: int, own: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the most similar items of each item, and how similar; see `most_similar`.

        Parameters
        ----------
        most : M, at most so many of each.
        own : what an item is to itself beside, as a share of the largest similarity.
        """
        itself = identity(self.similarity.shape[0], format="csr") * (own * self.largest)
        return most_similar(csr_matrix(self.similarity + itself) if own else self.similarity, most)

    def scores(self, history: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Score all items for each history.

        Parameters
        ----------
        history : int64 (B, L), item rows.
        mask : bool (B, L), True at behaviours.

        Returns
        -------
        float64 (B, items)
        """
        history, mask = history[:, -self.settings.length :], mask[:, -self.settings.length :]
        weights = np.broadcast_to(self.settings.decay ** np.arange(history.shape[1])[::-1], mask.shape)[mask]
        shape = (len(history), self.similarity.shape[0])
        recent = coo_matrix((weights, (np.nonzero(mask)[0], history[mask])), shape=shape).tocsr()
        scores = (recent @ self.similarity).toarray()
        if self.settings.own:
            scores += self.settings.own * self.largest * recent.toarray()
        scores += self.tie
        return np.asarray(scores)


def tune_item_knn(
    sequences: Sequences,
    train_users: np.ndarray,
    num_items: int,
    valid_cases: Cases,
    seen_length: int,
    seed: int = 7,
    progress: bool = True,
) -> ItemKnn:
    """Fit item-kNN with the settings of best recall@50 on validation cases.

    In turn the best similarity and the best weight of the history's own items, two times each. If two do the same
    the one that was there first stays, so that own items count only if users really come back to them.

    Parameters
    ----------
    valid_cases : of users that are not among `train_users`; at most 3,000 are drawn. Without any, nothing is tuned.
    seen_length : behaviours of a history that may be read.
    """
    search = KnnSearch(sequences, train_users, num_items, valid_cases.sample(TUNING_CASES, seed))
    chosen = KnnSettings(length=seen_length)
    if len(valid_cases):
        total = ROUNDS * (len(SIMILARITIES) + len(SUMS))
        with tqdm(total=total, desc="tuning item-kNN", unit="setting", disable=not progress) as bar:
            for changes in ROUNDS * (SIMILARITIES, SUMS):
                chosen = search.best_of([chosen, *(replace(chosen, **change) for change in changes)], bar)
    return search.knn(chosen)


class KnnSearch:
    """A search over item-kNN's settings on validation cases; see `tune_item_knn`.

    Each setting is tried once.
    """

    def __init__(self, sequences: Sequences, users: np.ndarray, num_items: int, cases: Cases) -> None:
        self.sequences, self.users, self.num_items, self.cases = sequences, users, num_items, cases
        self.pairs: dict[tuple[int, str], csr_matrix] = {}
        self.recalls: dict[KnnSettings, float] = {}

    def best_of(self, tried: list[KnnSettings], bar: "tqdm[NoReturn]") -> KnnSettings:
        """Return the settings with the best recall; the first of equals.

        Parameters
        ----------
        bar : moved on with each setting but the first.
        """
        recalls = [self.recall(tried[0])]
        for settings in tried[1:]:
            recalls.append(self.recall(settings))
            bar.update()
        return tried[int(np.argmax(recalls))]

    def recall(self, settings: KnnSettings) -> float:
        """Return the mean recall@50 with these settings."""
        if settings not in self.recalls:
            self.recalls[settings] = tuning_recall(self.knn(settings), self.cases)
        return self.recalls[settings]

    def knn(self, settings: KnnSettings) -> ItemKnn:
        """Fit item-kNN with these settings."""
        key = (settings.reach, settings.distance_weight)
        if key not in self.pairs:
            self.pairs[key] = co_occurrence(self.sequences, self.users, self.num_items, *key)
        return ItemKnn(self.sequences, self.users, self.num_items, settings, self.pairs[key])
