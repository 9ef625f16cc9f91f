"""The answers to what fails or is refused: one sentence, and never what went on inside."""

from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["JSON", "MOST_BYTES", "RESPONSES", "Refusal", "Sized", "Utf8Path", "add_refusals", "refused", "sentence"]

MOST_BYTES = 1_000_000  # of a body
TOO_LARGE = f"the body is too large; the most is {MOST_BYTES:,} bytes"
LONGEST_SHOWN = 60  # characters of a value
MOST_SHOWN = LONGEST_SHOWN // 2  # values of a list or an object: each takes three characters
JSON = "application/json"
NO_UTF8 = "the path is no UTF-8 where its percent signs are decoded; right is that of the id, percent-encoded"
UNREADABLE = "There was an error parsing the body"  # FastAPI's own words


@dataclass(frozen=True)
class Refusal:
    """Why there is no answer."""

    error: str


RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Refusal, "description": "What was asked for is not right; the sentence says what would be."},
    500: {"model": Refusal, "description": "What is stored of the user cannot be read; the sentence says what to do."},
    503: {"model": Refusal, "description": "The capsule store does not answer; ask again later."},
}


def add_refusals(app: FastAPI) -> None:
    """Answer every error of an application in this form."""
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(Exception, _failed)  # Starlette raises it again, so that the server's log has it


def _refusal(status: int, sentence: str, headers: Any = None) -> Response:
    """Make an answer that says why there is no other."""
    return Response(msgspec.json.encode(Refusal(sentence)), status, headers, JSON)


def refused(request: Request, error: Exception) -> Response:
    """Answer what was refused on purpose, by us or by the framework."""
    assert isinstance(error, HTTPException)
    said = {404: f"there is nothing at {_shown(request.url.path)}; /docs says what there is"}
    said[405] = f"{request.method[:20]} is not for {_shown(request.url.path)}; /docs says what is"
    said[413] = TOO_LARGE
    said[400] = "the body is no JSON: right is UTF-8, and not nested that deeply"
    framework_s_own = error.detail in ("Not Found", "Method Not Allowed", "Content Too Large", UNREADABLE)
    return _refusal(error.status_code, said[error.status_code] if framework_s_own else error.detail, error.headers)


def _not_valid(_: Request, error: Exception) -> Response:
    """Answer a request that has not the form of the schema, with the first fault."""
    assert isinstance(error, RequestValidationError)
    return _refusal(422, sentence(error.errors()[0]))


def _failed(_: Request, __: Exception) -> Response:
    """Answer after a fault of ours."""
    return _refusal(500, "something went wrong here; the log of the API says what")


def sentence(wrong: dict[str, Any]) -> str:
    """Write which value is wrong, and what would be right."""
    source, *names = wrong["loc"]
    if wrong["type"] == "json_invalid":
        return f"the body is no JSON: {wrong['ctx']['error']} at character {names[0]}"
    name = f"{'.'.join(map(str, names))} in the {source}" if names else f"the {source}"
    if source == "body" and isinstance(wrong["input"], bytes):
        return f"the body does not say that it is JSON; right is the header Content-Type: {JSON}"
    if wrong["type"] == "missing":
        return f"{name} is missing"
    if wrong["type"] == "extra_forbidden":
        return f"{name} is not known; /docs says what is"
    return f"{name} is {_shown(wrong['input'])}: {wrong['msg']}"


def _shown(value: object) -> str:
    """Return the beginning of a value."""
    text = repr(_first_of(value))
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _first_of(value: object) -> object:
    """Return as much of a value as may be shown: to write all of a large one takes 100 ms."""
    if isinstance(value, str):
        return value[: LONGEST_SHOWN + 1]
    if isinstance(value, list):
        return [_first_of(one) for one in value[:MOST_SHOWN]]
    if isinstance(value, dict):
        return {_first_of(name): _first_of(one) for name, one in islice(value.items(), MOST_SHOWN)}
    return value


class Utf8Path:
    """An application whose paths are UTF-8: ids of other bytes would all be read as the same replacement."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a path that is no UTF-8, or pass the request on."""
        is_wrong = "\ufffd" in scope.get("path", "") and b"%EF%BF%BD" not in scope["raw_path"].upper()
        await (_refusal(422, NO_UTF8) if is_wrong else self.app)(scope, receive, send)


class Sized:
    """An application that reads no body whose length says it is too large; Starlette counts those that say none."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = RequestBodyLimitMiddleware(app, MOST_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a body that is too large, or pass the request on."""
        length = dict(scope["headers"]).get(b"content-length", b"0") if scope["type"] == "http" else b"0"
        too_large = length.isdigit() and int(length) > MOST_BYTES
        await (_refusal(413, TOO_LARGE) if too_large else self.app)(scope, receive, send)
