"""The SQL that reads times as they are written."""

from mindstream.parsing.writings import ZONES, Writing
from model_export.readers.times.cells import literal, matches

__all__ = ["floored", "is_written_so", "milliseconds"]

_YEAR_AND_TWO, _SWAPPED = r"^(\d{4}[-/])(\d{1,2})([-/])(\d{1,2})", r"\1\4\3\2"


def is_written_so(writing: Writing, text: str) -> str:
    """Write the condition that a text is written so."""
    return matches(text, writing.pattern)


def milliseconds(writing: Writing, text: str, order: int = 0) -> str:
    """Write the SQL of a text's time in milliseconds; NULL if it is not in this order."""
    if writing.cast:
        if order:
            text = f"regexp_replace({text}, {literal(_YEAR_AND_TWO)}, {literal(_SWAPPED)})"
        return f"(epoch_us(TRY_CAST({text} AS {writing.cast})) // 1000)"
    if order >= len(writing.formats):
        return "NULL::BIGINT"
    chosen = writing.formats[order]
    parsed = f"try_strptime({text}, {literal(chosen)})"
    shift = f" - {ZONES[writing.zone] * 60_000}" if ZONES.get(writing.zone) else ""
    return f"({floored(parsed, chosen)}{shift})"


def floored(parsed: str, time_format: str) -> str:
    """Write the SQL of a parsed timestamp's milliseconds, without rounding up.

    epoch_ms rounds, and so does a cast from nanoseconds.
    """
    return f"epoch_ns({parsed}) // 1000000" if "%n" in time_format else f"epoch_us({parsed}) // 1000"
