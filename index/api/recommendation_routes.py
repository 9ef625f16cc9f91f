"""The routes of the HTTP API that read: recommendations, interests, similar items."""

import logging
from collections.abc import Collection, Sequence
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, HTTPException, Query, Response
from fastapi import Request as HttpRequest
from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor

from index.api.errors import JSON
from index.api.limits.work_lanes import WorkLanes
from index.api.metrics import ApiMetrics
from index.api.requests import Batch, InQuery, ItemInPath, Similar, UserInPath, Visitor
from index.api.responses import (
    MADE_BY,
    UNREADABLE,
    BatchOfRecommendations,
    Interests,
    Recommendations,
    SimilarItems,
    freshness_of,
    response_candidates,
    response_interest,
)
from index.catalogue.snapshot import CatalogueSnapshot
from index.recommend.cancellation import Cancellation
from index.recommend.candidates import Candidates, UnknownItemError
from index.recommend.filters import ResolvedRequest
from index.recommend.recommender import Recommender
from index.recommend.request import Request
from index.recommend.work import WorkSize
from model_export.bundle.serving import Serving
from stream.store.contract import Store, read_readable
from stream.store.state import UserState

__all__ = ["Answers"]

log = logging.getLogger(__name__)

ENCODE = msgspec.json.Encoder().encode

# What clients read of each route.
ABOUT_RECOMMENDATIONS = """\
Candidates for a user, which interest brought each, and what formed each interest.

Somebody of whom nothing is known gets popular items, and `path` says so."""
ABOUT_BATCH = "Candidates for many: stored users by their id, and visitors by the history that is given."
ABOUT_INTERESTS = "A user's interests, and all behaviours that formed each with their weights."
ABOUT_SIMILAR = "What somebody would get whose only interest pointed at this item, without the item itself."


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

    A request is checked, and its work estimated, before the store is read: a wrong one costs no reading.

    Parameters
    ----------
    serving : the recommender in use.
    store : of the users; read only.
    metrics : what was answered is counted there.
    lanes : the threads that do the work.
    """

    def __init__(self, serving: Serving[Recommender], store: Store, metrics: ApiMetrics, lanes: WorkLanes) -> None:
        self.serving, self.store, self.metrics, self.lanes = serving, store, metrics, lanes

    def router(self, route_class: type[APIRoute]) -> APIRouter:
        """Return the routes, of a class that says who may ask."""
        router = APIRouter(route_class=route_class)
        router.get(
            "/users/{user_id:id}/recommendations", response_model=Recommendations, description=ABOUT_RECOMMENDATIONS
        )(self.recommendations)
        router.get("/users/{user_id:id}/interests", response_model=Interests, description=ABOUT_INTERESTS)(
            self.interests
        )
        router.get("/items/{item_id:id}/similar", response_model=SimilarItems, description=ABOUT_SIMILAR)(self.similar)
        router.post("/recommendations", response_model=BatchOfRecommendations, description=ABOUT_BATCH)(self.batch)
        return router

    async def recommendations(
        self, http: HttpRequest, user_id: UserInPath, asked: Annotated[InQuery, Query()]
    ) -> Response:
        """Recommend items to one user."""
        recommender, request = self.serving.current, asked.request()
        estimate_s = self.lanes.check(request, 1, _size_of(recommender))
        work = partial(self._recommendations, recommender, user_id, request)
        return await self.lanes.run(http, estimate_s, work)

    def _recommendations(
        self, recommender: Recommender, user_id: str, request: Request, cancellation: Cancellation
    ) -> Response:
        """Answer one user."""
        resolved = _resolved(recommender, request)
        [answer] = self._answers(recommender, resolved, [user_id], [self.state(user_id)], cancellation)
        return _as_json(answer)

    async def batch(self, http: HttpRequest, asked: Batch) -> Response:
        """Recommend items to stored users and visitors, in their order."""
        asked.check_size()
        recommender, request = self.serving.current, asked.request()
        users = len(asked.user_ids) + len(asked.visitors)
        estimate_s = self.lanes.check(request, users, _size_of(recommender))
        work = partial(self._batch, recommender, asked.user_ids, asked.visitors, request)
        return await self.lanes.run(http, estimate_s, work)

    def _batch(
        self,
        recommender: Recommender,
        stored_ids: Sequence[str],
        visitors: Sequence[Visitor],
        request: Request,
        cancellation: Cancellation,
    ) -> Response:
        """Answer stored users and visitors."""
        resolved = _resolved(recommender, request)
        user_ids: list[str | None] = [*stored_ids, *[None] * len(visitors)]
        stored, unreadable = self.states(stored_ids)
        states = [*stored, *(one.state() for one in visitors)]
        answers = self._answers(recommender, resolved, user_ids, states, cancellation, unreadable)
        return _as_json(BatchOfRecommendations(answers))

    async def interests(
        self,
        http: HttpRequest,
        user_id: UserInPath,
        vectors: Annotated[bool, Query(description="with the capsules themselves")] = False,
    ) -> Response:
        """Show the interests of one user."""
        return await self.lanes.run(http, 0.0, partial(self._interests, self.serving.current, user_id, vectors))

    def _interests(self, recommender: Recommender, user_id: str, vectors: bool, cancellation: Cancellation) -> Response:
        """Answer with the interests of one user."""
        snapshot = recommender.catalogue.current
        state = self.state(user_id)
        cancellation.check()
        found = recommender.interests_for(state, snapshot)
        capsules = found.vectors.tolist() if vectors else [None] * len(found.interests)
        return _as_json(
            Interests(
                user_id,
                found.path,
                found.model_version,
                freshness_of(state),
                [
                    response_interest(one, snapshot, vector=vector)
                    for one, vector in zip(found.interests, capsules, strict=True)
                ],
            )
        )

    async def similar(self, http: HttpRequest, item_id: ItemInPath, asked: Annotated[Similar, Query()]) -> Response:
        """Show items like another one."""
        recommender, request = self.serving.current, asked.request()
        estimate_s = self.lanes.check(request, 1, _size_of(recommender))
        return await self.lanes.run(http, estimate_s, partial(self._similar, recommender, item_id, request))

    def _similar(
        self, recommender: Recommender, item_id: str, request: Request, cancellation: Cancellation
    ) -> Response:
        """Answer with the items like another one."""
        snapshot = recommender.catalogue.current
        try:
            found = recommender.similar(item_id, request, snapshot, cancellation)
        except UnknownItemError as error:
            raise HTTPException(404, str(error)) from None
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        candidates = response_candidates(found, snapshot)
        return _as_json(SimilarItems(item_id, found.path, found.model_version, None, candidates))

    def _answers(
        self,
        recommender: Recommender,
        resolved: ResolvedRequest,
        user_ids: Sequence[str | None],
        states: Sequence[UserState | None],
        cancellation: Cancellation,
        unreadable: Collection[str] = (),
    ) -> list[Recommendations]:
        """Recommend items to users whose states were read, and count the answers."""
        answers = []
        found = recommender.answer(states, resolved, cancellation)
        for user_id, state, one in zip(user_ids, states, found, strict=True):
            cancellation.check()
            is_unreadable = user_id in unreadable
            answers.append(
                _no_answer_of(user_id, one) if is_unreadable else _answer_of(user_id, state, one, resolved.snapshot)
            )
        for answer in answers:
            self.metrics.answer(answer.path, answer.freshness_s)
        return answers

    def state(self, user_id: str) -> UserState | None:
        """Read the state of one user.

        Raises
        ------
        HTTPException
            If it cannot be read, 500; if the store does not answer, 503.
        """
        [state], unreadable = self.states([user_id])
        if unreadable:
            raise HTTPException(500, _cannot_be_read(user_id))
        return state

    def states(self, user_ids: Sequence[str]) -> tuple[list[UserState | None], Collection[str]]:
        """Read the states of these users, and name those who cannot be read.

        For them there is None, and the log says why.

        Raises
        ------
        HTTPException
            If the store does not answer; 503.
        """
        try:
            found, unreadable = read_readable(self.store, user_ids) if user_ids else ([], {})
        except OSError as error:
            log.warning("a request was not answered: %s", error)
            raise HTTPException(
                503, "the capsule store does not answer; ask again later", {"Retry-After": "1"}
            ) from error
        for user_id, reason in unreadable.items():
            log.error("%s: %s", _cannot_be_read(user_id), reason)
        return found, unreadable.keys()


def _size_of(recommender: Recommender) -> WorkSize:
    """Return what the work of requests grows with, by the items that there are."""
    return WorkSize.of(recommender.bundle.manifest, recommender.catalogue.current.new_count)


def _cannot_be_read(user_id: str | None) -> str:
    """Say that a user cannot be read, and what mends that."""
    return f"what is stored of user {user_id!r} cannot be read; `mindstream stream repair` says why, and what to do"


def _resolved(recommender: Recommender, request: Request) -> ResolvedRequest:
    """Check a request against the catalogue.

    Raises
    ------
    HTTPException
        If it filters by an attribute that no item has, or by a value; 422.
    """
    try:
        return recommender.resolve(request)
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


def _answer_of(
    user_id: str | None, state: UserState | None, found: Candidates, snapshot: CatalogueSnapshot
) -> Recommendations:
    """Return the answer for one user."""
    return Recommendations(
        user_id,
        found.path,
        found.model_version,
        freshness_of(state),
        [response_interest(one, snapshot, MADE_BY) for one in found.interests],
        response_candidates(found, snapshot),
    )


def _no_answer_of(user_id: str | None, found: Candidates) -> Recommendations:
    """Return the answer in a batch for a user who cannot be read.

    It has no candidates: among popular items might be what the user has refused.
    """
    return Recommendations(user_id, UNREADABLE, found.model_version, None, [], [], _cannot_be_read(user_id))


def _as_json(answer: Any) -> Response:
    """Write an answer by msgspec.

    Pydantic would take longer to check a hundred candidates than to find them.
    """
    return Response(ENCODE(answer), media_type=JSON)
