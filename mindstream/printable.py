"""Text that others wrote, fit for a terminal: nothing in it moves the cursor or hides what stands beside it."""

import json
from collections.abc import Callable

__all__ = ["escaped", "json_escape", "json_line", "printable"]


def printable(text: str) -> str:
    """Escape every character of a text that cannot be seen, as in Python's literals."""
    return escaped(text, lambda one: one.encode("unicode_escape").decode())


def json_line(value: object) -> str:
    """Write a value as one line of JSON that people can read too.

    Letters stay as they are; characters that cannot be seen are escaped.
    """
    return escaped(json.dumps(value, ensure_ascii=False), json_escape)


def json_escape(character: str) -> str:
    """Escape one character as JSON does.

    DEL too, which json.dumps leaves alone; characters above the basic plane become two escapes.
    """
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def escaped(text: str, escape: Callable[[str], str]) -> str:
    """Apply `escape` to every character of a text that cannot be seen."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else escape(one) for one in text)
