"""The HTTP API as a process: what it serves is warm before it listens, and SIGTERM and Ctrl-C end it cleanly."""

import gc
import logging
import signal
import socket
from contextlib import closing

import uvicorn

from index.api.app import create_app
from index.api.metrics import ApiMetrics
from index.catalogue.open_overlay_store import open_overlay_store
from index.catalogue.overlay import Overlay
from index.recommend.filters import Filters
from index.recommend.recommender import Recommender
from index.recommend.request import Request
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.registry import Registry
from model_export.bundle.serving import Serving
from model_export.bundle.trained_rule import warn_of_another_rule
from stream.store.open_store import open_store

__all__ = ["serve", "warm"]

log = logging.getLogger(__name__)

BACKLOG = 1_024  # connections that wait to be taken
LAST_ANSWERS_S = 10  # how long an end waits for what is being answered
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises
    ------
    ValueError
        If no model can be served.
    OSError
        If the store cannot be used, or the address cannot be listened at.
    """
    filters, metrics = Filters(), ApiMetrics()

    def make_recommender(bundle: Bundle) -> Recommender:
        warn_of_another_rule(bundle, settings.rule)
        return warm(Recommender(bundle, store, overlay, filters))

    with (
        open_store(settings, read_only=True) as store,
        open_overlay_store(settings) as overlay_store,
        Overlay(overlay_store) as overlay,
        Serving(
            Registry(settings.models),
            make_recommender,
            lambda *_: metrics.bundle_refused(),
        ) as serving,
        closing(_listening(settings.api_host, settings.api_port)) as listener,
    ):
        # What is loaded by now stays: looking through all of it for garbage would hold up requests for 0.2 s each time.
        gc.collect()
        gc.freeze()
        config = uvicorn.Config(
            create_app(serving, store, settings, metrics),
            lifespan="off",
            log_config=None,
            access_log=False,  # addresses name users
            server_header=False,
            timeout_graceful_shutdown=LAST_ANSWERS_S,
        )
        # When it has ended, uvicorn sends itself the signal again, for whoever else wants it: we have ended by then.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        if settings.api_key is None and settings.api_host not in LOOPBACK:
            log.warning("MINDSTREAM_API_KEY is not set: whoever reaches %s may ask for every user", settings.api_host)
        print(f"model {serving.version} at {_address_of(listener)} (/docs); Ctrl-C stops it", flush=True)
        uvicorn.Server(config).run([listener])


def warm(recommender: Recommender) -> Recommender:
    """Let a recommender load all that the first requests would wait for; return it."""
    bundle = recommender.bundle
    [capsules] = recommender.extractor.encode([bundle.item_ids[: bundle.manifest.history_length]])
    if len(capsules.vectors):
        recommender.index.search(capsules.vectors, 1)
    for request in (Request(), Request(diversity=0.1)):
        recommender.recommend_for(None, request.n, diversity=request.diversity)
    return recommender


def _listening(host: str, port: int) -> socket.socket:
    """Open a socket that listens, of the family (IPv4 or IPv6) that the host has."""
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise OSError(
            f"the API cannot be served at port {port} of {host} ({error}); "
            "are MINDSTREAM_API_PORT and MINDSTREAM_API_HOST right?"
        ) from error


def _address_of(listener: socket.socket) -> str:
    """Return the address of a listening socket, as one writes it in a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
