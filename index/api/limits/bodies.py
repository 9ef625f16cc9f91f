"""Bodies of requests, read in a time that grows with their bytes alone, whatever is wrong with them."""

import json
import re
from typing import Annotated, Any

from fastapi import HTTPException, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticKnownError, from_json

__all__ = ["SMALL", "Body", "JsonRequest", "Text", "at_most"]

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


def at_most(most: int) -> BeforeValidator:
    """Return a check that an object has so many entries at most, before it looks at any."""

    def check(given: Any) -> Any:
        if isinstance(given, dict) and len(given) > most:
            sizes = {"field_type": "Dictionary", "max_length": most, "actual_length": len(given)}
            raise PydanticKnownError("too_long", sizes)
        return given

    return BeforeValidator(check)


class JsonRequest(Request):
    """A request whose JSON is read in some milliseconds at most, in which nobody else is answered."""

    async def json(self) -> Any:
        """Read the body as JSON.

        Raises
        ------
        json.JSONDecodeError
            If it is none; HTTPException, 413, if it has too many parts.
        """
        if not hasattr(self, "_json"):
            self._json = _decoded(await self.body())
        return self._json


def _decoded(body: bytes) -> Any:
    """Decode JSON that has not too many parts."""
    _check_parts(body)
    try:
        return from_json(body, cache_strings="keys")  # msgspec is no slower, but takes 8 us for some numbers
    except ValueError as error:
        if len(body) <= SMALL:
            return json.loads(body)  # which says what is wrong, and takes what is nested more deeply
        raise _fault(body, str(error)) from None


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


def _fault(body: bytes, said: str) -> json.JSONDecodeError:
    """Return the error that FastAPI expects for a body that is no JSON."""
    what, line, column = re.findall(r"(.*) at line (\d+) column (\d+)$", said)[0]
    before = len(body) - len(body.split(b"\n", int(line) - 1)[-1])
    return json.JSONDecodeError(what, "", before + int(column) - 1)
