"""Text that others wrote, fit for a terminal: nothing in it moves the cursor or hides what stands beside it."""

import json
from collections.abc import Callable

__all__ = ["escaped", "json_escape", "json_line", "printable"]


def printable(text: str) -> str:
    """The text with every character that cannot be seen as an escape, such as \\x1b or \\u202e."""
    return escaped(text, lambda one: one.encode("unicode_escape").decode())


def json_line(value: object) -> str:
    """A value as JSON in one line, to be read by people too: letters as they are, what cannot be seen as \\u...."""
    return escaped(json.dumps(value, ensure_ascii=False), json_escape)


def json_escape(character: str) -> str:
    """One character as JSON escapes it: DEL, which json.dumps leaves alone, and those above as one or two \\u."""
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def escaped(text: str, escape: Callable[[str], str]) -> str:
    """The text with `escape` of every character that cannot be seen."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else escape(one) for one in text)
