"""Text for people: product titles are data, not Markdown."""

import re
from datetime import timedelta

__all__ = ["age", "escape_markdown", "price"]

UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")


def escape_markdown(text: str) -> str:
    """Return text that Streamlit's Markdown shows as it is, in one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def price(value: float | None) -> str:
    """Write a price without currency, which logs do not tell; empty if it is unknown."""
    return "" if value is None else f"{value:,.2f}"


def age(passed: timedelta) -> str:
    """Write how long ago something was, in the unit that fits."""
    seconds = max(0, int(passed.total_seconds()))
    unit, length = next((one for one in UNITS if seconds >= one[1]), ("s", 1))
    return f"{seconds // length} {unit}"
