"""LambdaMART over the features, by LightGBM: the ranker that people use, as the baseline of ours.

Burges, "From RankNet to LambdaRank to LambdaMART: An Overview", Microsoft Research 2010; LightGBM's objective
`lambdarank`. It has no tables of items and reads no history but by the features.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from model_export.bundle.ranking.features import FEATURES
from model_export.ranking.pages import PAGE
from model_export.ranking.ranked_lists import RankedLists

__all__ = ["LambdaMart"]

ROUNDS = 200
SETTINGS: dict[str, Any] = {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 3 * PAGE,  # LightGBM's own at a page of 10
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "lambda_l2": 1.0,
    "feature_fraction": 0.8,
    "deterministic": True,
    "num_threads": 1,
    "verbose": -1,
}


class LambdaMart:
    """Trees that order lists by their features.

    Parameters
    ----------
    questions : lists to learn from; of held-out users, since some features flatter those whom matching has seen.
    task_weights : float (T,), relevance of what was taken by each task.
    seed : of the features that each tree may look at.

    Raises
    ------
    ImportError
        If LightGBM is not installed.
    """

    name = "lambdamart"

    def __init__(self, questions: Sequence[RankedLists], task_weights: np.ndarray, seed: int = 7) -> None:
        lightgbm = _lightgbm()
        features = np.concatenate([some.features[some.real] for some in questions])
        relevance = np.concatenate([(some.labels @ task_weights)[some.real] for some in questions])
        levels, grades = np.unique(relevance, return_inverse=True)  # LightGBM wants whole numbers from 0
        sizes = np.concatenate([some.real.sum(1) for some in questions])
        data = lightgbm.Dataset(features, grades, group=sizes[sizes > 0], feature_name=list(FEATURES))
        gains = [float(level) for level in levels]
        self.trees = lightgbm.train(SETTINGS | {"seed": seed, "label_gain": gains}, data, ROUNDS)

    def scores(self, lists: RankedLists) -> np.ndarray:
        """Return the scores of all candidates: float32 (C, N), 0 behind the last."""
        found = np.zeros(lists.real.shape, dtype=np.float32)
        if lists.real.any():
            found[lists.real] = self.trees.predict(lists.features[lists.real], num_threads=1)
        return found


def _lightgbm() -> Any:
    """Import LightGBM, which is in an extra."""
    try:
        import lightgbm
    except ImportError as error:
        raise ImportError("lambdamart needs LightGBM, which is not there; right is `mindstream[rankers]`") from error
    return lightgbm
