"""The routes of the HTTP API that put, remove and restore items at run time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import msgspec
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic import FailFast, Field

from index.api.errors import JSON
from index.api.limits.bodies import JsonBody, Text, at_most
from index.api.limits.work_lanes import WorkLanes
from index.api.requests import ItemInPath
from index.catalogue.catalogue import Catalogue
from index.catalogue.item import LONGEST_ID, MOST_NUMBERS, Item, to_json
from index.recommend.cancellation import Cancellation
from index.recommend.recommender import Recommender
from model_export.bundle.serving import Serving

__all__ = ["ItemAsked", "ItemIds", "Removed", "Restored", "items_router", "refusals"]

MOST_ITEMS = 1_000  # of one request
ITEM_S = 2e-4  # of work for each
MOST_ATTRIBUTES = 1_000  # of one item
MOST_VALUES = 4_096  # of one attribute: more are more bytes than an item may have
Numbers = Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=MOST_NUMBERS), FailFast()]
Values = Annotated[list[Text], Field(max_length=MOST_VALUES), FailFast()]

# What clients read of each route.
ABOUT_PUT = """\
Add items that the model does not know, or say anew what people are shown of those that it does.

All are added, or none. A new item needs a category, price or attribute whose value the model has learned, the vector
of its text or image (features_vector) where the model was trained with such, or a vector of its own. When the answer
comes, every later request to this process sees them; other processes do within a second."""
ABOUT_GET = "What people are shown of an item now."
ABOUT_REMOVE = "Never recommend an item again, whatever later models know, until it is restored or added again."
ABOUT_RESTORE = "Undo that an item was removed: it is again what was put last, or what the model's catalogue says."
ABOUT_REMOVE_MANY = (
    "Remove many items, as DELETE does one. Ids that no item can have are named, and the others removed."
)
ABOUT_RESTORE_MANY = "Restore many items. Ids that no item can have are named, and the others restored."


class ItemAsked(JsonBody):
    """An item of the catalogue."""

    item_id: str = Field(min_length=1, max_length=LONGEST_ID)
    title: str = Field(min_length=1, description="what people read")
    category: Text = Field("", description="the one main category, empty where it is not known")
    price: float | None = Field(None, description="null where it is not known")
    attributes: Annotated[dict[Text, Values], at_most(MOST_ATTRIBUTES)] = Field(
        {}, max_length=MOST_ATTRIBUTES, description="side feature -> the values that the item has"
    )

    vector: Numbers = Field(
        [], description="of an item that the model does not know, in place of one made of its values; empty: none"
    )
    vector_model: str = Field("", max_length=LONGEST_ID, description="the model of that vector; empty: the one served")
    features_vector: Numbers = Field(
        [], description="of its text or image, as the model was trained with (--item-vectors); empty: none"
    )

    def item(self) -> Item:
        """Return the item as the overlay keeps it."""
        numbers = {"vector": self.vector or None, "features_vector": self.features_vector or None}
        return Item(**{**self.model_dump(), **numbers})


class ItemIds(JsonBody):
    """Items of the catalogue, by their ids."""

    item_ids: Annotated[list[Text], FailFast()] = Field(min_length=1, max_length=MOST_ITEMS)


@dataclass(frozen=True)
class Removed:
    """What became of items that were to be removed.

    `unchanged` were removed already; `unknown` are those among `removed` that nobody knew.
    """

    removed: int
    unchanged: int
    unknown: int
    refused: dict[str, str]


@dataclass(frozen=True)
class Restored:
    """What became of items that were to be restored.

    `restored` are there again; `unchanged` were not removed; `unknown` nobody knows, so there is nothing to come back.
    """

    restored: int
    unchanged: int
    unknown: int
    refused: dict[str, str]


ItemsAsked = Annotated[list[ItemAsked], Field(min_length=1, max_length=MOST_ITEMS), FailFast()]


def items_router(serving: Serving[Recommender], lanes: WorkLanes, route_class: type[APIRoute]) -> APIRouter:
    """Return the routes that put, show, remove and restore items.

    All processes that serve from the same store follow within a second.

    Parameters
    ----------
    lanes : the threads that do the work. What is being written when the deadline comes is written all the same.
    route_class : says who may ask.
    """
    router = APIRouter(route_class=route_class)

    async def answer(http: Request, count: int, work: Callable[[Catalogue], Response]) -> Response:
        """Do the work of so many items in a thread, unless nobody waits for it any more."""
        may_be_written = http.method != "GET"
        return await lanes.run(http, ITEM_S * count, partial(_done, work, serving.current.catalogue), may_be_written)

    @router.post("/items", status_code=204, response_class=Response, description=ABOUT_PUT)
    async def put(http: Request, asked: ItemsAsked) -> Response:
        """Add new items, or change what people are shown of known ones."""
        return await answer(http, len(asked), partial(_put, asked))

    @router.post("/items/remove", response_model=Removed, description=ABOUT_REMOVE_MANY)
    async def remove_many(http: Request, asked: ItemIds) -> Response:
        """Remove many items."""
        return await answer(http, len(asked.item_ids), partial(_remove_many, asked.item_ids))

    @router.post("/items/restore", response_model=Restored, description=ABOUT_RESTORE_MANY)
    async def restore_many(http: Request, asked: ItemIds) -> Response:
        """Undo that many items were removed."""
        return await answer(http, len(asked.item_ids), partial(_restore_many, asked.item_ids))

    @router.get("/items/{item_id:id}", response_model=ItemAsked, description=ABOUT_GET)
    async def get(http: Request, item_id: ItemInPath) -> Response:
        """Show an item as people see it now."""
        return await answer(http, 1, partial(_get, item_id))

    @router.delete("/items/{item_id:id}", status_code=204, response_class=Response, description=ABOUT_REMOVE)
    async def remove(http: Request, item_id: ItemInPath) -> Response:
        """Remove an item."""
        return await answer(http, 1, partial(_remove, item_id))

    @router.post("/items/{item_id:id}/restore", status_code=204, response_class=Response, description=ABOUT_RESTORE)
    async def restore(http: Request, item_id: ItemInPath) -> Response:
        """Undo that an item was removed."""
        return await answer(http, 1, partial(_restore, item_id))

    return router


def _done(work: Callable[[Catalogue], Response], catalogue: Catalogue, cancellation: Cancellation) -> Response:
    """Do work on a catalogue, and answer what is wrong with it."""
    cancellation.check()
    with refusals():
        return work(catalogue)


def _put(asked: Sequence[ItemAsked], catalogue: Catalogue) -> Response:
    """Put items."""
    catalogue.put_many([one.item() for one in asked])
    return Response(status_code=204)


def _remove_many(item_ids: Sequence[str], catalogue: Catalogue) -> Response:
    """Remove items, and count what became of them."""
    found = catalogue.remove_many(item_ids)
    return _json(Removed(found.done, found.unchanged, found.unknown, found.refused))


def _restore_many(item_ids: Sequence[str], catalogue: Catalogue) -> Response:
    """Restore items, and count what became of them."""
    found = catalogue.restore_many(item_ids)
    return _json(Restored(found.done, found.unchanged, found.unknown, found.refused))


def _get(item_id: str, catalogue: Catalogue) -> Response:
    """Answer with an item."""
    item = catalogue.get(item_id)
    if item is None:
        raise _missing(item_id, catalogue)
    return Response(to_json(item), media_type=JSON)


def _remove(item_id: str, catalogue: Catalogue) -> Response:
    """Remove an item."""
    catalogue.remove(item_id)
    return Response(status_code=204)


def _restore(item_id: str, catalogue: Catalogue) -> Response:
    """Restore an item."""
    if catalogue.restore(item_id) is None:
        raise _missing(item_id, catalogue)
    return Response(status_code=204)


def _json(answer: object) -> Response:
    """Answer an object as JSON."""
    return Response(msgspec.json.encode(answer), media_type=JSON)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what is wrong with an item, or with writing the item store, into an answer."""
    try:
        yield
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    except OSError as error:
        raise HTTPException(503, "the item store does not answer; ask again later", {"Retry-After": "1"}) from error


def _missing(item_id: str, catalogue: Catalogue) -> HTTPException:
    """Make the answer for an item that is not there, or whose entry cannot be read."""
    if fault := catalogue.unreadable.get(item_id):
        return HTTPException(
            409, f"what is stored of item {item_id[:50]!r} cannot be read: {fault}; put or remove it again"
        )
    return HTTPException(404, f"there is no item {item_id[:50]!r}")
