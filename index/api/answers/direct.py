"""The route that nearly all requests take, without what the framework does for each: it did it for the query before."""

from fastapi import HTTPException, Request, Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from index.api.answers.known_queries import KnownQuery
from index.api.auth import Guard
from index.api.errors import JSON, refused
from index.api.keys import READ_SCOPE
from index.api.limits.waiting import ClientLeftError
from index.api.recommendation_routes import ONE_USER, Answers
from stream.events.event import LONGEST_USER_ID

__all__ = ["CLIENT_LEFT", "Direct"]

CLIENT_LEFT = 499  # as nginx counts it
BEFORE, BEHIND = "/users/", "/recommendations"
IS_JSON = b"content-type", JSON.encode()
WITH_A_BODY = (b"content-length", b"transfer-encoding")


class _Route:
    """What the metrics read of a route."""

    path_format = compile_path(ONE_USER)[1]


class Direct:
    """An application that answers one stored user itself where the query was found right before.

    Everything else, and whatever is not right, is for the application behind it, by whose routes the query was checked;
    so there is one place that knows what is right.

    Parameters
    ----------
    answers : of the routes behind it.
    guard : of them too.
    """

    def __init__(self, app: ASGIApp, answers: Answers, guard: Guard) -> None:
        self.app, self.answers, self.guard = app, answers, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        known = self._known(scope)
        await (self.app(scope, receive, send) if known is None else self._answer(known, scope, receive, send))

    async def _answer(self, known: KnownQuery, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for one stored user."""
        scope["route"] = _Route
        request = Request(scope, receive)
        refusal: Response | None = None
        try:
            self.guard.check(request, READ_SCOPE)
            answer = await self.answers.one_user(_user_id(scope), known, request)
        except HTTPException as error:
            refusal = refused(request, error)
        except ClientLeftError:
            refusal = Response(status_code=CLIENT_LEFT)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        headers = [(b"content-length", b"%d" % len(answer)), IS_JSON]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _known(self, scope: Scope) -> KnownQuery | None:
        """Return the query of a request for one stored user, if it was found right before."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        path: str = scope["path"]
        if not (path.startswith(BEFORE) and path.endswith(BEHIND) and 0 < len(_user_id(scope)) <= LONGEST_USER_ID):
            return None
        if any(name in WITH_A_BODY for name, _ in scope["headers"]):
            return None
        return self.answers.queries.find(scope["query_string"])


def _user_id(scope: Scope) -> str:
    """Return the user that a path names."""
    user_id: str = scope["path"][len(BEFORE) : -len(BEHIND)]
    return user_id
