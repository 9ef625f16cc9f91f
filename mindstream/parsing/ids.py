"""Ids and words as people write them, in logs and in topics."""

import json
import re

__all__ = ["BLANKS", "MISSING", "clean_id", "clean_text"]

# What stands for a missing id, in any case. Of categories and titles it does not: NA is Namibia's code, and a brand.
MISSING = frozenset(
    (
        *("na", "n/a", "#n/a", "<na>", "nan", "nil", "none", "null", "(null)", "undefined", "(not set)", "not set"),
        *("unknown", "\\n", "-", "--"),
    )
)
LONGEST_MISSING = max(map(len, MISSING))
BLANKS = "".join(chr(one) for one in range(0x3001) if chr(one).isspace()) + "\u200b\u2060\ufeff"


def clean_text(cell: str | None) -> str | None:
    """Return a cell without blanks around it; None if nothing is left."""
    return (cell.strip(BLANKS) or None) if cell else None


def clean_id(cell: str | None) -> str | None:
    """Return an id without blanks around it and 12.0 as 12; None if it is missing.

    An object of JSON is no id.
    """
    word = clean_text(cell)
    if (
        word is None
        or (word[0] == "{" and _is_object(word))
        or (len(word) <= LONGEST_MISSING and word.lower() in MISSING)
    ):
        return None
    # Integers with gaps are floats to pandas, and it writes them so.
    return re.sub(r"^([-+]?[0-9]+)\.0+$", r"\1", word) if word.endswith("0") else word


def _is_object(word: str) -> bool:
    try:
        return isinstance(json.loads(word), dict)
    except ValueError:
        return False
