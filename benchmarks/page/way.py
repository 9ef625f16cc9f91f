"""The way of one user's page in a process that serves one bundle: whole, and each of its parts by itself."""

import time
from collections.abc import Callable

import numpy as np

from index.api.answers.item_json import ItemJson
from index.api.answers.written import recommendations_json
from index.api.responses import MADE_BY, freshness_of
from index.recommend.cancellation import Cancellation
from index.recommend.filters import AskedUser
from index.recommend.recommender import Recommender
from index.recommend.request import Request
from index.recommend.selection import pool_size
from model_export.bundle.ranking.bundle_features import ranked_user, tables_of
from model_export.bundle.ranking.ranker import RankedUser
from model_export.bundle.scoring.history_raises import raised_by
from stream.store.interests import interests_of
from stream.store.state import UserState

__all__ = ["PARTS", "RAISE", "WHOLE", "PageWay"]

WHOLE = "whole"
READ, CAPSULES, SEARCH, RAISE, FEATURES, RANK, EXPLAIN, WRITE = PARTS = (
    "read the state",
    "capsules",
    "search",
    "what the history raises",
    "features",
    "rank",
    "explain the interests",
    "write the answer",
)


class PageWay:
    """Answers one user at a time as the API does, and times it.

    The stored capsules are of an older model, as they are after a swap, so the extractor runs too.

    Parameters
    ----------
    recommender : of a bundle with a ranker, or without one: then nothing is ranked.
    """

    def __init__(self, recommender: Recommender, request: Request) -> None:
        self.recommender, self.request = recommender, request
        self.resolved = recommender.resolve(request)
        self.items = ItemJson(recommender.bundle).of(self.resolved.snapshot)
        stage = recommender.second_stage
        self.tables = tables_of(recommender.bundle) if stage else None
        asked = request.candidates or (stage.candidates if stage else 0)
        self.candidates = max(pool_size(request), asked)

    def took_s(self, user_id: str) -> dict[str, float]:
        """Answer a user; return the seconds of the whole way and of each part by itself."""
        return {
            name: _took_s(work) for name, work in {WHOLE: lambda: self.answer(user_id), **self._parts(user_id)}.items()
        }

    def _parts(self, user_id: str) -> dict[str, Callable[[], object]]:
        """Return what does each part, with what the parts before it find."""
        recommender, stage = self.recommender, self.recommender.second_stage
        [stored] = recommender.store.get_many([user_id])
        [state] = recommender.current([stored])
        assert state is not None
        capsules = state.capsules.vectors.astype(np.float32)
        history = recommender.bundle.rows.known(state.history.item_ids)
        hits = recommender.index.search(capsules, self.candidates)
        [found] = recommender.find([state], self.resolved, Cancellation(), MADE_BY)
        parts: dict[str, Callable[[], object]] = {
            READ: lambda: recommender.store.get_many([user_id]),
            CAPSULES: lambda: recommender.current([stored]),
            SEARCH: lambda: recommender.index.search(capsules, self.candidates),
            RAISE: lambda: raised_by(recommender.bundle, history),
            EXPLAIN: lambda: interests_of([state], recommender.extractor, MADE_BY),
            WRITE: lambda: recommendations_json(user_id, freshness_of(state), found, self.items),
        }
        if stage is not None:
            user = self._ranked_user(state, hits.rows)
            parts[FEATURES] = lambda: self._ranked_user(state, hits.rows)
            parts[RANK] = lambda: stage.ranker.score([user])
        return parts

    def _ranked_user(self, state: UserState, rows: np.ndarray) -> RankedUser:
        """Return what the ranker reads of the candidates."""
        assert self.tables is not None
        history, snapshot = state.history, self.resolved.snapshot
        return ranked_user(
            *(self.recommender.extractor, self.tables, snapshot.vectors, history.item_ids, history.event_times_ms),
            *(history.event_types, state.profile, state.capsules, int(time.time() * 1_000), rows),
        )

    def answer(self, user_id: str) -> bytes:
        """Answer one user in JSON, with nothing done before."""
        [state] = self.recommender.store.get_many([user_id])
        [found] = self.recommender.find_each([AskedUser(state, self.resolved, Cancellation())], MADE_BY)
        if isinstance(found, Exception):
            raise found
        return recommendations_json(user_id, freshness_of(state), found, self.items)


def _took_s(work: Callable[[], object]) -> float:
    """Return how many seconds some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
