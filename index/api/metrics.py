"""Counters and timers of the HTTP API, as Prometheus reads them. No user and no item is ever a label."""

import time
from collections.abc import Mapping
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["CLOSED", "EVENT_RESULTS", "NOT_DONE", "OTHER", "AnswerStatus", "ApiMetrics", "Watched", "route_of"]

METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS")
OTHER = "other"  # what clients make up is counted together
WORK_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
# In doubt is what was sent and not acknowledged; not written also what came with an event that was refused.
EVENT_RESULTS = ("accepted", "refused", "not_written", "in_doubt")
# Too much work, too many wait, the deadline was over, the client had left.
NOT_DONE = ("work", "full", "deadline", "left")
# Headers or a body that did not come in time or were too large, no HTTP, an answer that nobody took, too many of them.
CLOSED = ("headers_late", "headers_large", "body_late", "body_large", "together", "malformed", "answer_late", "full")
AGES_S = (0.1, 1, 10, 60, 600, 3_600, 86_400, 604_800)


class ApiMetrics:
    """The metrics of one API, in a registry of its own.

    Where several processes serve one port, each writes its own into files of one folder, and whichever is asked shows
    those of all together.

    Parameters
    ----------
    is_shared : whether it is one of several, which were begun within `settings.shared_metrics`.
    is_replacement : whether this process was begun since another one had died.
    """

    def __init__(self, is_shared: bool = False, is_replacement: bool = False) -> None:
        # The times since which counters count double the page, and say nothing of the API.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.is_shared = is_shared
        here = self.registry = CollectorRegistry()
        self._requests = Counter(
            "mindstream_api_requests", "Requests, by route and status.", ("method", "route", "status"), registry=here
        )
        self._seconds = Histogram(
            "mindstream_api_request_seconds",
            "From a request to the end of its answer.",
            ("route",),
            buckets=WORK_S,
            registry=here,
        )
        self._answers = Counter(
            "mindstream_api_answers", "Users who were answered, by what served them.", ("path",), registry=here
        )
        self._freshness = Histogram(
            "mindstream_api_freshness_seconds", "Age of the last behaviour in an answer.", buckets=AGES_S, registry=here
        )
        self._events = Counter(
            "mindstream_api_events", "Events that were posted, by what became of them.", ("result",), registry=here
        )
        for result in EVENT_RESULTS:
            self._events.labels(result)  # so that each is there from the beginning, with 0
        self._not_done = Counter(
            "mindstream_api_not_done", "Requests whose work was refused or stopped.", ("reason",), registry=here
        )
        self._closed = Counter(
            "mindstream_api_connections_closed", "Connections that we closed.", ("reason",), registry=here
        )
        for counter, reasons in ((self._not_done, NOT_DONE), (self._closed, CLOSED)):
            for reason in reasons:
                counter.labels(reason)
        self._connections = Gauge(
            "mindstream_api_connections", "Connections that are open.", registry=here, multiprocess_mode="livesum"
        )
        self._behind = Gauge(
            "mindstream_bundle_behind_seconds",
            "Since the pointer names another model than the one in use; 0: it names this one.",
            registry=here,
            multiprocess_mode="livemax",
        )
        self._bundle = Gauge(
            "mindstream_bundle_info",
            "1 for the model in use.",
            ("version",),
            registry=here,
            multiprocess_mode="livemax",
        )
        self._version = ""
        self._workers = Gauge(
            "mindstream_api_workers", "Processes that serve the port.", registry=here, multiprocess_mode="livesum"
        )
        self._workers.set(1)
        self._restarts = Counter(
            "mindstream_api_worker_restarts", "Processes that were begun since another one had died.", registry=here
        )
        self._restarts.inc(is_replacement)
        self._left_out = Gauge(
            "mindstream_items_left_out",
            "Entries of the item store that no answer can have while this model is served.",
            ("reason",),
            registry=here,
            multiprocess_mode="livemax",
        )
        self._refused = Counter("mindstream_bundles_refused", "Faults for which a bundle was refused.", registry=here)

        # prometheus_client takes longer to find a counter than to count.
        self._count_of, self._seconds_of = lru_cache(self._requests.labels), lru_cache(self._seconds.labels)
        self._answers_of = lru_cache(self._answers.labels)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered, and its time."""
        self._count_of(method if method in METHODS else OTHER, route, str(status)).inc()
        self._seconds_of(route).observe(seconds)

    def answer(self, path: str, freshness_s: float | None) -> None:
        """Count a user who was answered, and how old the last behaviour was."""
        self._answers_of(path).inc()
        if freshness_s is not None:
            self._freshness.observe(freshness_s)

    def events(self, result: str, count: int) -> None:
        """Count posted events of which the same became: one of EVENT_RESULTS."""
        self._events.labels(result).inc(count)

    def not_done(self, reason: str) -> None:
        """Count a request whose work was refused or stopped, by one of NOT_DONE."""
        self._not_done.labels(reason).inc()

    def closed(self, reason: str) -> None:
        """Count a connection that was closed by us, by one of CLOSED."""
        self._closed.labels(reason).inc()

    def connections(self, count: int) -> None:
        """Note how many connections are open."""
        self._connections.set(count)

    def bundle_refused(self) -> None:
        """Count a bundle that was refused; what was served goes on."""
        self._refused.inc()

    def items_left_out(self, counts: Mapping[str, int]) -> None:
        """Note how many entries of the item store no answer can have, by reason."""
        for reason, count in counts.items():
            self._left_out.labels(reason).set(count)

    def bundle(self, version: str, behind_s: float) -> None:
        """Note the model in use.

        Parameters
        ----------
        behind_s : seconds since the pointer names another one; 0: it names this one.
        """
        self._behind.set(behind_s)
        if version != self._version:
            self._forget_bundle()
            self._bundle.labels(version).set(1)
            self._version = version

    def _forget_bundle(self) -> None:
        """Take back the model that was in use; what is written into files stays there, and says 0."""
        if not self._version:
            return
        if self.is_shared:
            self._bundle.labels(self._version).set(0)
        else:
            self._bundle.remove(self._version)

    def page(self) -> bytes:
        """Write the page /metrics, of all processes that serve the port."""
        if not self.is_shared:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


class Watched:
    """An application whose requests are counted and timed, by the template of the route that they took."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note status and time of its answer."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        answer, started = AnswerStatus(send), time.perf_counter()
        try:
            await self.app(scope, receive, answer.send)
        finally:
            self.metrics.request(scope["method"], route_of(scope), answer.status, time.perf_counter() - started)


class AnswerStatus:
    """Sends an answer on, and notes its status: 500 where none begins."""

    def __init__(self, send: Send) -> None:
        self.inner, self.status = send, 500

    async def send(self, message: Message) -> None:
        """Send a message of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self.inner(message)


def route_of(scope: Scope) -> str:
    """Return the template of the route that answers a request, OTHER before or without one."""
    return str(getattr(scope.get("route"), "path_format", OTHER))
