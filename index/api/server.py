"""The HTTP API as a process: what it serves is warm before it listens, and SIGTERM and Ctrl-C end it cleanly."""

import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial

import uvicorn
from fastapi import FastAPI

from index.api.app import create_app
from index.api.auth import Guard
from index.api.health_routes import note_served
from index.api.limits.connections import ConnectionLimits, bounded
from index.api.metrics import ApiMetrics
from index.api.requests import Visitor
from index.api.workers import Worker, listen, run_workers
from index.catalogue.open_overlay_store import open_overlay_store
from index.catalogue.overlay import Overlay
from index.recommend.filters import Filters
from index.recommend.recommender import Recommender
from index.recommend.request import Request
from mindstream.settings import Settings
from mindstream.tracing.opening import open_tracing
from model_export.bundle.bundle import Bundle
from model_export.bundle.homes.open_registry import open_registry
from model_export.bundle.serving import Serving
from model_export.bundle.trained_rule import warn_of_another_rule
from stream.events.publisher import EventPublisher
from stream.store.open_store import open_store

__all__ = ["serve", "serve_at", "warm"]

FEW = 5  # behaviours to warm up with
log = logging.getLogger(__name__)

SWITCH_S = 0.001  # after which a thread lets another go on; each quick answer waits several times for the default, 5 ms
OTHER_FILES = 256  # of stores, bundles, Kafka
LAST_ANSWERS_S = 10  # how long an end waits for what is being answered


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C, by as many processes as the settings say.

    Raises
    ------
    ValueError, OSError
        As `serve_at` does, or if the address cannot be listened at.
    """
    if settings.api_workers > 1:
        run_workers(settings, serve_at, _say_begun)
        return
    with closing(listen(settings.api_host, settings.api_port)) as listener:
        serve_at(settings, listener, Worker(1, 1), lambda version: _say_begun(version, listener))


def _say_begun(version: str, listener: socket.socket) -> None:
    """Say on the terminal what is served, and where."""
    print(f"model {version} at {_address_of(listener)} (/docs); Ctrl-C stops it", flush=True)


def serve_at(settings: Settings, listener: socket.socket, worker: Worker, begun: Callable[[str], None]) -> None:
    """Serve at a listening socket until SIGTERM or Ctrl-C.

    Parameters
    ----------
    worker : which of the processes that serve the port this one is.
    begun : called with the version of the model just before the first request is answered.

    Raises
    ------
    ValueError
        If no model can be served, the file of keys is not right, or events are taken and what the settings say of
        Kafka is not right.
    OSError
        If the store cannot be used, or the file of keys not be read.
    """
    filters, publisher = Filters(), EventPublisher(settings)
    metrics = ApiMetrics(worker.count > 1, worker.is_replacement)
    guard = Guard(settings)
    if guard.takes_events():
        publisher.check()

    def make_recommender(bundle: Bundle) -> Recommender:
        warn_of_another_rule(bundle, settings.rule)
        return warm(Recommender(bundle, store, overlay, filters))

    registry = open_registry(settings.published, settings.cache)
    with (
        open_store(settings, read_only=True) as store,
        open_overlay_store(settings) as overlay_store,
        Overlay(overlay_store, settings.item_days) as overlay,
        Serving(registry, make_recommender, lambda *_: metrics.bundle_refused()) as serving,
        publisher,
        open_tracing(settings, "api") as tracing,
    ):
        _allow_files(settings.api_connections)
        app = create_app(serving, store, settings, metrics, publisher, worker, tracing)
        server = _server(app, settings, metrics, serving)
        # What is loaded by now stays: looking through all of it for garbage would hold up requests for 0.2 s each time.
        gc.collect()
        gc.freeze()
        # When it has ended, uvicorn sends itself the signal again, for whoever else wants it: we have ended by then.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        if guard.is_open and not guard.is_local:
            log.warning("MINDSTREAM_API_KEY is not set: whoever reaches %s may ask for every user", settings.api_host)
        sys.setswitchinterval(SWITCH_S)
        begun(serving.version)
        server.run([listener])


def _server(app: FastAPI, settings: Settings, metrics: ApiMetrics, serving: Serving[Recommender]) -> uvicorn.Server:
    """Make the server of an application, with the limits of its connections."""
    pages_may_read = bool(settings.allowed_origins)
    limits = ConnectionLimits(settings.api_connections, settings.api_transfer_s, metrics, pages_may_read)
    config = uvicorn.Config(
        app,
        http=bounded(limits),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # what is wrong with connections is counted
        timeout_keep_alive=settings.api_keep_alive_s,
        callback_notify=partial(_each_second, limits, metrics, serving),
        timeout_notify=0,  # at each look of uvicorn's, once a second
        proxy_headers=False,  # nobody looks at the client's address
        access_log=False,  # addresses name users
        server_header=False,
        timeout_graceful_shutdown=LAST_ANSWERS_S,
    )
    return uvicorn.Server(config)


async def _each_second(limits: ConnectionLimits, metrics: ApiMetrics, serving: Serving[Recommender]) -> None:
    """Close late connections, and note what is served, for the metrics of all processes."""
    await limits.sweep()
    note_served(metrics, serving)


def warm(recommender: Recommender) -> Recommender:
    """Let a recommender load all that the first requests would wait for; return it."""
    bundle = recommender.bundle
    [capsules] = recommender.extractor.encode([bundle.item_ids[: bundle.manifest.history_length]])
    if len(capsules.vectors):
        recommender.index.search(capsules.vectors, 1)
    for request in (Request(), Request(diversity=0.1)):
        recommender.recommend_for(None, request.n, diversity=request.diversity)
    if recommender.second_stage is not None:
        recommender.recommend_for(Visitor(history=list(bundle.item_ids[:FEW]), profile={}).state())
    return recommender


def _allow_files(connections: int) -> None:
    """Let the process open as many files as its connections need, if the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        if most < wanted:
            log.warning(
                "only %s files may be open, and MINDSTREAM_API_CONNECTIONS is %s; right is `ulimit -n` of %s at least",
                f"{most:,}",
                f"{connections:,}",
                f"{wanted:,}",
            )


def _address_of(listener: socket.socket) -> str:
    """Return the address of a listening socket, as one writes it in a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
