"""The form of each value in manifest.json, checked before anything else is read."""

import math
import re
from collections.abc import Callable
from typing import Any, TypeGuard

__all__ = [
    "find_fault",
    "find_lone_surrogate",
    "is_count",
    "is_finite",
    "is_share",
    "is_text",
    "is_texts",
    "is_version",
]

MOST_COUNT = 2**31 - 1  # of items, whose rows are int32, and of all else that is counted
MOST_NUMBER = 1e18  # so that no sum or product of two overflows in float32
SURROGATE = re.compile("[\ud800-\udfff]")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def is_version(value: object) -> bool:
    """Tell whether this can name a bundle: a folder's name, no path, not hidden, not empty."""
    return isinstance(value, str) and VERSION.fullmatch(value) is not None


def is_count(value: object) -> TypeGuard[int]:
    """Tell whether this is a whole number above 0 that int32 holds; JSON's true is not."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_COUNT


def is_finite(value: object) -> TypeGuard[float]:
    """Tell whether this is a number that float64 holds; JSON's true is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # of whole numbers, which JSON may have of any length
        return False


def is_share(value: object) -> TypeGuard[float]:
    """Tell whether this is a number from 0 to 1."""
    return is_finite(value) and 0 <= value <= 1


def _is_object(value: object) -> bool:
    """Tell whether this is a JSON object."""
    return isinstance(value, dict)


def _is_data(value: object) -> bool:
    """Tell whether this can say where the data came from.

    Bundles of before have no rule for what counts as a behaviour in it.
    """
    return isinstance(value, dict) and isinstance(value.get("behaviours", ""), str)


def _is_fields(value: object) -> bool:
    """Tell whether this is an object of field -> list of texts."""
    return isinstance(value, dict) and all(is_texts([name]) and is_texts(values) for name, values in value.items())


def _is_numbers(value: object) -> bool:
    """Tell whether this is a list of numbers, none of them so large that scores overflow."""
    return isinstance(value, list) and all(is_finite(one) and abs(one) <= MOST_NUMBER for one in value)


def is_text(value: object) -> bool:
    """Tell whether this is a text that UTF-8 can write, without lone surrogates."""
    return isinstance(value, str) and (value.isascii() or SURROGATE.search(value) is None)


def is_texts(value: object) -> bool:
    """Tell whether this is a list of texts."""
    return isinstance(value, list) and all(map(is_text, value))


def find_lone_surrogate(content: object, where: str = "") -> str | None:
    """Return where in JSON a text is that UTF-8 cannot write; None: nowhere."""
    if isinstance(content, str):
        return None if is_text(content) else where
    pairs: list[tuple[str, object]] = []
    if isinstance(content, dict):
        bad = next((name for name in content if not is_text(name)), None)
        if bad is not None:
            return f"{where}.{bad!r}".lstrip(".")
        pairs = [(f"{where}.{name}".lstrip("."), value) for name, value in content.items()]
    elif isinstance(content, list):
        pairs = [(f"{where}[{place}]", value) for place, value in enumerate(content)]
    return next((found for place, value in pairs if (found := find_lone_surrogate(value, place)) is not None), None)


def _is_files(value: object) -> bool:
    """Tell whether this lists files of one folder with their sizes and checksums."""
    return isinstance(value, dict) and all(is_version(name) and _is_file(entry) for name, entry in value.items())


def _is_file(entry: object) -> bool:
    """Tell whether this is the manifest's entry for one file."""
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("bytes"), int)
        and re.fullmatch(r"[0-9a-f]{64}", str(entry.get("sha256"))) is not None
    )


FIELDS = (_is_fields, "an object of field -> list of texts")
OBJECT = (_is_object, "an object")
COUNT = (is_count, f"a whole number above 0, at most {MOST_COUNT:,}")
FORM: dict[str, tuple[Callable[[object], bool], str]] = {
    "version": (is_version, "1 to 128 letters, digits, '.', '_' and '-', of which the first is a letter or digit"),
    "items": COUNT,
    "dim": COUNT,
    "num_interests": COUNT,
    "history_length": COUNT,
    "profile_fields": FIELDS,
    "feature_fields": FIELDS,
    "model": OBJECT,
    "data": (_is_data, "an object, with text as behaviours if it has these"),
    "metrics": OBJECT,
    "index": OBJECT,
    "repeat_bonus": (_is_numbers, f"a list of numbers of at most {MOST_NUMBER:.0e}"),
    "files": (_is_files, 'an object of file name (no path) -> {"bytes": ..., "sha256": ...}'),
}


def find_fault(content: dict[str, Any]) -> str | None:
    """Return the first fault in a manifest's values as a sentence, or None."""
    for name, (is_right, right) in FORM.items():
        if name in content and not is_right(content[name]):
            return f"{name} is {str(content[name])[:100]!r}; right is {right}"
    return None
