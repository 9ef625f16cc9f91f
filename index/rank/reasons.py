"""Why a candidate was ranked where it is: the features that spoke for it, in words.

A feature's part in a score is the score less what it would be if that feature were at its mean over the candidates that
were ranked for the same user, all else as it is. That says what sets a candidate apart from the others of the page.
It is no sum: what two features do only together is counted for both, and what the network reads of the history beside
the features for none.
"""

import numpy as np

from index.rank.ranked_page import RankedPage
from model_export.bundle.ranking.feature_names import FEATURES
from model_export.bundle.ranking.ranker import RankedUser, Ranker, joined

__all__ = ["MOST_REASONS", "WORDS", "reasons_of"]

MOST_REASONS = 3
LEAST = 1e-4  # of a score: less is no reason

# Feature -> what it says of a candidate where it raised the score: above the mean, and below it.
WORDS: dict[str, tuple[str, str]] = {
    "max_sim": ("close to one of the interests", "not like what comes all the time"),
    "capsule_importance": ("of a strong interest", "of a small interest"),
    "capsule_rank": ("of an interest in the background", "of a leading interest"),
    "second_max_sim": ("close to several interests", "close to one interest alone"),
    "matching": ("high in matching's order", "low in matching's order"),
    "log_popularity": ("popular", "not what everybody takes"),
    "trend": ("taken more often lately", "not a passing fashion"),
    "times_in_history": ("taken before", "not taken so often before"),
    "hours_since_taken": ("not taken lately", "taken more lately than others"),
    "neighbour_last": ("goes with the last behaviour", "unlike the last behaviour"),
    "neighbour_recent": ("goes with the latest behaviours", "unlike the latest behaviours"),
    "category_share": ("of a category of this user", "of a category that is less usual for this user"),
    "category_last": ("of the last behaviour's category", "of another category than the last behaviour"),
    "price_gap": ("of another price than usual", "of the usual price"),
    "price_known": ("with a known price", "without a known price"),
}


def reasons_of(
    ranker: Ranker, user: RankedUser, page: RankedPage, rows: np.ndarray, weights: np.ndarray
) -> list[list[str]]:
    """Say of each candidate which features spoke for it, the strongest first; at most three.

    Parameters
    ----------
    user : whose page it is.
    rows : int64 (n,), candidates of the page.
    weights : float32 (T,), by which tasks are joined.
    """
    if not len(rows):
        return []
    features, mean = page.features[page.places_of(rows)], page.features.mean(0)
    varied = np.repeat(features[None], len(FEATURES) + 1, 0)  # (F + 1, n, F), the last one as it is
    for place in range(len(FEATURES)):
        varied[place, :, place] = mean[place]
    asked = user.with_candidates(np.tile(rows, len(varied)), varied.reshape(-1, len(FEATURES)))
    [scores] = ranker.score([asked])
    each = joined(scores, weights).reshape(len(varied), len(rows))
    parts = (each[-1] - each[:-1]).T  # (n, F)
    return [_words(its, value - mean) for its, value in zip(parts, features, strict=True)]


def _words(parts: np.ndarray, above_mean: np.ndarray) -> list[str]:
    """Say the largest parts of one score in words.

    Parameters
    ----------
    parts, above_mean : float32 (F,), what each feature adds, and how far it is above its mean.
    """
    strongest = np.argsort(-parts, kind="stable")[:MOST_REASONS]
    return [WORDS[FEATURES[place]][int(above_mean[place] < 0)] for place in strongest if parts[place] > LEAST]
