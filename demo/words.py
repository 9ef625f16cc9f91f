"""Text for people: product titles are data, not Markdown."""

import re
from datetime import timedelta

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")


def plain(text: str) -> str:
    """Text that Streamlit's Markdown shows as it is, in one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def price(value: float | None) -> str:
    """A price without currency, which logs do not tell; empty where it is unknown."""
    return "" if value is None else f"{value:,.2f}"


def age(passed: timedelta) -> str:
    """How long ago, in the unit that fits."""
    seconds = max(0, int(passed.total_seconds()))
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' * (count != 1)}"
    return f"{seconds} s"


def first_few(titles: list[str], most: int) -> str:
    """The first titles, and how many more there are."""
    more = len(titles) - most
    return ", ".join(titles[:most]) + (f" and {more} more" if more > 0 else "")
