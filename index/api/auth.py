"""Who may ask the HTTP API: routes need a key of their scope, which is looked at before anything else is read."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Depends, HTTPException, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from index.api.keys import EVENTS_SCOPE, READ_SCOPE, Keys
from index.api.limits.bodies import JsonRequest
from index.api.requests import check_query
from mindstream.settings import Settings

__all__ = ["KEY_HEADER", "LOOPBACK", "Guard"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")
KEY_HEADER = "X-API-Key"
# For the schema alone, which says by them how a key is sent.
IN_SCHEMA: list[Any] = [Depends(APIKeyHeader(name=KEY_HEADER, auto_error=False)), Depends(HTTPBearer(auto_error=False))]
HOW = f"as {KEY_HEADER}: KEY or Authorization: Bearer KEY"
VARIABLES = {EVENTS_SCOPE: "MINDSTREAM_WRITE_KEY"}  # of other scopes it is the API's key


class Guard:
    """A guard of routes.

    Where neither a key nor a file of keys is set everybody may read and change items. Events are taken with a key for
    them, or where no key is set at all and only this host can ask.

    Parameters
    ----------
    settings : which keys there are.

    Raises
    ------
    ValueError, OSError
        If the file of keys is not right, or cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self.keys, self.has_file = Keys(settings), settings.api_keys_file is not None
        self.is_open = settings.api_key is None and not self.has_file
        self.is_local = settings.api_host in LOOPBACK

    def takes_events(self) -> bool:
        """Tell whether events can be posted now."""
        return self.keys.have(EVENTS_SCOPE) or (self.is_open and self.is_local)

    def route_class(self, scope: str) -> type[APIRoute]:
        """Return the class of routes that need a scope.

        Those that only look (GET) need READ_SCOPE. Dependencies would be asked after a body has been read and parsed.
        """
        guard = self

        class GuardedRoute(APIRoute):
            """A route that looks at the key first, then at the headers and the query, and then reads a body quickly."""

            def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
                """Return what answers a request, or refuses it."""
                answer = super().get_route_handler()

                async def guarded(request: Request) -> Response:
                    guard.check(request, READ_SCOPE if request.method == "GET" else scope)
                    read = JsonRequest(request.scope, request.receive)
                    read.check_head()
                    check_query(read)
                    return await answer(read)

                return guarded

        return GuardedRoute

    def shown(self, scope: str) -> list[Any]:
        """Return the dependencies by which the schema says that a scope needs a key."""
        return IN_SCHEMA if self.needs_key(scope) else []

    def needs_key(self, scope: str) -> bool:
        """Tell whether a scope needs a key."""
        return not self.is_open or (scope == EVENTS_SCOPE and self.keys.have(EVENTS_SCOPE))

    def check(self, request: Request, scope: str) -> None:
        """Check that a request has a key of a scope, if it needs one.

        Raises
        ------
        HTTPException
            If it has none that is known, 401; if that has another scope, or nobody may, 403.
        """
        if scope == EVENTS_SCOPE and not self.takes_events():
            raise HTTPException(403, f"no events are taken here: {self._missing()} where the API runs")
        if not self.needs_key(scope):
            return
        key = self.keys.find(_sent(request))
        if key is None or (scope not in key.scopes and not self.has_file):
            wanted = f"a key with the scope {scope}" if self.has_file else f"the key of {self._variable(scope)}"
            raise HTTPException(401, f"this needs {wanted}, {HOW}", {"WWW-Authenticate": "Bearer"})
        if scope not in key.scopes:
            has = " and ".join(sorted(key.scopes))
            raise HTTPException(403, f"this needs the scope {scope}, and the key {key.name} has {has}")

    def _missing(self) -> str:
        """Say what is missing for events to be taken."""
        if self.has_file:
            return "MINDSTREAM_WRITE_KEY is not set, and no key in MINDSTREAM_API_KEYS_FILE has the scope events"
        return "MINDSTREAM_WRITE_KEY is not set"

    @staticmethod
    def _variable(scope: str) -> str:
        """Name the variable that holds the key of a scope."""
        return VARIABLES.get(scope, "MINDSTREAM_API_KEY")


def _sent(request: Request) -> bytes:
    """Return the key that a request has, as the bytes that Starlette read as latin-1."""
    scheme, bearer = get_authorization_scheme_param(request.headers.get("Authorization"))
    given = request.headers.get(KEY_HEADER) or (bearer if scheme.lower() == "bearer" else "")
    return given.encode("latin-1")
