"""A served bundle, a store with a few users, and clients that ask the HTTP API over them in process."""

import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI
from starlette.testclient import TestClient

from index.api.app import create_app
from index.api.metrics import ApiMetrics
from index.api.server import warm
from index.catalogue.lmdb_overlay import LmdbOverlayStore
from index.catalogue.overlay import Overlay
from index.recommend.recommender import Recommender
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.registry import Registry
from model_export.bundle.serving import Serving
from stream.events.position import Position
from stream.events.publisher import EventPublisher
from stream.store.contract import Store
from stream.store.history import History
from stream.store.state import UserState

AGE_S = 50.0  # of the last behaviour of every user


def user(bundle: Bundle, user_id: str, items: Sequence[str], profile: dict[str, str] | None = None) -> UserState:
    """A user as the updater stores one; all behaviours are of one visit, as those of visitors are."""
    last_ms = round((time.time() - AGE_S) * 1000)
    times = tuple(last_ms - back for back in reversed(range(len(items))))
    [capsules] = Extractor(bundle).encode([items], [profile or {}], [times], half=True)
    history = History(tuple(items), times, ("",) * len(items))
    return UserState(user_id, history, capsules, Position("life", 0, 7), profile or {})


def app_of(
    bundle: Bundle,
    store: Store,
    folder: Path,
    publisher: EventPublisher | None = None,
    tracing: Any = None,
    **settings: object,
) -> tuple[FastAPI, Serving[Recommender]]:
    """The application over a registry of its own, and what it serves."""
    registry = Registry(folder / "models")
    registry.publish(bundle.path)
    overlay = Overlay(LmdbOverlayStore(folder / "items"))
    metrics = ApiMetrics()
    serving = Serving(
        registry,
        lambda current: warm(Recommender(current, store, overlay)),
        lambda *_: metrics.bundle_refused(),
    )
    known = Settings(home=folder, **settings)  # type: ignore[arg-type]
    return create_app(serving, store, known, metrics, publisher, tracing=tracing), serving


def client_of(app: FastAPI) -> TestClient:
    """A client that gets what goes wrong as a status, as over the wire."""
    return TestClient(app, raise_server_exceptions=False)


def awaited(work: Callable[[], Awaitable[Any]]) -> Any:
    """What a coroutine returns, in a thread of its own.

    A browser test of the same process leaves its event loop running in ours, where `asyncio.run` is refused.
    """
    with start_blocking_portal() as portal:
        return portal.call(work)
