"""Bodies of requests, read in a time that grows with their bytes alone, whatever is wrong with them."""

import json
import re
import sys
from typing import Annotated, Any

from fastapi import HTTPException, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticKnownError, from_json

from index.api.errors import MOST_BYTES, TOO_LARGE

__all__ = ["SMALL", "Body", "JsonBody", "JsonRequest", "Text", "at_most"]

# Of a body: a thousand items with a dozen attributes each have fewer, and a hundred visitors of a thousand behaviours.
MOST_PARTS, MOST_COMMAS = 30_000, 150_000
SMALL = 8_192  # bytes that the standard library reads in no time, whatever they are
# With a bound, pydantic looks at the characters too: half of a pair of UTF-16 can be written nowhere.
Text = Annotated[str, Field(min_length=0)]


class Body(BaseModel):
    """The fields of a body, a part of one, or a query; a name that is not known is refused.

    A misspelt option would do nothing. Of many such names only the first is looked at: pydantic would describe each,
    which takes seconds in which nobody else is answered. For the same reason lists are to be `FailFast`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _with_one_unknown_name(cls, given: Any) -> Any:
        """Leave out all unknown names but the first."""
        if not isinstance(given, dict):
            return given
        known = cls.model_fields
        first = next((name for name in given if name not in known), None)
        return given if first is None else {name: given[name] for name in (*known, first) if name in given}


class JsonBody(Body):
    """Fields that are read from JSON, which has kinds of its own: neither true nor "1" is the number 1."""

    model_config = ConfigDict(strict=True)


def at_most(most: int) -> BeforeValidator:
    """Return a check that an object has so many entries at most, before it looks at any."""

    def check(given: Any) -> Any:
        if isinstance(given, dict) and len(given) > most:
            sizes = {"field_type": "Dictionary", "max_length": most, "actual_length": len(given)}
            raise PydanticKnownError("too_long", sizes)
        return given

    return BeforeValidator(check)


class JsonRequest(Request):
    """A request whose body is bounded, and whose JSON is read in some milliseconds at most."""

    def check_head(self) -> None:
        """Check what the headers say of the body.

        Raises
        ------
        HTTPException
            If it is too large, 413; if it is compressed, 415.
        """
        length, coding = self.headers.get("content-length", ""), self.headers.get("content-encoding", "identity")
        if length.isdigit() and int(length) > MOST_BYTES:
            raise HTTPException(413, TOO_LARGE)
        if coding.strip().lower() != "identity":
            raise HTTPException(
                415, f"the header Content-Encoding is {coding[:50]!r}; right is a body as it is, without that header"
            )

    async def body(self) -> bytes:
        """Read the body; raise HTTPException as soon as it is too large, 413."""
        if not hasattr(self, "_body"):
            pieces, size = [], 0
            async for piece in self.stream():
                size += len(piece)
                if size > MOST_BYTES:
                    raise HTTPException(413, TOO_LARGE)
                pieces.append(piece)
            self._body = b"".join(pieces)
        return self._body

    async def json(self) -> Any:
        """Read the body as JSON; if it is none, the error is of the kind that FastAPI expects.

        Raises
        ------
        HTTPException
            If it is not UTF-8, nested too deeply, or holds a number that is too long, 400; if it has too many parts,
            413.
        """
        if not hasattr(self, "_json"):
            body = await self.body()
            _check_parts(body)
            try:
                self._json = from_json(body, cache_strings="keys")  # msgspec takes 8 us for some numbers
            except ValueError as error:
                self._json = _read_slowly(body, str(error))
        return self._json


def _check_parts(body: bytes) -> None:
    """Refuse a body of too many parts, be they of its texts: each becomes an object."""
    dense = body.translate(None, b" \t\r\n")
    lists, commas = (len(dense) - len(dense.translate(None, part)) for part in (b"[{", b","))  # quick if there are many
    names = dense.count(b'":')
    if names + lists > MOST_PARTS or commas > MOST_COMMAS:
        raise HTTPException(
            413,
            f"the body has {names:,} names, {lists:,} lists and objects and {commas:,} commas, which is too much to "
            f"read at once; right are at most {MOST_PARTS:,} of the first three together, and {MOST_COMMAS:,} commas",
        )


def _read_slowly(body: bytes, fault: str) -> Any:
    """Read JSON that was not taken, for this fault, or say what is wrong with it."""
    try:
        text = body.decode()
        if len(body) > SMALL:
            raise _error_of(fault, body)
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except UnicodeDecodeError as error:
        said = (
            f"the body is no UTF-8: it has the byte {body[error.start]:#04x} at {error.start:,}; right is JSON as UTF-8"
        )
    except RecursionError:
        said = "the body is nested too deeply; /docs says what is right"
    except ValueError:
        said = f"the body has a number of more than {sys.get_int_max_str_digits():,} digits; /docs says what is right"
    raise HTTPException(400, said)


def _error_of(fault: str, body: bytes) -> Exception:
    """Return the error by which the standard library would say a fault of pydantic's parser."""
    what, line, column = re.findall(r"(.*) at line (\d+) column (\d+)$", fault)[0]
    if what == "recursion limit exceeded":
        return RecursionError(what)
    if what == "number out of range":
        return ValueError(what)
    begin = len(body) - len(body.split(b"\n", int(line) - 1)[-1])
    before = body[: begin + int(column) - 1]
    return json.JSONDecodeError(what, "", len(before.decode(errors="replace")))
