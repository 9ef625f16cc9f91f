"""The formats that people give for times: strptime formats, and units of numbers."""

import re

__all__ = ["RIGHT", "UNIT_NAMES", "digits_of", "named_unit", "plain_format"]

UNIT_NAMES = ("seconds", "milliseconds", "microseconds", "nanoseconds", "days", "excel")

# Directives of Python and C that DuckDB does not know, or knows as something else.
_TRANSLATED = {
    **{"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%D": "%m/%d/%y", "%e": "%d", "%h": "%b", "%k": "%H"},
    **{"%l": "%I", "%x": "%m/%d/%y", "%X": "%H:%M:%S", "%c": "%a %b %d %H:%M:%S %Y", "%:z": "%z"},
}
_KNOWN = {f"%{one}" for one in "aAbBdfgGHIjmMnpSuUVwWyYzZ%"} | {f"%-{one}" for one in "dHIjmMSy"}
_WIDTHS = {"%Y": 4, "%y": 2, "%m": 2, "%d": 2, "%H": 2, "%M": 2, "%S": 2, "%j": 3, "%g": 3}
RIGHT = (
    f"right are {', '.join(UNIT_NAMES)}, or a strptime format of Python's or DuckDB's directives "
    f"({' '.join(sorted({*(one for one in _KNOWN if len(one) == 2), *_TRANSLATED}))}), such as %d.%m.%Y %H:%M"
)

_SUFFIXES = {
    "seconds": ("_s", "_sec", "_secs", "_seconds"),
    "milliseconds": ("_ms", "_msec", "_millis", "_milliseconds"),
    "microseconds": ("_us", "_usec", "_micros", "_microseconds"),
    "nanoseconds": ("_ns", "_nsec", "_nanos", "_nanoseconds"),
}


def plain_format(time_format: str, option: str = "--time-format") -> str:
    """Return a strptime format without the directives that stand for several others.

    Parameters
    ----------
    option : what gave the format, for messages.

    Raises
    ------
    ValueError
        If it has no directive, an unknown one, or no year; says what would be right.
    """
    directives = re.findall(r"%(?:[-:]?.)?", time_format, re.DOTALL)
    if not directives:
        raise ValueError(f"{option} {time_format!r} has no directive: {RIGHT}")
    for directive in directives:
        if directive not in _KNOWN and directive not in _TRANSLATED:
            raise ValueError(f"{option} {time_format!r} has {directive!r}, which is no directive: {RIGHT}")
    translated = re.sub(r"%[-:]?.", lambda found: _TRANSLATED.get(found.group(), found.group()), time_format)
    if not re.search(r"%-?[yYG]", translated.replace("%%", "")):
        raise ValueError(f"{option} {time_format!r} has no year (%Y or %y), so it gives no times: {RIGHT}")
    return translated


def digits_of(time_format: str) -> int:
    """Return how many digits a format of digits alone has; 0 for others."""
    directives = re.findall(r"%-?.", time_format)
    is_digits = "".join(directives) == time_format and all(one in _WIDTHS for one in directives)
    return sum(_WIDTHS[one] for one in directives) if is_digits else 0


def named_unit(name: str) -> str | None:
    """Return the unit that a column's name ends in."""
    spelled = "".join(f"_{one.lower()}" if one.isupper() else one for one in name)  # timeMs -> time_ms
    ends = (name.lower(), spelled)
    return next((unit for unit, ours in _SUFFIXES.items() if any(one.endswith(ours) for one in ends)), None)
