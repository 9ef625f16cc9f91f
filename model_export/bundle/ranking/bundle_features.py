"""The features of a bundle's items, and of the users of its golden lists."""

from collections.abc import Mapping, Sequence

import numpy as np

from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Capsules, Extractor, taken_at
from model_export.bundle.ranking.features import FeatureTables, VectorTable, compute_features
from model_export.bundle.ranking.ranker import RankedUser
from model_export.bundle.scoring.history_raises import raised_by

__all__ = ["ranked_user", "tables_of"]


def tables_of(bundle: Bundle, category: np.ndarray | None = None) -> FeatureTables:
    """Return what features are computed of, as of the log's end.

    The arrays are the bundle's own, memory-mapped.

    Parameters
    ----------
    category : int32 (rows,), of more items than the bundle's; None: of the bundle's.
    """
    catalogue, near = bundle.catalogue, bundle.neighbours
    return FeatureTables(
        popularity=catalogue.popularity,
        trend=bundle.trend,
        category=catalogue.category.codes if category is None else category,
        price=catalogue.price.values,
        neighbours=None if near is None else near.rows,
        similarity=None if near is None else near.similarity,
    )


def ranked_user(
    extractor: Extractor,
    tables: FeatureTables,
    item_vectors: VectorTable,
    history: Sequence[str],
    times_ms: Sequence[int],
    types: Sequence[str],
    profile: Mapping[str, str],
    capsules: Capsules,
    asked_ms: int,
    candidates: np.ndarray,
) -> RankedUser:
    """Return a user with all that a ranker reads of the candidates.

    What is read of the history are the last behaviours that the extractor reads, as in training.

    Parameters
    ----------
    item_vectors : float32 (rows, d), of all items.
    history, times_ms, types : item id, time (Unix ms) and event type of each behaviour, oldest first. A time of 0 is
        not known, as of visitors: it is taken as of now.
    candidates : int64 (N,), rows.
    """
    rows, places = extractor.known_behaviours(history)
    known, its_times = np.array(rows, dtype=np.int64), np.array(taken_at(times_ms, places), dtype=np.int64)
    its_times[its_times == 0] = asked_ms
    # What the history raises counts the whole of it, as matching does.
    bonus = raised_by(extractor.bundle, extractor.bundle.rows.known(history)).of(candidates)
    vectors, importance = capsules.vectors.astype(np.float32), capsules.importance.astype(np.float32)
    features = compute_features(
        tables, item_vectors, vectors, importance, known, its_times, asked_ms, candidates, bonus
    )
    return RankedUser(
        known, its_times, taken_at(types, places), profile, vectors, importance, asked_ms, candidates, features
    )
