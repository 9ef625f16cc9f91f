"""The routes of the HTTP API that read: recommendations, interests, similar items."""

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Annotated

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Response
from fastapi import Request as HttpRequest
from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor

from index.api.answers.gathered import AskedOne, GatheredAnswers, ReadTogetherError, cannot_be_read, store_failed
from index.api.answers.known_queries import KnownQueries, KnownQuery
from index.api.answers.written import recommendations_json, similar_json, user_interests_json
from index.api.errors import JSON
from index.api.limits.gathering import Gathering, Job
from index.api.limits.work_lanes import HEAVY_S, WorkLanes
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
)
from index.api.tracing.traced import trace_of
from index.recommend.cancellation import Cancellation
from index.recommend.candidates import Found, LeftOutItemError, UnknownItemError
from index.recommend.filters import ResolvedRequest
from index.recommend.recommender import Recommender
from index.recommend.request import Request
from index.recommend.work import WorkSize
from model_export.bundle.serving import Serving
from stream.store.contract import Store, read_readable
from stream.store.state import UserState

__all__ = ["ONE_USER", "Answers"]

log = logging.getLogger(__name__)

ONE_USER = "/users/{user_id:id}/recommendations"
NOWHERE = np.empty(0, dtype=np.int64)

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

    A request is checked, and its work estimated, before the store is read: a wrong one costs no reading. Quick ones for
    one user each, which are nearly all, are answered together while others wait.

    Parameters
    ----------
    serving : the recommender in use.
    store : of the users; read only.
    metrics : what was answered is counted there.
    lanes : the threads that do the work.
    """

    def __init__(self, serving: Serving[Recommender], store: Store, metrics: ApiMetrics, lanes: WorkLanes) -> None:
        self.serving, self.store, self.metrics, self.lanes = serving, store, metrics, lanes
        self.gathered = GatheredAnswers(store, metrics)
        self.gathering = Gathering(self.gathered.work)
        self.queries = KnownQueries()

    def router(self, route_class: type[APIRoute]) -> APIRouter:
        """Return the routes, of a class that says who may ask."""
        router = APIRouter(route_class=route_class)
        router.get(ONE_USER, response_model=Recommendations, description=ABOUT_RECOMMENDATIONS)(self.recommendations)
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
        known = self.queries.keep(http.scope["query_string"], asked.request())
        return _json(await self.one_user(user_id, known, http))

    async def one_user(self, user_id: str, known: KnownQuery, http: HttpRequest) -> bytes:
        """Answer one stored user, in JSON.

        Raises
        ------
        HTTPException
            If there is no answer; ClientLeftError if nobody waits for it.
        """
        recommender = self.serving.current
        estimate_s = known.estimate_s(_size_of(recommender), self.lanes)
        asked = AskedOne(user_id, known.request, recommender, trace_of(http.scope))
        if estimate_s <= HEAVY_S:
            with suppress(ReadTogetherError):
                return await self.lanes.gather(self.gathering, asked, estimate_s, http.receive)
        return await self.lanes.run(http, estimate_s, partial(self._alone, asked))

    def _alone(self, asked: AskedOne, cancellation: Cancellation) -> bytes:
        """Answer one user alone."""
        [answer] = self.gathered.work([Job(asked, cancellation)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def batch(self, http: HttpRequest, asked: Batch) -> Response:
        """Recommend items to stored users and visitors, in their order."""
        asked.check_size()
        recommender, request = self.serving.current, asked.request()
        users = len(asked.user_ids) + len(asked.visitors)
        estimate_s = self.lanes.check(request, users, _size_of(recommender))
        work = partial(self._batch, recommender, asked.user_ids, asked.visitors, request)
        return _json(await self.lanes.run(http, estimate_s, work))

    def _batch(
        self,
        recommender: Recommender,
        stored_ids: Sequence[str],
        visitors: Sequence[Visitor],
        request: Request,
        cancellation: Cancellation,
    ) -> bytes:
        """Answer stored users and visitors."""
        resolved = _resolved(recommender, request)
        user_ids: list[str | None] = [*stored_ids, *[None] * len(visitors)]
        stored, unreadable = self.states(stored_ids)
        states = [*stored, *(one.state() for one in visitors)]
        found = recommender.find(states, resolved, cancellation, MADE_BY)
        items, answers, counted = self.gathered.items_of(recommender).of(resolved.snapshot), [], []
        for user_id, state, one in zip(user_ids, states, found, strict=True):
            cancellation.check()
            is_unreadable = user_id in unreadable
            its, freshness_s = (_nothing(one), None) if is_unreadable else (one, freshness_of(state))
            error = cannot_be_read(user_id) if is_unreadable else None
            answers.append(recommendations_json(user_id, freshness_s, its, items, error))
            counted.append((its.path, freshness_s))
        for path, freshness_s in counted:
            self.metrics.answer(path, freshness_s)
        return b'{"answers":[' + b",".join(answers) + b"]}"

    async def interests(
        self,
        http: HttpRequest,
        user_id: UserInPath,
        vectors: Annotated[bool, Query(description="with the capsules themselves")] = False,
    ) -> Response:
        """Show the interests of one user."""
        work = partial(self._interests, self.serving.current, user_id, vectors)
        return _json(await self.lanes.run(http, 0.0, work))

    def _interests(self, recommender: Recommender, user_id: str, vectors: bool, cancellation: Cancellation) -> bytes:
        """Answer with the interests of one user."""
        snapshot = recommender.catalogue.current
        state = self.state(user_id)
        cancellation.check()
        found = recommender.interests_for(state, snapshot)
        items = self.gathered.items_of(recommender).of(snapshot)
        return user_interests_json(user_id, freshness_of(state), found, items, vectors)

    async def similar(self, http: HttpRequest, item_id: ItemInPath, asked: Annotated[Similar, Query()]) -> Response:
        """Show items like another one."""
        recommender, request = self.serving.current, asked.request()
        estimate_s = self.lanes.check(request, 1, _size_of(recommender))
        work = partial(self._similar, recommender, item_id, request)
        return _json(await self.lanes.run(http, estimate_s, work))

    def _similar(self, recommender: Recommender, item_id: str, request: Request, cancellation: Cancellation) -> bytes:
        """Answer with the items like another one."""
        snapshot = recommender.catalogue.current
        try:
            found = recommender.find_similar(item_id, request, snapshot, cancellation)
        except UnknownItemError as error:
            raise HTTPException(404, str(error)) from None
        except LeftOutItemError as error:
            raise HTTPException(409, str(error)) from None
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        return similar_json(item_id, found, self.gathered.items_of(recommender).of(snapshot))

    def state(self, user_id: str) -> UserState | None:
        """Read the state of one user.

        Raises
        ------
        HTTPException
            If it cannot be read, 500; if the store does not answer, 503.
        """
        [state], unreadable = self.states([user_id])
        if unreadable:
            raise HTTPException(500, cannot_be_read(user_id))
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
            raise store_failed(error) from error
        for user_id, reason in unreadable.items():
            log.error("%s: %s", cannot_be_read(user_id), reason)
        return found, unreadable.keys()


def _size_of(recommender: Recommender) -> WorkSize:
    """Return what the work of requests grows with, by the items that there are."""
    return WorkSize.of(recommender.bundle.manifest, recommender.catalogue.current.new_count)


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


def _nothing(found: Found) -> Found:
    """Return what is answered in a batch for a user who cannot be read.

    It has no candidates: among popular items might be what the user has refused.
    """
    return replace(found, hits=found.hits.take(NOWHERE), interests=[], path=UNREADABLE, ranked=None)


def _json(answer: bytes) -> Response:
    """Return an answer that is written already."""
    return Response(answer, media_type=JSON)
