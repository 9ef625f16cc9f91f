"""The pages of health, /livez, /readyz and /healthz, which nothing that is asked of the API keeps waiting."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio
from anyio import to_thread
from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import PlainTextResponse

from index.api.metrics import ApiMetrics
from index.api.recommendation_routes import Answers
from index.api.workers import Worker
from index.recommend.recommender import Recommender
from model_export.bundle.registry import POINTER
from model_export.bundle.serving import Serving

__all__ = ["PointerAhead", "add_health", "note_served", "pointer_ahead"]

THREADS = 4  # of their own: a store that is slow keeps the others waiting, and no other request does


@dataclass(frozen=True)
class PointerAhead:
    """A pointer that names another model than the one that is served.

    Attributes
    ----------
    version : that it names; "" if it names none.
    since_s : Unix time at which it was written.
    why : it is not served, as far as that is known.
    """

    version: str
    since_s: float
    why: str


def pointer_ahead(serving: Serving[Recommender]) -> PointerAhead | None:
    """Compare the pointer with what is served; None: it names that."""
    refusal = serving.refusal
    try:
        version, since_s = serving.registry.home.pointer_seen()
    except (OSError, ValueError) as error:
        return PointerAhead("", time.time(), str(error))
    if version == serving.version:
        return None
    is_refused = refusal is not None and refusal.version in (version, "")
    return PointerAhead(version, since_s, refusal.fault if refusal and is_refused else "it is being opened")


def note_served(metrics: ApiMetrics, serving: Serving[Recommender]) -> None:
    """Note for the metrics the model served, how far CURRENT is ahead, and items left out."""
    ahead = pointer_ahead(serving)
    metrics.bundle(serving.version, 0.0 if ahead is None else max(0.001, time.time() - ahead.since_s))
    metrics.items_left_out(serving.current.catalogue.left_out())


def add_health(router: APIRouter, answers: Answers, worker: Worker) -> None:
    """Add the pages of health to a router.

    The first is for whoever restarts, the others for whoever sends requests.

    Parameters
    ----------
    worker : which of several processes answers, if there are several.
    """

    @router.head("/livez", include_in_schema=False)
    @router.get("/livez", response_class=PlainTextResponse, description='200 and "ok"; without an answer, restart it.')
    async def alive() -> Response:
        """Tell that the process answers; nothing is looked at for it."""
        return PlainTextResponse("ok\n")

    threads = anyio.CapacityLimiter(THREADS)
    _add_page(router, "/healthz", '200 and "ok", or 503 and what is wrong.', answers, threads, lambda: "")
    about = '200, "ok" and the model that is served, and if CURRENT names another one which and since when; or 503.'
    _add_page(router, "/readyz", about, answers, threads, lambda: _served(answers.serving, worker))


def _add_page(
    router: APIRouter,
    path: str,
    description: str,
    answers: Answers,
    threads: anyio.CapacityLimiter,
    more: Callable[[], str],
) -> None:
    """Add a page that asks the store, and says more if that answers."""

    def look() -> Response:
        try:
            answers.states(["healthz"])
        except HTTPException as error:
            return PlainTextResponse(f"{error.detail}\n", error.status_code)
        return PlainTextResponse(f"ok\n{more()}")

    async def ready() -> Response:
        """Tell whether the store answers."""
        return await to_thread.run_sync(look, limiter=threads)

    router.head(path, include_in_schema=False)(ready)
    router.get(
        path,
        response_class=PlainTextResponse,
        responses={503: {"description": "What is wrong."}},
        description=description,
        operation_id=path[1:],
    )(ready)


def _served(serving: Serving[Recommender], worker: Worker) -> str:
    """Write which model is served by which process, and what the pointer names instead."""
    ahead = pointer_ahead(serving)
    lines = [f"model {serving.version}"]
    if ahead is not None:
        since = datetime.fromtimestamp(ahead.since_s, UTC).isoformat(timespec="seconds")
        named = f"model {ahead.version}" if ahead.version else "no model"
        lines.append(f"{POINTER} names {named} since {since}: {' '.join(ahead.why.split())}")
    if worker.count > 1:
        lines.append(str(worker))
    return "".join(f"{line}\n" for line in lines)
