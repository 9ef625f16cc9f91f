"""The form of each value in manifest.json, checked before anything else is read."""

import math
import re
from collections.abc import Callable
from typing import Any

__all__ = ["find_fault", "is_count", "is_texts", "is_version"]

VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def is_version(value: object) -> bool:
    """Tell whether this can name a bundle: a folder's name, no path, not hidden, not empty."""
    return isinstance(value, str) and VERSION.fullmatch(value) is not None


def is_count(value: object) -> bool:
    """Tell whether this is a whole number above 0; JSON's true is not."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


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
    return isinstance(value, dict) and all(is_texts(values) for values in value.values())


def _is_numbers(value: object) -> bool:
    """Tell whether this is a list of finite numbers."""
    return isinstance(value, list) and all(
        isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in value
    )


def is_texts(value: object) -> bool:
    """Tell whether this is a list of strings."""
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


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
COUNT = (is_count, "a whole number above 0")
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
    "repeat_bonus": (_is_numbers, "a list of finite numbers"),
    "files": (_is_files, 'an object of file name (no path) -> {"bytes": ..., "sha256": ...}'),
}


def find_fault(content: dict[str, Any]) -> str | None:
    """Return the first fault in a manifest's values as a sentence, or None."""
    for name, (is_right, right) in FORM.items():
        if name in content and not is_right(content[name]):
            return f"{name} is {str(content[name])[:100]!r}; right is {right}"
    return None
