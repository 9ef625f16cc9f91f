"""The HTTP server of an updater: /metrics for Prometheus, and three pages of health.

/livez is for whoever restarts what is stuck, /readyz for whoever waits until work is done, and /healthz, which is older
than both, says everything that the updater knows to be wrong.
"""

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import make_wsgi_app

from mindstream.settings import Settings
from stream.monitoring.health import Health
from stream.monitoring.metrics import Metrics

__all__ = ["Monitor", "Server", "monitor"]

log = logging.getLogger(__name__)


def monitor(settings: Settings, metrics: Metrics, health: Health) -> AbstractContextManager["Monitor | None"]:
    """Start the Monitor that the environment asks for; none if MINDSTREAM_METRICS_PORT is 0."""
    if not settings.metrics_port:
        if settings.metrics_host != type(settings).model_fields["metrics_host"].default:
            log.warning("MINDSTREAM_METRICS_HOST is set and has no effect, as MINDSTREAM_METRICS_PORT is not")
        return nullcontext()
    return Monitor(metrics, health, settings.metrics_host, settings.metrics_port)


class Monitor:
    """A running HTTP server, in a thread of its own.

    Parameters
    ----------
    port : 0 takes any that is free; `address` says which.

    Raises
    ------
    OSError
        If the port is taken, or the host is none of this machine's.
    """

    def __init__(self, metrics: Metrics, health: Health, host: str, port: int) -> None:
        metrics.watch(health)
        pages = {
            "/metrics": make_wsgi_app(metrics.registry),
            "/healthz": _health_page(health.problem, lambda: health.note),
            "/livez": _health_page(health.silence),
            "/readyz": _health_page(health.unready, lambda: health.note),
        }
        try:
            self.server = _server_at(host, port)
        except OSError as error:
            raise OSError(
                f"/metrics cannot be served at port {port} of {host} ({error}); "
                "are MINDSTREAM_METRICS_PORT and MINDSTREAM_METRICS_HOST right?"
            ) from error
        self.server.set_app(_site(pages))
        self.thread = threading.Thread(target=self.server.serve_forever, name="monitor", daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        """Return host:port."""
        host, port = self.server.server_address[:2]
        return f"{host!s}:{port}"

    def close(self) -> None:
        """Stop listening."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _site(pages: Mapping[str, WSGIApplication]) -> Callable[..., Iterable[bytes]]:
    """Make a WSGI application of several pages, which answers 404 for other paths."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        page = pages.get(environ["PATH_INFO"])
        if page:
            return page(environ, start_response)
        return _plain(start_response, "404 Not Found", f"there are {', '.join(pages)}")

    return application


def _nothing() -> None:
    """Say nothing."""


def _health_page(
    wrong: Callable[[], str | None], noted: Callable[[], str | None] = _nothing
) -> Callable[..., Iterable[bytes]]:
    """Make the page that answers 200 and "ok", or 503 and what is wrong.

    A note is a line more.
    """

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        problem, note = wrong(), noted()
        lines = [problem or "ok", *([note] if note else [])]
        return _plain(start_response, "503 Service Unavailable" if problem else "200 OK", "\n".join(lines))

    return application


def _plain(start_response: StartResponse, status: str, text: str) -> Iterable[bytes]:
    """Answer with text.

    A list of headers is made each time: wsgiref adds to it.
    """
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]


def _server_at(host: str, port: int) -> WSGIServer:
    """Make a server that listens, of the family (IPv4 or IPv6) that the host has."""
    [(family, _, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    kind = type("Server", (Server,), {"address_family": family})
    server: WSGIServer = kind(address[:2], _Request)
    return server


class Server(ThreadingMixIn, WSGIServer):
    """A server that answers each request in a thread, so that a slow reader delays nobody."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Log on the level of debugging who hangs up or says nothing.

        By default that prints a traceback.
        """
        log.debug("a request of %s ended early", client_address, exc_info=True)


class _Request(WSGIRequestHandler):
    """One request; a client that does not send it in time is left alone."""

    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a line for every scrape says nothing."""
