"""Text for people: product titles are data, not Markdown."""

import re

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")


def plain(text: str) -> str:
    """Text that Streamlit's Markdown shows as it is, in one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def price(value: float | None) -> str:
    """A price without currency, which logs do not tell; empty where it is unknown."""
    return "" if value is None else f"{value:,.2f}"
