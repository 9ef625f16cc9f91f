"""The route of the HTTP API that takes events: when it says 202, all events of the request are on Kafka."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import APIRouter, Header, HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic import Field

from index.api.errors import JSON
from index.api.metrics import ApiMetrics
from index.api.tracing.traced import trace_of
from mindstream.settings import Settings
from stream.events.event_schema import EXAMPLE, posted_schema
from stream.events.posted import (
    LONGEST_REQUEST_KEY,
    MOST_EVENTS,
    BadEventsError,
    BadRequestError,
    EventFault,
    records_in,
)
from stream.events.publisher import EventPublisher, NotPublishedError

if TYPE_CHECKING:
    from mindstream.tracing.tracing import RequestTrace

__all__ = ["EVENTS", "EventsAccepted", "EventsNotTaken", "EventsRefused", "events_router"]

EVENTS = "/events"
THREADS = 64  # each waits for the broker's answer to one request
MOST_WAITING = 1_000  # requests; what comes then is told to come again
RETRY_AFTER = {"Retry-After": "5"}

ABOUT = f"""\
Publish one event (an object), or up to {MOST_EVENTS:,} (a list), on the topic of the events, keyed by user.

202 means that Kafka has acknowledged all of them. Events that are not valid are named by their place, and none of the
request is written then. 503 says whether anything may have been written. Events with an `event_id` count once however
often they are sent; `Idempotency-Key` gives one to those that have none. An event without `event_time_ms` gets the time
of the request."""
ABOUT_KEY = (
    "A name of this request, the same when it is sent again. An event without an event_id gets this with its place "
    f"behind it (KEY/0). 1 to {LONGEST_REQUEST_KEY} visible ASCII characters."
)


@dataclass(frozen=True)
class EventsAccepted:
    """The answer once Kafka has acknowledged all events of a request."""

    accepted: Annotated[int, Field(description="how many events are on the topic now")]
    received_ms: Annotated[int, Field(description="Unix time in milliseconds that events without a time were given")]


@dataclass(frozen=True)
class EventsRefused:
    """The answer to a request that is not right: nothing of it was written."""

    error: str
    refused: Annotated[list[EventFault], Field(description="each event that is not valid, by its place from 0")] = (
        field(default_factory=list)
    )


@dataclass(frozen=True)
class EventsNotTaken:
    """The answer where Kafka does not take the events of a request."""

    error: str
    in_doubt: Annotated[bool, Field(description="whether some may have been written; if not, none was")]


RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {"model": EventsAccepted, "description": "Kafka has acknowledged all events."},
    422: {"model": EventsRefused, "description": "What is not valid, and why; nothing was written."},
    503: {
        "model": EventsNotTaken,
        "description": "Kafka does not take the events; the sentence says whether some may have been written.",
    },
}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        JSON: {
            "schema": {
                "anyOf": [
                    posted_schema(),
                    {"type": "array", "minItems": 1, "maxItems": MOST_EVENTS, "items": posted_schema()},
                ]
            },
            "examples": {
                "one": {"summary": "one event", "value": EXAMPLE},
                "many": {
                    "summary": "several, the last without a time",
                    "value": [EXAMPLE, {"user_id": "ben", "item_id": "desk-lamp", "event_type": "cart"}],
                },
            },
        }
    },
}


def events_router(
    publisher: EventPublisher, settings: Settings, metrics: ApiMetrics, route_class: type[APIRoute]
) -> APIRouter:
    """Return the route that takes events, of a class that says who may ask."""
    router = APIRouter(route_class=route_class)
    intake = _Intake(publisher, settings.event_bytes, metrics)

    @router.post(EVENTS, status_code=202, description=ABOUT, responses=RESPONSES, openapi_extra={"requestBody": _BODY})
    async def post(
        request: Request,
        idempotency_key: Annotated[str | None, Header(description=ABOUT_KEY)] = None,
    ) -> Response:
        """Publish the events of a request, and answer when Kafka has acknowledged them."""
        _check_type(request)
        return await intake.take(await request.body(), idempotency_key, trace_of(request.scope))

    return router


def _check_type(request: Request) -> None:
    """Raise HTTPException unless the body is said to be JSON.

    A page of any origin may send text without asking, so taking it would open the API of a loopback to every page.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HTTPException(415, f"the body does not say that it is JSON; right is the header Content-Type: {JSON}")


class _Intake:
    """Takes the bodies of requests; each waits for Kafka in a thread, apart from those of the other routes."""

    def __init__(self, publisher: EventPublisher, most_bytes: int, metrics: ApiMetrics) -> None:
        self.publisher, self.most_bytes, self.metrics = publisher, most_bytes, metrics
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="events")
        self.waiting = 0

    async def take(self, body: bytes, request_key: str | None, trace: "RequestTrace | None" = None) -> Response:
        """Publish the events of a body without holding up the event loop.

        A trace goes on in the headers of the records.
        """
        if self.waiting >= MOST_WAITING:
            full = f"{self.waiting:,} requests with events wait for Kafka; nothing was written"
            return _as_json(EventsNotTaken(full, in_doubt=False), 503, RETRY_AFTER)
        self.waiting += 1
        try:
            return await asyncio.wrap_future(self.threads.submit(self._publish, body, request_key, trace))
        finally:
            self.waiting -= 1

    def _publish(self, body: bytes, request_key: str | None, trace: "RequestTrace | None") -> Response:
        """Publish the events of a body, or answer what is wrong; count them."""
        now_ms = int(time.time() * 1000)
        try:
            records = records_in(body, now_ms, request_key, self.most_bytes)
            if trace is not None:
                records = [record._replace(headers=trace.headers()) for record in records]
            self.publisher.publish(records)
        except BadEventsError as error:
            self.metrics.events("refused", len(error.faults))
            self.metrics.events("not_written", error.events - len(error.faults))
            return _as_json(EventsRefused(str(error), list(error.faults)), 422)
        except BadRequestError as error:
            raise HTTPException(422, str(error)) from None
        except NotPublishedError as error:
            self.metrics.events("in_doubt" if error.in_doubt else "not_written", len(records))
            answer = EventsNotTaken(str(error), error.in_doubt)
            return _as_json(answer, 413) if error.too_large else _as_json(answer, 503, RETRY_AFTER)
        self.metrics.events("accepted", len(records))
        return _as_json(EventsAccepted(len(records), now_ms), 202)


def _as_json(
    answer: EventsAccepted | EventsRefused | EventsNotTaken, status: int, headers: dict[str, str] | None = None
) -> Response:
    """Write an answer by msgspec."""
    return Response(msgspec.json.encode(answer), status, headers, JSON)
