"""An application whose requests are traced, where who asks has sent a sampled `traceparent`."""

from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from index.api.metrics import AnswerStatus, route_of

if TYPE_CHECKING:
    from mindstream.tracing.tracing import RequestTrace, Tracing

__all__ = ["Traced", "trace_of"]

_KEY = "mindstream.trace"


def trace_of(scope: Scope) -> "RequestTrace | None":
    """Return the trace of a request; None where it is not traced."""
    found: RequestTrace | None = scope.get(_KEY)
    return found


class Traced:
    """An application around which each traced request has a span, named by the template of its route."""

    def __init__(self, app: ASGIApp, tracing: "Tracing") -> None:
        self.app, self.tracing = app, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, within a span if it is traced."""
        parent = self.tracing.parent(scope["headers"]) if scope["type"] == "http" else None
        if parent is None:
            await self.app(scope, receive, send)
            return
        trace, answer = self.tracing.request(parent), AnswerStatus(send)
        scope[_KEY] = trace
        try:
            await self.app(scope, receive, answer.send)
        finally:
            trace.end(scope["method"], route_of(scope), answer.status)
