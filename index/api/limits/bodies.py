"""Bodies of requests, read in a time that grows with their bytes alone, whatever is wrong with them."""

import json
from typing import Annotated, Any

import msgspec
from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticKnownError

__all__ = ["Body", "JsonRequest", "Text", "at_most"]

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
    """A request whose JSON is read by msgspec, in a fifth of the time."""

    async def json(self) -> Any:
        """Read the body as JSON; the standard library says what is wrong, as FastAPI expects."""
        if not hasattr(self, "_json"):
            body = await self.body()
            try:
                self._json = msgspec.json.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._json = json.loads(body)
        return self._json
