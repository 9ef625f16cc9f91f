"""Cross-origin requests: pages of the origins that the settings name may post events from browsers, and do no more."""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from index.api.auth import KEY_HEADER

__all__ = ["CrossOrigin"]

ASKED_AGAIN_S = 600  # how long a browser remembers that it may


class CrossOrigin:
    """An application of which pages of other origins may ask one path alone.

    The others stay closed to them: what reads users is not for browsers, whose visitors would see its key.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str], path: str) -> None:
        self.app, self.path = app, path
        self.open = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["POST"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", KEY_HEADER],
            expose_headers=["Retry-After"],
            max_age=ASKED_AGAIN_S,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, by way of the middleware for the one path."""
        app = self.open if scope["type"] == "http" and scope["path"] == self.path else self.app
        await app(scope, receive, send)
