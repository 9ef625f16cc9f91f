"""The features of candidates, computed in this one place for training and for serving; compiled, without torch.

What they say of an item for a user at a moment, all float32:

max_sim, second_max_sim   the largest and the second largest inner product of the item with a capsule
capsule_importance, capsule_rank   of the capsule that gives the largest: its importance, and how many have a larger one
matching          max_sim and what the history raises the item by: the matching stage's own order
log_popularity    log(1 + count)
trend             see `trend_of`
times_in_history  log(1 + how often)
hours_since_taken    log(1 + hours) since it was taken last; NEVER if it was not
neighbour_last    root of the similarity of the item, by co-occurrence, with the last behaviour
neighbour_recent  root of the similarities summed over the last RECENT behaviours, each step back counting DECAY times
                  as much; a root because few are large and most are small, and a weight must fit them all
category_share    share of the behaviours that are of the item's category; 0 if that is unknown
category_last     1 if the last behaviour is
price_gap         |log price - mean log price of the behaviours whose price is known|; 0 where either is not known
price_known       1 if it is

They are ours: no paper prescribes this list. Those that matching and item-kNN are compared by come from tables that the
model learned from the training users themselves; HELD_OUT_FEATURES are these. They flatter training users, so they are
weighed on users who were held out.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mindstream.kernels.compiled import compiled, dot
from model_export.bundle.ranking.feature_names import FEATURES, HELD_OUT_FEATURES

__all__ = [
    "DECAY",
    "FEATURES",
    "HELD_OUT_FEATURES",
    "NEVER",
    "RECENT",
    "FeatureTables",
    "VectorTable",
    "compute_features",
    "trend_of",
]

RECENT, DECAY = 5, 0.8  # behaviours that neighbours are summed over, and how much each step back counts
NEVER = float(np.log1p(24 * 365 * 10))  # ten years in hours: what was taken before that is as if it never was
SMOOTHING = 5.0  # interactions that are added to both counts of a trend
HOUR_MS = 3_600_000.0

# Where each stands; compiled code reads these as constants.
_MAX_SIM, _IMPORTANCE, _RANK, _SECOND, _MATCHING, _POPULARITY, _TREND, _TIMES = range(8)
_HOURS, _LAST, _RECENT, _SHARE, _SAME, _GAP, _KNOWN = range(8, len(FEATURES))


class VectorTable(Protocol):
    """The vectors of items, by row: an array, or several that are read as one."""

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray:
        """Return the vectors (N, d) of rows (N,)."""
        ...


@dataclass(frozen=True, eq=False)
class FeatureTables:
    """What is known of the items themselves, by row. An item behind the end of an array is unknown to it.

    Attributes
    ----------
    popularity : int64 (n,), interactions up to the moment; in a bundle up to the log's end.
    trend : float32 (n,), see `trend_of`.
    category : int32 (n,), the number of the item's category, -1 if it is unknown.
    price : float64 (n,), NaN or not above 0 if it is unknown.
    neighbours : int32 (n, M), rows of the most similar items, -1 behind the last; None: there are none.
    similarity : float32 (n, M); None with `neighbours`.
    """

    popularity: np.ndarray
    trend: np.ndarray
    category: np.ndarray
    price: np.ndarray
    neighbours: np.ndarray | None = None
    similarity: np.ndarray | None = None


def trend_of(recent: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return how much more of the recent interactions an item has than of all.

    That is log((recent + 5) / (expected + 5)), where an item's expected number is its share of all interactions times
    the number of recent ones. The 5 keep items with few interactions near 0.

    Parameters
    ----------
    recent, counts : int (n,), interactions of each item lately, and in all.

    Returns
    -------
    float32 (n,); 0 where nothing happened.
    """
    expected = counts * (recent.sum() / max(1, counts.sum()))
    return np.asarray(np.log((recent + SMOOTHING) / (expected + SMOOTHING)), dtype=np.float32)


def compute_features(
    tables: FeatureTables,
    item_vectors: VectorTable,
    capsules: np.ndarray,
    importance: np.ndarray,
    history_rows: np.ndarray,
    history_times_ms: np.ndarray,
    asked_ms: int,
    candidates: np.ndarray,
    bonus: np.ndarray,
) -> np.ndarray:
    """Compute the features of one user's candidates.

    A candidate's features do not depend on the other candidates, nor on their order.

    Parameters
    ----------
    tables : of the items, at the moment that is asked about.
    item_vectors : float32 (n, d), the vector of each item.
    capsules, importance : float32 (K', d) and (K',); K' is 0 for a user without interests, whose products are then 0.
    history_rows, history_times_ms : int64 (T,), the behaviours before that moment, oldest first, and Unix time in ms.
    asked_ms : the moment, Unix time in milliseconds.
    candidates : int64 (N,), rows of items; one may stand there several times.
    bonus : float32 (N,), what the history raises each by (scoring/history_raises.py).

    Returns
    -------
    float32 (N, len(FEATURES)), in that order

    Raises
    ------
    ValueError
        If the history has not as many times as rows.
    """
    if len(history_rows) != len(history_times_ms):
        raise ValueError(
            f"the history has {len(history_rows)} behaviours and {len(history_times_ms)} times; right is one for each"
        )
    found = np.zeros((len(candidates), len(FEATURES)), dtype=np.float32)
    rows, history = _constant(candidates, np.int64), _constant(history_rows, np.int64)
    vectors = _constant(item_vectors[rows], np.float32)
    _add_products(
        _constant(capsules, np.float32),
        _constant(importance, np.float32),
        vectors,
        _constant(bonus, np.float32),
        found,
    )
    _add_counts(_constant(tables.popularity, np.int64), _constant(tables.trend, np.float32), rows, found)
    _add_categories(_constant(tables.category, np.int32), history, rows, found)
    _add_prices(_constant(tables.price, np.float64), history, rows, found)
    order = np.argsort(rows, kind="stable")
    ordered = _constant(rows[order], np.int64)
    _add_own(history, _constant(history_times_ms, np.int64), asked_ms, order, ordered, found)
    if tables.neighbours is not None and tables.similarity is not None:
        near, similarity = _constant(tables.neighbours, np.int32), _constant(tables.similarity, np.float32)
        _add_neighbours(near, similarity, history, order, ordered, found)
    return found


def _constant(array: np.ndarray, dtype: type) -> np.ndarray:
    """Return an array as compiled code wants it.

    That is read-only, as memory-mapped ones are: else each mixture would be compiled anew.
    """
    view: np.ndarray = np.ascontiguousarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view


@compiled()
def _add_products(
    capsules: np.ndarray, importance: np.ndarray, vectors: np.ndarray, bonus: np.ndarray, found: np.ndarray
) -> None:
    """Write what follows from the capsules into found (N, F)."""
    ranks = np.zeros(len(capsules), dtype=np.float32)
    for one in range(len(capsules)):
        for other in range(len(capsules)):
            is_before = importance[other] > importance[one]
            ranks[one] += is_before or (importance[other] == importance[one] and other < one)
    for place in range(len(vectors)):
        best, largest, second = -1, np.float32(0), np.float32(0)
        for capsule in range(len(capsules)):
            product = dot(capsules, capsule, vectors, place)
            if best < 0:
                best, largest, second = capsule, product, product
            elif product > largest:
                best, largest, second = capsule, product, largest
            elif product > second or capsule == 1:
                second = product
        found[place, _MAX_SIM], found[place, _SECOND] = largest, second
        found[place, _MATCHING] = largest + bonus[place]
        if best >= 0:
            found[place, _IMPORTANCE], found[place, _RANK] = importance[best], ranks[best]


@compiled()
def _add_counts(popularity: np.ndarray, trend: np.ndarray, rows: np.ndarray, found: np.ndarray) -> None:
    """Write log_popularity and trend into found (N, F)."""
    for place in range(len(rows)):
        row = rows[place]
        if row < len(popularity):
            found[place, _POPULARITY] = np.log1p(popularity[row])
        if row < len(trend):
            found[place, _TREND] = trend[row]


@compiled()
def _add_categories(category: np.ndarray, history: np.ndarray, rows: np.ndarray, found: np.ndarray) -> None:
    """Write category_share and category_last into found (N, F)."""
    theirs = np.full(len(history), -1, dtype=np.int32)
    for age in range(len(history)):
        if history[age] < len(category):
            theirs[age] = category[history[age]]
    for place in range(len(rows)):
        mine = category[rows[place]] if rows[place] < len(category) else np.int32(-1)
        if mine < 0 or not len(history):
            continue
        same = 0
        for one in theirs:
            same += one == mine
        found[place, _SHARE] = same / len(history)
        found[place, _SAME] = theirs[-1] == mine


@compiled()
def _add_prices(price: np.ndarray, history: np.ndarray, rows: np.ndarray, found: np.ndarray) -> None:
    """Write price_gap and price_known into found (N, F)."""
    total, known = 0.0, 0
    for row in history:
        if row < len(price) and price[row] > 0:  # NaN is not
            total += np.log(price[row])
            known += 1
    for place in range(len(rows)):
        row = rows[place]
        if row < len(price) and price[row] > 0:
            found[place, _KNOWN] = 1
            if known:
                found[place, _GAP] = abs(np.log(price[row]) - total / known)


@compiled()
def _add_own(
    history: np.ndarray, times_ms: np.ndarray, asked_ms: int, order: np.ndarray, ordered: np.ndarray, found: np.ndarray
) -> None:
    """Write times_in_history and hours_since_taken into found (N, F).

    Parameters
    ----------
    order, ordered : int64 (N,), the places of the candidates by row, and their rows ascending.
    """
    found[:, _HOURS] = NEVER
    for behaviour in range(len(history)):
        hours = np.log1p(max(0.0, (asked_ms - times_ms[behaviour]) / HOUR_MS))
        at = np.searchsorted(ordered, history[behaviour])
        while at < len(ordered) and ordered[at] == history[behaviour]:
            place = order[at]
            found[place, _TIMES] += 1
            found[place, _HOURS] = min(found[place, _HOURS], hours)
            at += 1
    for place in range(len(found)):
        found[place, _TIMES] = np.log1p(found[place, _TIMES])


@compiled()
def _add_neighbours(
    neighbours: np.ndarray,
    similarity: np.ndarray,
    history: np.ndarray,
    order: np.ndarray,
    ordered: np.ndarray,
    found: np.ndarray,
) -> None:
    """Write neighbour_last and neighbour_recent into found (N, F); the order as `_add_own`."""
    for age in range(min(RECENT, len(history))):
        row = history[len(history) - 1 - age]
        if row >= len(neighbours):
            continue
        for near in range(neighbours.shape[1]):
            other = neighbours[row, near]
            if other < 0:
                break
            at = np.searchsorted(ordered, other)
            while at < len(ordered) and ordered[at] == other:
                place = order[at]
                found[place, _RECENT] += similarity[row, near] * DECAY**age
                if age == 0:
                    found[place, _LAST] = np.sqrt(similarity[row, near])
                at += 1
    for place in range(len(found)):
        found[place, _RECENT] = np.sqrt(found[place, _RECENT])
