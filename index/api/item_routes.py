"""The routes of the HTTP API that put, remove and restore items at run time."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated

import msgspec
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic import FailFast, Field

from index.api.errors import JSON
from index.api.limits.bodies import Body, at_most
from index.api.limits.work_lanes import WorkLanes
from index.api.requests import ItemInPath
from index.catalogue.catalogue import Catalogue
from index.catalogue.item import LONGEST_ID, Item
from index.recommend.cancellation import Cancellation
from index.recommend.recommender import Recommender
from model_export.bundle.serving import Serving

__all__ = ["ItemAsked", "items_router", "refusals", "unknown"]

MOST_ITEMS = 1_000  # of one request
ITEM_S = 2e-4  # of work for each
MOST_ATTRIBUTES = 1_000  # of one item
MOST_VALUES = 4_096  # of one attribute: more are more bytes than an item may have
Values = Annotated[list[str], Field(max_length=MOST_VALUES), FailFast()]

# What clients read of each route.
ABOUT_PUT = """\
Add items that the model does not know, or say anew what people are shown of those that it does.

All are added, or none. A new item needs a category, price or attribute whose value the model has learned."""
ABOUT_GET = "What people are shown of an item now."
ABOUT_REMOVE = "Never recommend an item again, whatever later models know, until it is restored or added again."
ABOUT_RESTORE = "Undo that an item was removed: it is again what was put last, or what the model's catalogue says."


class ItemAsked(Body):
    """An item of the catalogue."""

    item_id: str = Field(min_length=1, max_length=LONGEST_ID)
    title: str = Field(min_length=1, description="what people read")
    category: str = Field("", description="the one main category, empty where it is not known")
    price: float | None = Field(None, description="null where it is not known")
    attributes: Annotated[dict[str, Values], at_most(MOST_ATTRIBUTES)] = Field(
        {}, max_length=MOST_ATTRIBUTES, description="side feature -> the values that the item has"
    )

    def item(self) -> Item:
        """Return the item as the overlay keeps it."""
        return Item(**self.model_dump())


ItemsAsked = Annotated[list[ItemAsked], Field(min_length=1, max_length=MOST_ITEMS), FailFast()]


def items_router(serving: Serving[Recommender], lanes: WorkLanes, route_class: type[APIRoute]) -> APIRouter:
    """Return the routes that put, show, remove and restore items.

    All processes that serve from the same store follow within a second.

    Parameters
    ----------
    lanes : the threads that do the work. What is written when the deadline comes is written all the same.
    route_class : says who may ask.
    """
    router = APIRouter(route_class=route_class)

    @router.post("/items", status_code=204, response_class=Response, description=ABOUT_PUT)
    async def put(http: Request, asked: ItemsAsked) -> Response:
        """Add new items, or change what people are shown of known ones.

        All are added, or none. A new item needs a category, price or attribute whose value the model has learned.
        """
        return await lanes.run(http, ITEM_S * len(asked), partial(_put, serving.current.catalogue, asked))

    @router.get("/items/{item_id:id}", response_model=ItemAsked, description=ABOUT_GET)
    async def get(http: Request, item_id: ItemInPath) -> Response:
        """Show an item as people see it now."""
        return await lanes.run(http, ITEM_S, partial(_get, serving.current.catalogue, item_id))

    @router.delete("/items/{item_id:id}", status_code=204, response_class=Response, description=ABOUT_REMOVE)
    async def remove(http: Request, item_id: ItemInPath) -> Response:
        """Remove an item."""
        return await lanes.run(http, ITEM_S, partial(_remove, serving.current.catalogue, item_id))

    @router.post("/items/{item_id:id}/restore", status_code=204, response_class=Response, description=ABOUT_RESTORE)
    async def restore(http: Request, item_id: ItemInPath) -> Response:
        """Undo that an item was removed."""
        return await lanes.run(http, ITEM_S, partial(_restore, serving.current.catalogue, item_id))

    return router


def _put(catalogue: Catalogue, asked: list[ItemAsked], cancellation: Cancellation) -> Response:
    """Put items, unless nobody waits for it any more."""
    items = [one.item() for one in asked]
    cancellation.check()
    with refusals():
        catalogue.put_many(items)
    return Response(status_code=204)


def _get(catalogue: Catalogue, item_id: str, _: Cancellation) -> Response:
    """Answer with an item."""
    item = catalogue.get(item_id)
    if item is None:
        raise unknown(item_id)
    return Response(msgspec.json.encode(item), media_type=JSON)


def _remove(catalogue: Catalogue, item_id: str, cancellation: Cancellation) -> Response:
    """Remove an item, unless nobody waits for it any more."""
    cancellation.check()
    with refusals():
        catalogue.remove(item_id)
    return Response(status_code=204)


def _restore(catalogue: Catalogue, item_id: str, cancellation: Cancellation) -> Response:
    """Restore an item, unless nobody waits for it any more."""
    cancellation.check()
    with refusals():
        item = catalogue.restore(item_id)
    if item is None:
        raise unknown(item_id)
    return Response(status_code=204)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what is wrong with an item, or with writing the item store, into an answer."""
    try:
        yield
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    except OSError as error:
        raise HTTPException(503, "the item store does not answer; ask again later", {"Retry-After": "1"}) from error


def unknown(item_id: str) -> HTTPException:
    """Make the answer for an item that is not there."""
    return HTTPException(404, f"there is no item {item_id[:50]!r}")
