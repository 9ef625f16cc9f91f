"""Values of any type as ids and words."""

import json
import math
from datetime import date
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

import msgspec

from mindstream.parsing.ids import clean_id, clean_text

__all__ = ["id_of", "known_id", "number_of", "shown", "text_of", "word_of"]

_LONGEST_SHOWN = 60


@lru_cache(maxsize=100_000)
def known_id(value: str | int) -> str | None:
    """Return the id in a text or a whole number; None if it is missing."""
    return clean_id(value if isinstance(value, str) else str(value))


def id_of(value: object) -> str | None:
    """Return the id in a value of any type; None if there is none.

    Objects, lists, true and false are no ids.
    """
    if isinstance(value, bool):
        return None
    text = text_of(value)
    return None if text is None else clean_id(text)


def word_of(value: object) -> str | None:
    """Return a value of any type as text without blanks around it; None if there is none."""
    return clean_text(text_of(value))


def text_of(value: object) -> str | None:
    """Return a value as text, whole numbers without a fraction; None for objects and lists."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 1e38 else repr(value)
    if isinstance(value, Decimal):
        plain = f"{value:f}"
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    if isinstance(value, bytes):
        return _text_in(value)
    return str(value) if isinstance(value, (str, int, UUID, date)) else None


def _text_in(value: bytes) -> str:
    """Return the text in bytes, or their digits in hexadecimal: such as a UUID of 16 bytes."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value.hex()
    return text if text.isprintable() else value.hex()


def number_of(value: object) -> float | None:
    """Return the finite number in a value, also in text with a decimal comma, or None."""
    try:
        number = float((text_of(value) or "").replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def shown(value: object) -> str:
    """Return a value for messages, at most some characters of it.

    Nothing, true, false, objects and lists are written as JSON has them.
    """
    if isinstance(value, (dict, list, bool)) or value is None:
        try:
            text = msgspec.json.encode(value).decode()
        except (TypeError, ValueError, RecursionError):
            text = repr(value)
    elif isinstance(value, float) and not math.isfinite(value):
        text = json.dumps(value)
    else:
        text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
