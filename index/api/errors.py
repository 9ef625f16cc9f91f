"""The answers to what fails or is refused: one sentence, and never what went on inside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from mindstream.counted import counted

__all__ = ["JSON", "MOST_BYTES", "RESPONSES", "TOO_LARGE", "Refusal", "Utf8Path", "add_refusals", "refused", "sentence"]

MOST_BYTES = 1_000_000  # of a body
TOO_LARGE = f"the body is too large; the most is {MOST_BYTES:,} bytes"
LONGEST_SHOWN = 60  # characters of a value
JSON = "application/json"
NO_UTF8 = "the path is no UTF-8 where its percent signs are decoded; right is that of the id, percent-encoded"
UNREADABLE = "There was an error parsing the body"  # FastAPI's own words


@dataclass(frozen=True)
class Refusal:
    """Why there is no answer."""

    error: str


# What would be right, by pydantic's name of a fault and the limits that it gives.
RIGHT = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "string_unicode": "text that UTF-8 can write",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "greater_than_equal": "at least {ge:,}",
    "less_than_equal": "at most {le:,}",
    "less_than": "less than {lt:,}",
    "string_too_short": "text of at least {min_length} character",
    "string_too_long": "text of at most {max_length:,} characters",
    "too_short": "at least {min_length}",
    "too_long": "at most {max_length:,}",
}
KINDS = {list: "a list", dict: "an object", type(None): "null"}

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
    said[400] = "the body could not be read; send it again"
    framework_s_own = error.detail in ("Not Found", "Method Not Allowed", UNREADABLE)
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
    name = f"{_place(names)} in the {source}" if names else f"the {source}"
    if source == "body" and isinstance(wrong["input"], bytes):
        return f"the body does not say that it is JSON; right is the header Content-Type: {JSON}"
    if wrong["type"] == "missing":
        return f"{name} is missing; /docs says what it is"
    if wrong["type"] == "extra_forbidden":
        return f"{name} is not known; /docs says what is"
    known = RIGHT.get(wrong["type"])
    right = known.format(**wrong.get("ctx", {})) if known else wrong["msg"].removeprefix("Input should be ")
    if wrong["type"] in ("too_short", "too_long"):
        return f"{name} has {counted(len(wrong['input']), 'entry', 'entries')}; right is {right}"
    return f"{name} is {_shown(wrong['input'])}; right is {right}"


def _place(names: Sequence[str | int]) -> str:
    """Write where a value stands, as in visitors[0].history."""
    return "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in names).removeprefix(".")


def _shown(value: object) -> str:
    """Return the beginning of a value as clients write it; of a list or an object its kind."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if type(value) in KINDS:
        return KINDS[type(value)]
    text = repr(value[: LONGEST_SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


class Utf8Path:
    """An application whose paths are UTF-8: ids of other bytes would all be read as the same replacement."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a path that is no UTF-8, or pass the request on."""
        is_wrong = "\ufffd" in scope.get("path", "") and b"%EF%BF%BD" not in scope["raw_path"].upper()
        await (_refusal(422, NO_UTF8) if is_wrong else self.app)(scope, receive, send)
