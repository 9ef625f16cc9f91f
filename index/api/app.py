"""The HTTP API: an application over what is served, a store and the settings."""

from functools import partial
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse
from starlette.requests import ClientDisconnect

from index.api.answers.direct import CLIENT_LEFT, Direct
from index.api.auth import Guard
from index.api.cors import CrossOrigin
from index.api.errors import RESPONSES, Utf8Path, add_refusals
from index.api.event_routes import EVENTS, events_router
from index.api.health_routes import add_health, note_served
from index.api.item_routes import items_router
from index.api.keys import EVENTS_SCOPE, ITEMS_SCOPE, READ_SCOPE
from index.api.limits.waiting import ClientLeftError
from index.api.limits.work_lanes import WorkLanes
from index.api.metrics import ApiMetrics, Watched
from index.api.recommendation_routes import Answers
from index.api.tracing.traced import Traced
from index.api.workers import Worker
from index.recommend.recommender import Recommender
from mindstream.settings import Settings
from model_export.bundle.serving import Serving
from stream.events.publisher import EventPublisher
from stream.store.contract import Store

if TYPE_CHECKING:
    from mindstream.tracing.tracing import Tracing

__all__ = ["create_app"]

ABOUT = """\
Candidates and interests as fresh as a user's last behaviour. In a path, percent-encode ids, the slash too.
Each answer says which model gave it, how old the user's last behaviour is, and by which path it was found."""
ALONE = Worker(1, 1)
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def create_app(
    serving: Serving[Recommender],
    store: Store,
    settings: Settings,
    metrics: ApiMetrics | None = None,
    publisher: EventPublisher | None = None,
    worker: Worker = ALONE,
    tracing: "Tracing | None" = None,
) -> FastAPI:
    """Make the application over what is served, a store and the settings.

    Parameters
    ----------
    publisher : of the events that are posted, closed by whoever made it; None: one of the application's own.
    worker : which of the processes that serve the same port this one is.
    tracing : of requests whose sender has a trace; None: of none.
    """
    metrics = metrics or ApiMetrics()
    lanes = WorkLanes(settings, metrics)
    answers = Answers(serving, store, metrics, lanes)
    app = FastAPI(
        title="Mindstream",
        description=ABOUT,
        version="1",
        redirect_slashes=False,
        redoc_url=None,
    )
    if settings.allowed_origins:
        app.add_middleware(CrossOrigin, origins=settings.allowed_origins, path=EVENTS)
    guard, events = Guard(settings), publisher or EventPublisher(settings)
    app.add_middleware(Direct, answers=answers, guard=guard)
    app.add_middleware(Utf8Path)
    if tracing is not None:
        app.add_middleware(Traced, tracing=tracing)
    app.add_middleware(Watched, metrics=metrics)  # the last one is the outermost
    add_refusals(app)
    for error in (ClientLeftError, ClientDisconnect):
        app.add_exception_handler(error, _left)
    for scope, routes in (
        (READ_SCOPE, answers.router),
        (ITEMS_SCOPE, partial(items_router, serving, lanes)),
        (EVENTS_SCOPE, partial(events_router, events, settings, metrics)),
    ):
        router = routes(guard.route_class(scope))
        app.include_router(router, dependencies=guard.shown(scope), responses=RESPONSES)
    app.include_router(_open_router(answers, metrics, worker))
    return app


def _open_router(answers: Answers, metrics: ApiMetrics, worker: Worker) -> APIRouter:
    """Return the routes that need no key, for they tell nothing of users and items."""
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    async def begin() -> Response:
        return RedirectResponse("/docs")

    add_health(router, answers, worker)

    @router.get("/metrics", response_class=PlainTextResponse, description="Counts and times, for Prometheus.")
    def show() -> Response:
        """Write counts and times for Prometheus."""
        note_served(metrics, answers.serving)
        return Response(metrics.page(), media_type=PROMETHEUS)

    return router


def _left(_: Request, __: Exception) -> Response:
    """Answer nobody, with the status by which such requests are counted."""
    return Response(status_code=CLIENT_LEFT)
