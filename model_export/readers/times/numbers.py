"""Numbers as times: the units that their ranges tell, and dates written as digits (20250615)."""

from collections import Counter
from dataclasses import dataclass
from string import Template

import duckdb

from mindstream.limits import EARLIEST_MS, LATEST_MS
from mindstream.parsing.time_formats import UNIT_NAMES, named_unit
from mindstream.parsing.time_numbers import DIGITS, LARGER, NEVER_MS, OTHER_ORIGINS, PER_SECOND, Ticks
from model_export.readers.times.cells import literal

__all__ = ["NumberReading", "in_unit", "read_numbers"]

# Milliseconds of a number: $v is the number as DOUBLE, $i as BIGINT. The range from EARLIEST_MS to LATEST_MS in one
# unit does not meet that in another.
_MILLISECONDS = dict(
    zip(
        UNIT_NAMES,
        (
            "TRY_CAST(floor(round($v * 1e6) / 1e3) AS BIGINT)",
            "TRY_CAST(floor($v) AS BIGINT)",
            "($i // 1000)",
            "($i // 1000000)",
            "TRY_CAST(round($v * 86400000) AS BIGINT)",
            "TRY_CAST(round(($v - 25569) * 86400000) AS BIGINT)",  # day 25569 is 1970-01-01
        ),
        strict=True,
    )
)

_NEARLY_ALL = 0.9
_FEW = 3  # so few different numbers may look like anything

# What numbers in the range of a unit may be as well.
_OTHER_DIGITS = {
    10: ("%y%m%d%H%M", "%d%m%y%H%M", "%m%d%y%H%M", "%d%m%Y%H", "%m%d%Y%H"),
    12: ("%y%m%d%H%M%S", "%d%m%y%H%M%S", "%m%d%y%H%M%S", "%d%m%Y%H%M", "%m%d%Y%H%M"),
}


@dataclass(frozen=True)
class NumberReading:
    """SQL with $v for a number as DOUBLE and $i for it as BIGINT, and sentences to say."""

    sql: str
    notes: tuple[str, ...] = ()

    def over(self, v: str, i: str) -> str:
        """Return the SQL over these expressions."""
        return Template(self.sql).substitute(v=v, i=i)


def in_unit(unit: str) -> NumberReading:
    """Return the reading of numbers that are all in one unit, one of UNIT_NAMES."""
    return NumberReading(_MILLISECONDS[unit])


def read_numbers(connection: duckdb.DuckDBPyConnection, numbers: str, name: str) -> NumberReading:
    """Tell units and digit formats from all numbers together.

    Parameters
    ----------
    numbers : SELECT with the columns v and i; a row for each cell that holds a number.
    name : of the column; one that ends in a unit decides where values allow it.

    Raises
    ------
    ValueError
        If the numbers may as well be dates in another order of digits (2506151506); names one and the formats.
    """
    named = named_unit(name)
    if named == "milliseconds":
        return in_unit(named)
    counts = _count(connection, numbers)
    ticks = [one for one in OTHER_ORIGINS if named is None and counts[one.said] >= _NEARLY_ALL * counts["all"] > 0]
    units = {unit: counts[unit] for unit in PER_SECOND if counts[unit]}
    digits = [
        length
        for length in DIGITS
        if counts[f"dates {length}"] >= max(1, _NEARLY_ALL * counts[f"digits {length}"])
        and (named is None or not _reads(named, length))
    ]
    for length in digits:  # these numbers are dates, and in no unit
        units = {unit: count - counts[f"{unit} {length}"] for unit, count in units.items()}
    units = {unit: count for unit, count in units.items() if count > 0}
    for length in _OTHER_DIGITS:
        if named is None and length not in digits and counts[f"digits {length}"]:
            _refuse_other_digits(connection, numbers, name, length)
    main = max(units, key=lambda unit: units[unit], default=named or "seconds")
    cases = [(_of_length(length), _date_of_digits(length)) for length in digits]
    cases += [(_is_tick(one), _from_ticks(one)) for one in ticks]
    cases += [(_in_range(unit), _MILLISECONDS[unit]) for unit in units if unit != main]
    if main in LARGER:
        cases.append((_is_never(main), _MILLISECONDS[LARGER[main]]))
    sql = f"CASE {_whens(cases)} ELSE {_MILLISECONDS[main]} END" if cases else _MILLISECONDS[main]
    notes = [f"times are read as {DIGITS[length]}" for length in digits]
    notes += [f"times are read as {one.said}" for one in ticks]
    return NumberReading(sql, (*notes, *(_say_units(units, main) if not ticks else ())))


def _reads(unit: str, length: int) -> bool:
    """Tell whether dates of so many digits are in the range of a unit."""
    per_second = PER_SECOND[unit]
    return bool(EARLIEST_MS / 1e3 * per_second <= 2 * 10 ** (length - 1) <= LATEST_MS / 1e3 * per_second)


def _in_range(unit: str) -> str:
    """Write the condition that a number is a time that the stream takes, in this unit."""
    per_second = PER_SECOND[unit]
    lowest, highest = (edge * per_second // 1000 for edge in (EARLIEST_MS, LATEST_MS))
    in_range = f"$v BETWEEN {lowest}::DOUBLE AND {highest}::DOUBLE"
    return f"({in_range} AND NOT {_is_never(unit)})" if unit in LARGER else f"({in_range})"


def _is_never(unit: str) -> str:
    """Write the condition that a number is the year 9999 in the next larger unit."""
    first, last = (edge * PER_SECOND[LARGER[unit]] // 1000 for edge in NEVER_MS)
    return f"($v >= {first}::DOUBLE AND $v <= {last}::DOUBLE)"


def _count(connection: duckdb.DuckDBPyConnection, numbers: str) -> Counter[str]:
    """Count numbers by unit, kind of ticks, and whether their digits are a date."""
    units = _whens([(_in_range(unit), f"'{unit}'") for unit in PER_SECOND])
    ticks = _whens([(_is_tick(one), f"'{one.said}'") for one in OTHER_ORIGINS])
    digits = _whens([(_of_length(length), _kind_of_digits(length)) for length in DIGITS])
    labels = NumberReading(f"CASE {units} END, CASE {ticks} END, CASE {digits} END").over("v", "i")
    found = connection.execute(
        f"SELECT count(*), {labels} FROM ({numbers}) WHERE v IS NOT NULL GROUP BY ALL"
    ).fetchall()
    counts: Counter[str] = Counter()
    for count, unit, tick, digit in found:
        length = str(digit or "").rpartition(" ")[2]
        labelled = {"all", unit, tick, digit, f"digits {length}", f"{unit} {length}"}
        counts.update({str(label): int(count) for label in labelled})
    return counts


def _of_length(length: int) -> str:
    return f"$i BETWEEN {10 ** (length - 1)} AND {10**length - 1}"


def _kind_of_digits(length: int) -> str:
    """Write the SQL of the label for so many digits; NULL for years that mean never."""
    year = f"$i // {10 ** (length - 4)}"
    return (
        f"CASE WHEN {year} IN (1900, 9999) THEN NULL WHEN {year} NOT BETWEEN 1970 AND 2100 THEN 'others {length}' "
        f"WHEN {_is_date(length)} THEN 'dates {length}' ELSE 'others {length}' END"
    )


def _is_date(length: int) -> str:
    """Write the condition that digits behind a year are a date, by arithmetic, which is fast."""

    def part(place: int) -> str:
        return f"($i // {10 ** (length - place - 2)}) % 100"

    parts = [f"{part(4)} BETWEEN 1 AND 12", f"{part(6)} BETWEEN 1 AND 31"]
    parts += [f"{part(place)} < {below}" for place, below in ((8, 24), (10, 60), (12, 60)) if place + 2 <= length]
    return " AND ".join(parts)


def _date_of_digits(length: int) -> str:
    return f"epoch_ms(try_strptime(CAST($i AS VARCHAR), '{DIGITS[length]}'))"


def _whens(cases: list[tuple[str, str]]) -> str:
    return " ".join(f"WHEN {condition} THEN {sql}" for condition, sql in cases)


def _refuse_other_digits(connection: duckdb.DuckDBPyConnection, numbers: str, name: str, length: int) -> None:
    """Raise ValueError if nearly all numbers of so many digits are dates in another order."""
    chosen = f"SELECT DISTINCT CAST(i AS VARCHAR) AS cell FROM ({numbers}) WHERE i BETWEEN {10 ** (length - 1)} "
    chosen += f"AND {10**length - 1}"
    few = f"SELECT cell FROM (SELECT * FROM ({chosen} LIMIT 1000))"  # where these are no dates, all are none
    for rows in (few, f"SELECT cell FROM ({chosen})"):
        columns = ", ".join(f"count(try_strptime(cell, {literal(one)}))" for one in _OTHER_DIGITS[length])
        counts = connection.execute(f"SELECT count(*), min(cell), {columns} FROM ({rows})").fetchone() or ()
        total, example, *readable = counts
        found = [
            one
            for one, count in zip(_OTHER_DIGITS[length], readable, strict=True)
            if total >= _FEW and count >= _NEARLY_ALL * total
        ]
        if not found:
            return
    unit = next(unit for unit in PER_SECOND if _reads(unit, length))
    raise ValueError(
        f"numbers in column {name!r} such as {example} may be dates written as {' or '.join(found)}, or {unit}; "
        f"say which by --time-format, for example --time-format {found[0]} or --time-format {unit}"
    )


def _say_units(units: dict[str, int], main: str) -> list[str]:
    """Say how many times are in which unit, if there are several."""
    if len(units) < 2:
        return []
    total = sum(units.values())
    others = [f"{count:,} of {total:,} times are in {unit}" for unit, count in units.items() if unit != main]
    return [", ".join([*others, f"the others in {main}"])]


def _is_tick(ticks: Ticks) -> str:
    """Write the condition that a number is a tick."""
    return f"$i BETWEEN {ticks.lowest} AND {ticks.highest}"


def _from_ticks(ticks: Ticks) -> str:
    """Write the SQL of a tick's milliseconds."""
    return f"($i // {ticks.per_ms} + {ticks.origin_ms})"
