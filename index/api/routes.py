"""The routes of the HTTP API that read: recommendations, interests, similar items."""

import logging
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from fastapi import APIRouter, HTTPException, Query, Response
from starlette.convertors import Convertor, register_url_convertor

from index.api.errors import JSON
from index.api.metrics import ApiMetrics
from index.api.requests import Batch, InQuery, ItemInPath, Similar, UserInPath
from index.api.responses import (
    MADE_BY,
    BatchOfRecommendations,
    Interests,
    Recommendations,
    SimilarItems,
    candidates_of,
    freshness_of,
    interest_of,
)
from index.catalogue.snapshot import CatalogueSnapshot
from index.recommend.recommender import (
    CAPSULES,
    POPULAR,
    POPULAR_IN_CATEGORY,
    Candidates,
    Recommender,
    rows_of_category,
)
from index.recommend.recommender import candidates_of as recommender_candidates
from index.recommend.request import Request
from model_export.bundle.serving import Serving
from stream.store.interests import interests_of
from stream.store.protocol import Store
from stream.store.state import UserState

__all__ = ["Answers"]

log = logging.getLogger(__name__)

SIMILAR = "similar"
ENCODE = msgspec.json.Encoder().encode


class _AnyText(Convertor[str]):
    """Ids are data: slashes and line breaks are part of them, and an empty one is refused in words."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _AnyText())


class Answers:
    """Answers requests. Each takes what is served once, so that an answer never mixes models.

    Parameters
    ----------
    serving : the recommender in use.
    store : of the users; read only.
    metrics : what was answered is counted there.
    """

    def __init__(self, serving: Serving[Recommender], store: Store, metrics: ApiMetrics) -> None:
        self.serving, self.store, self.metrics = serving, store, metrics

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.get("/users/{user_id:id}/recommendations", response_model=Recommendations)(self.recommendations)
        router.get("/users/{user_id:id}/interests", response_model=Interests)(self.interests)
        router.get("/items/{item_id:id}/similar", response_model=SimilarItems)(self.similar)
        router.post("/recommendations", response_model=BatchOfRecommendations)(self.batch)
        return router

    def recommendations(self, user_id: UserInPath, asked: Annotated[InQuery, Query()]) -> Response:
        """Candidates for a user, which interest brought each, and what formed each interest.

        Somebody of whom nothing is known gets popular items, and `path` says so.
        """
        [answer] = self.answers([user_id], self.states([user_id]), asked.request())
        return _as_json(answer)

    def batch(self, asked: Batch) -> Response:
        """Candidates for many: stored users by their id, and visitors by the history that is given."""
        asked.check_size()
        request = asked.request()
        visitors = [one.state() for one in asked.visitors]
        user_ids: list[str | None] = [*asked.user_ids, *[None] * len(visitors)]
        return _as_json(
            BatchOfRecommendations(self.answers(user_ids, [*self.states(asked.user_ids), *visitors], request))
        )

    def interests(
        self,
        user_id: UserInPath,
        vectors: Annotated[bool, Query(description="with the capsules themselves")] = False,
    ) -> Response:
        """A user's interests, and all behaviours that formed each with their weights."""
        recommender = self.serving.current
        [state] = recommender.current(self.states([user_id]))
        items, found = recommender.items.current, interests_of(state) if state else []
        capsules = state.capsules.vectors.tolist() if state and vectors else [None] * len(found)
        return _as_json(
            Interests(
                user_id,
                _path_of(state, items),
                recommender.bundle.version,
                freshness_of(state),
                [interest_of(one, items, vector=vector) for one, vector in zip(found, capsules, strict=True)],
            )
        )

    def similar(self, item_id: ItemInPath, asked: Annotated[Similar, Query()]) -> Response:
        """What somebody would get whose only interest pointed at this item, without the item itself."""
        recommender, request = self.serving.current, asked.request()
        items, version = recommender.items.current, recommender.bundle.version
        rows = items.rows([item_id])
        if not rows:
            raise HTTPException(404, f"the model {version} knows no item {item_id[:50]!r}, and nobody has added it")
        _check_filters(recommender, items, request)
        [item] = items.vectors[np.array(rows)]
        capsule = item / max(float(np.linalg.norm(item)), 1e-12)
        allowed = recommender.filters.allowed(request.where, items)
        hits = items.over(recommender.index).search(capsule[None], request.n, rows, allowed)
        found = recommender_candidates(items, hits, [], SIMILAR)
        return _as_json(SimilarItems(item_id, SIMILAR, version, None, candidates_of(found, items)))

    def answers(
        self, user_ids: Sequence[str | None], states: Sequence[UserState | None], request: Request
    ) -> list[Recommendations]:
        """Recommendations for users whose states were read."""
        recommender = self.serving.current
        items = recommender.items.current
        _check_filters(recommender, items, request)
        found = recommender.recommend_for_many(states, request, items)
        answers = [
            _answer_of(user_id, state, one, items) for user_id, state, one in zip(user_ids, states, found, strict=True)
        ]
        for one in answers:
            self.metrics.answer(one.path, one.freshness_s)
        return answers

    def states(self, user_ids: Sequence[str]) -> list[UserState | None]:
        """What is stored of these users; nothing of one whose record cannot be read, which the log says.

        Raises
        ------
        HTTPException
            If the store does not answer; 503.
        """
        try:
            return self.store.get_many(user_ids) if user_ids else []
        except OSError as error:
            log.warning("a request was not answered: %s", error)
            raise HTTPException(
                503, "the capsule store does not answer; ask again later", {"Retry-After": "1"}
            ) from error
        except ValueError as error:
            if len(user_ids) > 1:
                return [state for user_id in user_ids for state in self.states([user_id])]
            log.error("user %r is answered as if not known: %s", user_ids[0], error)
            return [None]


def _answer_of(
    user_id: str | None, state: UserState | None, found: Candidates, items: CatalogueSnapshot
) -> Recommendations:
    """What is answered for one user."""
    return Recommendations(
        user_id,
        found.path,
        found.model_version,
        freshness_of(state),
        [interest_of(one, items, MADE_BY) for one in found.interests],
        candidates_of(found, items),
    )


def _path_of(state: UserState | None, items: CatalogueSnapshot) -> str:
    """Which way recommendations for a user take."""
    if state and len(state.capsules.vectors):
        return CAPSULES
    return POPULAR_IN_CATEGORY if len(rows_of_category(items, state)) else POPULAR


def _check_filters(recommender: Recommender, items: CatalogueSnapshot, request: Request) -> None:
    """Refuse filters that the catalogue does not have."""
    try:
        recommender.filters.allowed(request.where, items)
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


def _as_json(answer: Any) -> Response:
    """An answer, written by msgspec: pydantic would take longer to check a hundred candidates than to find them."""
    return Response(ENCODE(answer), media_type=JSON)
