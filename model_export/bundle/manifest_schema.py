"""The form of each value in manifest.json, checked before anything else is read."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from typing import Any, TypeGuard

from model_export.bundle.ranking.ranker_settings import RankerSettings
from model_export.bundle.scoring.neighbours import Blend

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


def _is_list(value: object) -> bool:
    """Tell whether this is a JSON list."""
    return isinstance(value, list)


def _is_number(value: object) -> bool:
    """Tell whether this is a number that is not so large that scores overflow."""
    return is_finite(value) and abs(value) <= MOST_NUMBER


def is_text(value: object) -> bool:
    """Tell whether this is a text that UTF-8 can write, without lone surrogates."""
    return isinstance(value, str) and (value.isascii() or SURROGATE.search(value) is None)


def is_texts(value: object) -> TypeGuard[list[str]]:
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


def _is_file(entry: object) -> bool:
    """Tell whether this is the manifest's entry for one file."""
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("bytes"), int)
        and not isinstance(entry["bytes"], bool)
        and entry["bytes"] >= 0
        and re.fullmatch(r"[0-9a-f]{64}", str(entry.get("sha256"))) is not None
    )


def _are_types(value: object) -> bool:
    """Tell whether this is a list of event types as a rule names them, each once."""
    return is_texts(value) and len(set(value)) == len(value) and all(one and one == one.lower() for one in value)


def _are_numbers(value: object) -> bool:
    """Tell whether this is a list of numbers."""
    return isinstance(value, list) and all(map(_is_number, value))


NAME = "1 to 128 letters, digits, '.', '_' and '-', of which the first is a letter or digit"
TEXT = "text that UTF-8 can write"
FIELDS = (_is_object, "an object of field -> list of texts")
OBJECT = (_is_object, "an object")
COUNT = (is_count, f"a whole number above 0, at most {MOST_COUNT:,}")
FORM: dict[str, tuple[Callable[[object], bool], str]] = {
    "version": (is_version, NAME),
    "items": COUNT,
    "dim": COUNT,
    "num_interests": COUNT,
    "history_length": COUNT,
    "profile_fields": FIELDS,
    "feature_fields": FIELDS,
    "model": OBJECT,
    "data": OBJECT,
    "metrics": OBJECT,
    "index": OBJECT,
    "repeat_bonus": (_is_list, "a list of numbers"),
    "blend": (_is_object, "an object of setting -> number"),
    "event_types": (_are_types, "a list of different texts in lower case, none of them empty"),
    "ranker": (_is_object, "an object"),
    "files": (_is_object, 'an object of file name -> {"bytes": ..., "sha256": ...}'),
}


RANKER_FORM: dict[str, tuple[Callable[[object], bool], str]] = {
    "name": (is_text, TEXT),
    "dim": COUNT,
    "tasks": (is_texts, "a list of texts"),
    "task_weights": (_are_numbers, "a list of numbers"),
    "history_length": COUNT,
    "candidates": COUNT,
    "reads": (is_texts, "a list of texts"),
    "features": (is_texts, "a list of texts"),
    "metrics": OBJECT,
}


def _faults_in_files(name: str, files: dict[str, object]) -> Iterator[str]:
    """Yield what is wrong with the list of the files of one folder."""
    for file, entry in files.items():
        if not is_version(file):
            yield f"{name} has the name {_shown(file)}; right is a file of the bundle's own folder: {NAME}"
        elif not _is_file(entry):
            yield f'{name}.{file} is {_shown(entry)}; right is {{"bytes": its size, "sha256": 64 digits 0-9a-f}}'


def _faults_in_fields(name: str, fields: dict[str, object]) -> Iterator[str]:
    """Yield what is wrong with the values of fields."""
    for field, values in fields.items():
        if not is_text(field):
            yield f"{name} has the name {_shown(field)}; right is {TEXT}"
        elif not isinstance(values, list):
            yield f"{name}.{field} is {_shown(values)}; right is a list of texts"
        else:
            yield from _faults_in_list(f"{name}.{field}", values, is_text, TEXT)


def _faults_in_list(name: str, values: list[Any], is_right: Callable[[object], bool], right: str) -> Iterator[str]:
    """Yield what is wrong with the entries of a list."""
    return (f"{name}[{n}] is {_shown(one)}; right is {right}" for n, one in enumerate(values) if not is_right(one))


def _faults_in_data(name: str, data: dict[str, object]) -> Iterator[str]:
    """Yield what is wrong with where the data came from.

    Bundles of before have no rule for what counts as a behaviour in it.
    """
    rule = data.get("behaviours", "")
    if not isinstance(rule, str):
        yield f"{name}.behaviours is {_shown(rule)}; right is text"


def _faults_in_blend(name: str, blend: dict[str, object]) -> Iterator[str]:
    """Yield what is wrong with how neighbours count."""
    if not blend:
        return
    for setting in fields(Blend):
        value = blend.get(setting.name)
        if not _is_number(value) or (setting.name == "length" and not isinstance(value, int)):
            yield f"{name}.{setting.name} is {_shown(value)}; right is a {'whole ' * (setting.name == 'length')}number"
    if unknown := sorted(blend.keys() - {setting.name for setting in fields(Blend)}):
        yield f"{name} has the name {_shown(unknown[0])}; right are {', '.join(one.name for one in fields(Blend))}"
    try:
        Blend(**blend)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        yield f"{name}: {error}"


def _faults_in_ranker(name: str, ranker: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with what the second stage is."""
    if not ranker:
        return
    known = {setting.name for setting in fields(RankerSettings)}
    if unknown := sorted(ranker.keys() - known):
        yield f"{name} has the name {_shown(unknown[0])}; right are {', '.join(sorted(known))}"
        return
    for setting, (is_right, right) in RANKER_FORM.items():
        if setting in ranker and not is_right(ranker[setting]):
            yield f"{name}.{setting} is {_shown(ranker[setting])}; right is {right}"
            return
    try:
        RankerSettings(**ranker)
    except (TypeError, ValueError) as error:
        yield f"{name}: {error}"


# What is looked for within a value that has its form: the part that is wrong is named, and not one beside it.
WITHIN: dict[str, Callable[[str, Any], Iterator[str]]] = {
    "profile_fields": _faults_in_fields,
    "feature_fields": _faults_in_fields,
    "data": _faults_in_data,
    "blend": _faults_in_blend,
    "ranker": _faults_in_ranker,
    "repeat_bonus": partial(_faults_in_list, is_right=_is_number, right=f"a number of at most {MOST_NUMBER:.0e}"),
    "files": _faults_in_files,
}


def find_fault(content: dict[str, Any]) -> str | None:
    """Return the first fault in a manifest's values as a sentence, or None."""
    for name, (is_right, right) in FORM.items():
        if name not in content:
            continue
        if not is_right(content[name]):
            return f"{name} is {_shown(content[name])}; right is {right}"
        if name in WITHIN and (fault := next(WITHIN[name](name, content[name]), None)) is not None:
            return fault
    return None


def _shown(value: object) -> str:
    """Return the beginning of a value, in quotes."""
    return repr(str(value)[:100])
