"""Queries and bodies of the HTTP API, with their limits: each becomes a Request."""

from typing import Annotated, Any

import numpy as np
from fastapi import HTTPException, Path
from fastapi import Request as HttpRequest
from pydantic import FailFast, Field

from index.api.limits.bodies import Body, JsonBody, Text, at_most
from index.catalogue.item import CATEGORY, LONGEST_ID
from index.recommend.request import MOST_CANDIDATES, MOST_EXCLUDED, MOST_VALUES, Request, filters_of, weights_of
from model_export.bundle.extractor import Capsules
from stream.events.event import LONGEST_USER_ID
from stream.events.position import Position
from stream.store.history import History
from stream.store.state import UserState

__all__ = [
    "MOST_USERS",
    "Asked",
    "Batch",
    "InQuery",
    "ItemInPath",
    "Options",
    "Similar",
    "UserInPath",
    "Visitor",
    "check_query",
]

MOST_N = 1_000
MOST_USERS = 100  # of one batch, users and visitors together
MOST_BEHAVIOURS = 1_000  # of a visitor's history
MOST_FIELDS = 100  # of a visitor's profile
MOST_TASKS = 100  # of a ranker
# Of no model: whoever reads it encodes the history.
NOT_ENCODED = Capsules(np.empty((0, 0), dtype=np.float32), np.empty(0, dtype=np.float32), "")

UserId = Annotated[str, Field(min_length=1, max_length=LONGEST_USER_ID)]
ItemId = Annotated[str, Field(min_length=1, max_length=LONGEST_ID)]
Values = Annotated[list[Text], Field(min_length=1, max_length=MOST_VALUES), FailFast()]
UserInPath = Annotated[str, Path(min_length=1, max_length=LONGEST_USER_ID, description="percent-encoded")]
ItemInPath = Annotated[str, Path(min_length=1, max_length=LONGEST_ID, description="percent-encoded")]


class Asked(Body):
    """The fields of a request that all routes share."""

    n: int = Field(50, ge=1, le=MOST_N, description="how many candidates")

    def request(self) -> Request:
        """Return the request for the recommender.

        Raises
        ------
        HTTPException
            If it is not right; 422.
        """
        try:
            return Request(**self.fields())
        except ValueError as error:
            raise HTTPException(422, str(error)) from None

    def fields(self) -> dict[str, Any]:
        """Return the fields of that Request."""
        return {"n": self.n, "where": self.filters(), "rank": False}

    def filters(self) -> dict[str, frozenset[str]]:
        """Return attribute -> values."""
        raise NotImplementedError


class Similar(Asked):
    """For items like another: which may come back."""

    category: list[str] = Field([], description="only of this category, or one of several")
    where: list[str] = Field([], description="only with attribute=value; of one attribute any of the values will do")

    def filters(self) -> dict[str, frozenset[str]]:
        """Return attribute -> values."""
        return filters_of([*(f"{CATEGORY}={value}" for value in self.category), *self.where], "where in the query")


class Options(Asked):
    """The other fields of a Request, which a query and a body write alike."""

    exclude_seen: bool = Field(False, description="leave out the items of the kept history")
    exclude: Annotated[list[ItemId], FailFast()] = Field([], max_length=MOST_EXCLUDED, description="items to leave out")
    min_score: float | None = Field(None, description="only candidates with this score at least")
    quota: int | None = Field(None, ge=1, le=MOST_CANDIDATES, description="most candidates of one interest")
    by_importance: bool = Field(False, description="each interest at most its share, by importance")
    diversity: float = Field(0, ge=0, description="worth of two candidates' categories being different")
    max_cosine: float | None = Field(None, ge=0, lt=1, description="leave out what is more alike to a better one")
    rank: bool = Field(True, description="order the candidates by the model's ranker, if it has one")
    candidates: int | None = Field(
        None, ge=1, le=MOST_CANDIDATES, description="how many are ranked; if left out, as many as the model says"
    )
    rank_ms: float | None = Field(None, gt=0, description="budget: rank fewer if they would take longer")
    why: bool = Field(False, description="say of each ranked candidate which features spoke for it")

    def fields(self) -> dict[str, Any]:
        """Return the fields of a Request."""
        own = {name: getattr(self, name) for name in Options.model_fields}
        return {**own, "exclude": frozenset(self.exclude), "where": self.filters(), "tasks": self.weights()}

    def weights(self) -> dict[str, float]:
        """Return task -> weight."""
        raise NotImplementedError


class InQuery(Options, Similar):
    """Options in the query of an address."""

    tasks: list[str] = Field([], description="task=weight: what a task of the ranker is worth in the score")

    def weights(self) -> dict[str, float]:
        """Return task -> weight."""
        return weights_of(self.tasks, "tasks in the query")


# What may be given several times in a query.
REPEATED = frozenset(name for name, field in InQuery.model_fields.items() if isinstance(field.default, list))


def check_query(http: HttpRequest) -> None:
    """Raise HTTPException (422) if a query gives a single value several times.

    Any of them might have been meant.
    """
    for name in http.query_params:
        values = http.query_params.getlist(name)
        if len(values) > 1 and name not in REPEATED:
            given = ", ".join(repr(value[:50]) for value in values[:3])
            raise HTTPException(422, f"{name[:50]} in the query is given {len(values):,} times: {given}; right is once")


class Visitor(JsonBody):
    """Somebody who is not stored, with the behaviours of this visit."""

    history: Annotated[list[ItemId], FailFast()] = Field(
        max_length=MOST_BEHAVIOURS, description="item ids, the most recent last"
    )
    profile: Annotated[dict[Text, Text], at_most(MOST_FIELDS)] = Field(
        {}, max_length=MOST_FIELDS, description="profile field -> value"
    )

    def state(self) -> UserState:
        """Make a state as if the visitor were stored, to be encoded."""
        items = tuple(self.history)
        history = History(items, (0,) * len(items), ("",) * len(items))
        return UserState("", history, NOT_ENCODED, Position("", 0, 0), self.profile)


class Batch(Options, JsonBody):
    """The same for many: stored users, visitors, or both."""

    user_ids: Annotated[list[UserId], FailFast()] = Field([], max_length=MOST_USERS)
    visitors: Annotated[list[Visitor], FailFast()] = Field([], max_length=MOST_USERS)
    where: Annotated[dict[Text, Values], at_most(MOST_VALUES)] = Field(
        {}, max_length=MOST_VALUES, description="attribute -> values; an item needs one of the values of each"
    )

    tasks: Annotated[dict[Text, float], at_most(MOST_TASKS)] = Field(
        {}, max_length=MOST_TASKS, description="task of the ranker -> what it is worth in the score"
    )

    def filters(self) -> dict[str, frozenset[str]]:
        """Return attribute -> values."""
        return {attribute: frozenset(values) for attribute, values in self.where.items()}

    def weights(self) -> dict[str, float]:
        """Return task -> weight."""
        return self.tasks

    def check_size(self) -> None:
        """Refuse a batch of nobody, or of too many."""
        asked = len(self.user_ids) + len(self.visitors)
        if not 1 <= asked <= MOST_USERS:
            raise HTTPException(
                422, f"user_ids and visitors in the body have {asked} entries together; 1 to {MOST_USERS} are right"
            )
