"""Writings of times as text: a pattern for the texts, and the strptime formats that read them."""

import re
from dataclasses import dataclass

from mindstream.parsing.ids import BLANKS

__all__ = [
    "CLOCK",
    "ISO",
    "ISO_OFFSET",
    "ODD_BLANKS",
    "ORDERS",
    "TIDY",
    "YEAR_FIRST",
    "ZONES",
    "Writing",
    "tidied",
    "writing_of",
]

# Minutes from UTC: RFC 5322, section 4.3, and Europe's and East Asia's. CST, IST and BST have several meanings.
ZONES = {
    **{"UTC": 0, "GMT": 0, "UT": 0, "Z": 0, "z": 0, "WET": 0, "WEST": 60, "CET": 60, "CEST": 120, "EET": 120},
    **{"EEST": 180, "MSK": 180, "JST": 540, "KST": 540, "EST": -300, "EDT": -240, "CDT": -300, "MST": -420},
    **{"MDT": -360, "PST": -480, "PDT": -420},
}

ORDERS = ("day first", "month first", "year first")
# The kinds of a date's parts, in their order -> directives: n one or two digits, Y four, M a month's name, C a date in
# eight digits, S one with its time. Several if day and month, or the year, may change places: in the order of ORDERS.
_DATES = {
    "Ynn": ("%Y %m %d", "%Y %d %m"),
    "Ynnn": ("%Y %m %d %H", "%Y %d %m %H"),
    "YMn": ("%Y %b %d",),
    "nMY": ("%d %b %Y",),
    "MnY": ("%b %d %Y",),
    "nMn": ("%d %b %y",),
    "Mnn": ("%b %d %y",),
    "nnY": ("%d %m %Y", "%m %d %Y"),
    "nnn": ("%d %m %y", "%m %d %y", "%y %m %d"),
    "C": ("",),
    "S": ("",),
}
YEAR_FIRST = "Y"  # the separator of all dates with a year of four digits first: month and day may change places
_SHORT_YEARS = ("nMn", "Mnn", "nnn")

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NAMES = {
    "%B": tuple(name.lower() for name in _MONTHS),
    "%b": tuple(name[:3].lower() for name in _MONTHS),  # of the two for May the last counts
    "%A": tuple(name.lower() for name in _DAYS),
    "%a": tuple(name[:3].lower() for name in _DAYS),
}
_DIRECTIVES = {name: directive for directive, names in _NAMES.items() for name in names}

CLOCK = r"(\d{1,2}):(\d{2})(?::(\d{2})(?:([.,:])(\d{1,9}))?)?(?:( ?)([AaPp][Mm]))?(?![\d:])"
_TOKENS = {
    "clock": re.compile(CLOCK),
    "compact": re.compile(r"(\d{8})(?:([T _-]?)(\d{6}|\d{4})(?:([.,])(\d{1,9}))?)?(?![\d:])"),
    "number": re.compile(r"(?:\d{4}|\d{1,2})(?!\d)"),
    "region": re.compile(r"[A-Z][A-Za-z]+/[A-Za-z_/]+"),
    "word": re.compile(r"[A-Za-z]+"),
    "between": re.compile(r"[-/.,:_年月日]| +"),
}
_OFFSET = re.compile(r"[+-]\d\d(?::?\d\d)?(?![\d:])")


ODD_BLANKS = BLANKS.replace(" ", "") + "\u200e\u200f "  # and marks of direction

# Pattern, and what stands in its place everywhere; in this order.
TIDY = (
    (f"[{ODD_BLANKS}]+", " "),
    (r"^ ?\\?/Date\((-?\d+)(?:[+-]\d{4})?\)\\?/ ?$", r"\1"),  # .NET's JSON: milliseconds
    (r"\[[A-Za-z_]+/[A-Za-z_/]+\]$", ""),  # Java: the region behind an offset
    (r" ?\([^()]*\) *$", ""),  # JavaScript: the zone's name behind an offset
    (r"""^[ \["'(]+|[ \]"');,.]+$""", ""),
    (r"(?i) ?\b([ap])\. ?m\b\.?", r" \1m"),
    (r"(?i)(\d)(?:st|nd|rd|th)\b", r"\1"),
    (r"(?i)\b(jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.", r"\1"),
    (r"(?i)\bsept\b", "Sep"),
    (r"(\d{4}\D*) at (\d)", r"\1 \2"),
    (r"(UTC|GMT)([+-])(\d)$", r"\1\20\3"),
    (r"^(\d{9,}),(\d+)$", r"\1.\2"),
    (r"^(\d{4}):(\d\d):(\d\d)\b", r"\1-\2-\3"),  # cameras
)


@dataclass(frozen=True)
class Writing:
    """One way to write a time.

    Attributes
    ----------
    pattern : matches the whole cells that are written so.
    formats : strptime formats, several if the order of day, month and year is open: in the order of ORDERS. Empty:
        `cast` reads it.
    separator : between the numbers of a date in an open order, YEAR_FIRST if its year is first; those with the same
        are in one order.
    zone : name of the zone that is literal in the format; "" if there is none.
    cast : type that reads it without a format.
    """

    pattern: str
    formats: tuple[str, ...] = ()
    separator: str = ""
    zone: str = ""
    cast: str = ""


# DuckDB casts these faster than by a format, and all lengths alike. A cast to TIMESTAMP forgets offsets, so the pattern
# lets none in; one to TIMESTAMPTZ needs one, or it would take the session's zone.
_ISO_DATE = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}"
_ISO_CLOCK = r"[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?"
ISO = Writing(rf"{_ISO_DATE}(?:{_ISO_CLOCK}(?:Z| Z| UTC| GMT)?)?", (), YEAR_FIRST, cast="TIMESTAMP")
ISO_OFFSET = Writing(rf"{_ISO_DATE}{_ISO_CLOCK}[+-]\d\d(?::?\d\d)?", (), YEAR_FIRST, cast="TIMESTAMPTZ")


def tidied(text: str) -> str:
    """Return a text without odd blanks, quotes, brackets, and the th of 15th."""
    for pattern, instead in TIDY:
        text = re.sub(pattern, re.sub(r"\\(\d)", r"\\g<\1>", instead), text)
    return text


@dataclass(frozen=True)
class _Part:
    """Part of a cell: its kind, how a format writes it (a number: itself), its pattern."""

    kind: str
    written: str
    pattern: str


def writing_of(cell: str) -> Writing | None:
    """Tell how a time is written; None if it is written in no way that is known."""
    for usual in (ISO, ISO_OFFSET):
        if re.fullmatch(usual.pattern, cell, re.ASCII):
            return usual
    if cell != cell.strip():  # strptime would skip blanks before the format's own
        return None
    parts: list[_Part] = []
    place = 0
    while place < len(cell):
        found = _next(cell, place, parts)
        if found is None:
            return None
        parts.append(found[0])
        place = found[1]
    return _joined(parts)


def _next(cell: str, place: int, before: list[_Part]) -> tuple[_Part, int] | None:
    """Return the part of a cell that begins at a place, and its end; None if it is of no time."""
    is_after_clock = any(part.kind in ("clock", "S") for part in before)
    may_be_offset = is_after_clock and before[-1].kind in ("clock", "S", "zone", "blank")  # else -06 is of a date
    if may_be_offset and (offset := _OFFSET.match(cell, place)):
        return _Part("offset", "%z", r"[+-]\d\d(?::?\d\d)?"), offset.end()
    for kind, token in _TOKENS.items():
        if found := token.match(cell, place):
            part = _part(kind, found)
            return None if part is None else (part, found.end())
    return None


def _part(kind: str, found: re.Match[str]) -> _Part | None:
    """Return a part of a cell; None for a word that is in no time."""
    text = found.group()
    if kind == "clock":
        return _clock(*found.groups())
    if kind == "compact":
        return _compact(*found.groups())
    if kind == "number":
        return _Part("Y", text, r"\d{4}") if len(text) == 4 else _Part("n", text, r"\d{1,2}")
    if kind == "region":
        return _Part("offset", "%Z", r"[A-Z][A-Za-z]+/[A-Za-z_/]+")
    if kind == "between" or text == "T":
        return _Part("blank", " ", " +") if text[0] == " " else _Part("between", text, re.escape(text))
    return _Part("zone", text, text) if text in ZONES else _name(text)


def _clock(
    _hour: str, _minute: str, second: str | None, point: str | None, fraction: str | None, gap: str, half: str | None
) -> _Part:
    """Return the part for a time of day."""
    written, pattern = ("%I:%M" if half else "%H:%M"), r"\d{1,2}:\d{2}"
    if second:
        written, pattern = f"{written}:%S", rf"{pattern}:\d{{2}}"
    written, pattern = _with_fraction(written, pattern, point, fraction)
    return (
        _Part("clock", f"{written}{gap}%p", f"{pattern}{gap}[AaPp][Mm]") if half else _Part("clock", written, pattern)
    )


def _compact(_date: str, gap: str, digits: str | None, point: str | None, fraction: str | None) -> _Part:
    """Return the part for a date in eight digits, with or without a time in four or six."""
    if not digits:
        return _Part("C", "%Y%m%d", r"\d{8}")
    written = f"%Y%m%d{gap}%H%M" + ("%S" if len(digits) == 6 else "")
    return _Part("S", *_with_fraction(written, rf"\d{{8}}{gap}\d{{{len(digits)}}}", point, fraction))


def _with_fraction(written: str, pattern: str, point: str | None, fraction: str | None) -> tuple[str, str]:
    """Return format and pattern of a time with the fraction of its seconds, if there is one."""
    if not point or not fraction:
        return written, pattern
    if len(fraction) <= 6:
        return f"{written}{point}%f", rf"{pattern}{re.escape(point)}\d{{1,6}}"
    return f"{written}{point}%n", rf"{pattern}{re.escape(point)}\d{{7,9}}"


def _name(text: str) -> _Part | None:
    """Return the part for the name of a month or a day of the week; None for any other word."""
    directive = _DIRECTIVES.get(text.lower())
    if directive is None:
        return None
    kind = "M" if directive in ("%b", "%B") else "weekday"
    return _Part(kind, directive, "(?i:" + "|".join(_NAMES[directive]) + ")")


def _joined(parts: list[_Part]) -> Writing | None:
    """Put the parts of a cell together; None if they make no time, or more than one."""
    kinds = [part.kind for part in parts]
    date = "".join(kind for kind in kinds if kind in ("Y", "n", "M", "C", "S"))
    zone = next((part.written for part in parts if part.kind == "zone"), "")
    clocks = kinds.count("clock") + (date in ("S", "Ynnn"))
    offsets, zones = kinds.count("offset"), kinds.count("zone")
    if date not in _DATES or clocks > 1 or offsets > 1 or zones > 1:
        return None
    if ((offsets or zones) and not clocks) or (offsets and zones and ZONES[zone] != 0):
        return None
    numbers = [place for place, kind in enumerate(kinds) if kind in ("Y", "n", "M")]
    patterns = [part.pattern for part in parts]
    if date in _SHORT_YEARS:
        if len(parts[numbers[-1]].written) != 2:
            return None
        patterns[numbers[-1]] = r"\d{2}"
    formats = tuple(_format(parts, order.split()) for order in _DATES[date])
    separator = parts[numbers[0] + 1].written if len(formats) > 1 else ""
    if date in ("Ynn", "Ynnn"):
        separator = YEAR_FIRST
    return Writing("".join(patterns), formats, separator, zone)


def _format(parts: list[_Part], directives: list[str]) -> str:
    """Write the format of a cell's parts, with the directives of its date in one order."""
    left = iter(directives)
    written = []
    for part in parts:
        if part.kind in ("Y", "n"):
            written.append(next(left))
        else:
            if part.kind == "M":  # by its own directive: short or long
                next(left)
            written.append(part.written)
    return "".join(written)
