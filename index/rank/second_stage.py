"""The second stage of one bundle: matching's candidates in the order of the ranker."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from index.catalogue.snapshot import CatalogueSnapshot
from index.rank.ranked_page import RankedColumns, RankedPage
from index.rank.reasons import reasons_of
from index.search.maxsim import Hits
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.ranking.bundle_features import ranked_user, tables_of
from model_export.bundle.ranking.ranker import RankedUser, Ranker, joined
from stream.store.state import UserState

__all__ = ["RankedUserPage", "SecondStage", "ToRank"]

START_US = 20.0  # a candidate, before any was measured
SHARE = 0.2  # of the last run in the running mean of what a candidate takes


@dataclass(frozen=True, eq=False)
class ToRank:
    """A user whose candidates are to be ranked.

    Attributes
    ----------
    state : with capsules of this bundle.
    snapshot : whose rows the hits are.
    hits : what matching brought, best first.
    tasks : other weights of tasks than the bundle's.
    rank_ms : a budget; None: all are ranked.
    least : so many are ranked in any case.
    """

    state: UserState
    snapshot: CatalogueSnapshot
    hits: Hits
    tasks: Mapping[str, float]
    rank_ms: float | None = None
    least: int = 1


@dataclass(frozen=True, eq=False)
class RankedUserPage:
    """A user's page, and with what it was ranked, so that it can be explained.

    Attributes
    ----------
    user : with the candidates in the order of matching.
    weights : float32 (T,), of the tasks.
    """

    ranker: Ranker
    user: RankedUser
    page: RankedPage
    weights: np.ndarray

    def columns(self, rows: np.ndarray, why: bool) -> RankedColumns:
        """Return what an answer says of the candidates that were chosen.

        Parameters
        ----------
        rows : int64 (n,), of the page.
        why : with the features that spoke for each.
        """
        reasons = reasons_of(self.ranker, self.user, self.page, rows, self.weights) if why else ()
        return self.page.columns(rows, reasons)


class SecondStage:
    """Ranks for one bundle.

    Parameters
    ----------
    bundle : with a ranker.
    extractor : of the same bundle.
    clock : seconds since 1970, by which somebody asks now.
    """

    def __init__(self, bundle: Bundle, extractor: Extractor, clock: Callable[[], float] = time.time) -> None:
        self.ranker, self.extractor, self.clock = Ranker(bundle), extractor, clock
        self.us_per_candidate = START_US

    @property
    def candidates(self) -> int:
        """Return how many candidates matching brings, unless a request says otherwise."""
        return self.ranker.settings.candidates

    def weights(self, tasks: Mapping[str, float]) -> np.ndarray:
        """Return the weight of each task; raise ValueError if there is no such task."""
        return self.ranker.settings.weights(tasks)

    def rank(self, asked: Sequence[ToRank]) -> list["RankedUserPage"]:
        """Rank the candidates of users, those of as many candidates in one run.

        Those that a budget leaves no time for are the last ones of matching, and are left out.
        """
        began, tables = time.perf_counter(), {}
        asked_ms, users, tops = int(self.clock() * 1_000), [], []
        for one in asked:
            hits = one.hits.take(np.arange(min(len(one.hits.rows), self._most(one, len(asked)))))
            if id(one.snapshot) not in tables:
                tables[id(one.snapshot)] = tables_of(self.extractor.bundle, one.snapshot.category)
            history, vectors = one.state.history, one.snapshot.vectors
            users.append(
                ranked_user(
                    *(self.extractor, tables[id(one.snapshot)], vectors, history.item_ids, history.event_times_ms),
                    *(history.event_types, one.state.profile, one.state.capsules, asked_ms, hits.rows),
                )
            )
            tops.append(hits)
        scores = self.ranker.score(users)
        self._measured(time.perf_counter() - began, sum(len(user.candidates) for user in users))
        return [
            RankedUserPage(self.ranker, user, self._page(user, hits, its, one.tasks), self.weights(one.tasks))
            for one, user, hits, its in zip(asked, users, tops, scores, strict=True)
        ]

    def _page(self, user: RankedUser, hits: Hits, scores: np.ndarray, tasks: Mapping[str, float]) -> RankedPage:
        """Order the candidates by their joined scores; equal ones by row."""
        total = joined(scores, self.weights(tasks))
        order = np.lexsort((hits.rows, -total))
        ordered = Hits(hits.rows[order], total[order], hits.capsule[order])
        return RankedPage(ordered, scores[order], order, user.features[order], tuple(self.ranker.settings.tasks))

    def _most(self, one: ToRank, together: int) -> int:
        """Return how many candidates a budget has time for, with so many users together."""
        if one.rank_ms is None:
            return len(one.hits.rows)
        return max(one.least, int(one.rank_ms * 1_000 / (self.us_per_candidate * together)))

    def _measured(self, seconds: float, candidates: int) -> None:
        """Take what a run took into the mean."""
        if candidates:
            self.us_per_candidate += SHARE * (1e6 * seconds / candidates - self.us_per_candidate)
