"""The order of day, month and year in dates of numbers, told from all rows."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, permutations

import duckdb

from mindstream.parsing.writings import ORDERS, YEAR_FIRST, Writing
from model_export.readers.times.seen import Seen

__all__ = ["Orders", "decide_orders"]

_TYPOS = 0.1  # share of the cells that decide for an order, above which those for another are no typing errors

_FEW_DECIDE = 0.2  # share of the cells that decide for an order, below which it is said how many they are


@dataclass(frozen=True)
class Orders:
    """Separator of dates in an open order -> the order, by its place in the formats; and sentences to say."""

    chosen: dict[str, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Rivals:
    """Two orders beside each other.

    Attributes
    ----------
    only_first, only_second : cells that can be read in one of them alone.
    example, first_ms, second_ms : a cell that is two times in the two, and these times; None if there is none.
    """

    only_first: int
    only_second: int
    example: str | None
    first_ms: int | None
    second_ms: int | None


@dataclass(frozen=True)
class _Counts:
    """Cells that each order reads, the years they are of, and the orders two by two."""

    readable: tuple[int, ...]
    years: tuple[int, ...]
    rivals: dict[tuple[int, int], _Rivals]

    @property
    def orders(self) -> range:
        return range(len(self.readable))


def decide_orders(connection: duckdb.DuckDBPyConnection, relation: str, column: str, name: str, seen: Seen) -> Orders:
    """Tell the order for each separator of dates in which it is open.

    An order is right if all cells but for some typing errors can be read in it, and no other reads them too. Of two
    that read all, the one in which they are of fewer years is right: 15/06/25 and 16/06/25 are two days of 2025 rather
    than one day of 2015 and of 2016.

    Returns
    -------
    Separator -> order, by its place in ORDERS.

    Raises
    ------
    ValueError
        If two orders are right, or cells are written in both; names an example and both readings.
    """
    chosen: dict[str, int] = {}
    notes: list[str] = []
    for separator in sorted({writing.separator for writing in seen.writings if writing.separator}):
        dates = seen.only(separator)
        if separator == YEAR_FIRST:
            chosen[separator], said = _decide_year_first(connection, relation, column, name, dates)
        else:
            chosen[separator], said = _decide(connection, relation, column, name, dates, separator)
        notes += said
    return Orders(chosen, tuple(notes))


def _decide_year_first(
    connection: duckdb.DuckDBPyConnection, relation: str, column: str, name: str, dates: Seen
) -> tuple[int, list[str]]:
    """Tell whether month (0) or day (1) follows the year, and say it if unusual."""
    by_month, by_day = (dates.sql(column, {YEAR_FIRST: order}) for order in (0, 1))
    rows = f"FROM {relation} WHERE {dates.condition(column)}"
    day_alone = _number(connection, f"SELECT count({by_day}) {rows} AND ({by_month}) IS NULL")
    if not day_alone:
        return 0, []
    month_alone = _number(connection, f"SELECT count({by_month}) {rows} AND ({by_day}) IS NULL")
    chosen = 1 if day_alone > month_alone else 0
    right, wrong = (day_alone, month_alone) if chosen else (month_alone, day_alone)
    written = ("year-month-day (%Y-%m-%d)", "year-day-month (%Y-%d-%m)")
    said = f"dates in column {name!r} are read as {written[chosen]}: {right:,} can be read so alone"
    if wrong:
        said += f", and {wrong:,} that can be read as {written[1 - chosen]} alone are left out"
    return chosen, [said]


def _number(connection: duckdb.DuckDBPyConnection, select: str) -> int:
    (found,) = connection.execute(select).fetchone() or (0,)
    return int(found)


def _decide(
    connection: duckdb.DuckDBPyConnection, relation: str, column: str, name: str, dates: Seen, separator: str
) -> tuple[int, list[str]]:
    counts = _count(connection, relation, column, dates, separator)
    best = max(counts.orders, key=lambda order: (counts.readable[order], -counts.years[order]))
    for other in counts.orders:
        if other == best or not counts.readable[other]:
            continue
        rivals = counts.rivals[best, other]
        if not rivals.only_first and not rivals.only_second:
            if rivals.example is not None and counts.years[best] == counts.years[other]:
                raise ValueError(_ambiguous(rivals, dates.writings, best, other, name))
        elif rivals.only_second > _TYPOS * rivals.only_first:
            raise ValueError(
                f"dates in column {name!r} are written in two orders: {rivals.only_first:,} can be read with the "
                f"{ORDERS[best]} alone, {rivals.only_second:,} with the {ORDERS[other]} alone; say which is right by "
                f"--time-format, for example '{_format_of(None, dates.writings, best)}'; the others are left out"
            )
    return best, _say_deciding(counts, best)


def _say_deciding(counts: _Counts, best: int) -> list[str]:
    """Say how many cells decide for an order, if they are few."""
    rivals = [counts.rivals[best, other] for other in counts.orders if other != best and counts.readable[other]]
    deciding = min((one.only_first for one in rivals if one.only_first), default=0)
    total = counts.readable[best]
    if not deciding or deciding > _FEW_DECIDE * total:
        return []
    verb = "decides" if deciding == 1 else "decide"
    return [f"{deciding:,} of {total:,} rows {verb} that dates are {ORDERS[best]}; --time-format says otherwise"]


def _count(connection: duckdb.DuckDBPyConnection, relation: str, column: str, dates: Seen, separator: str) -> _Counts:
    """Count over all rows what can be read in each order, and in one of two alone."""
    orders = range(max(len(writing.formats) for writing in dates.writings))
    pairs = list(permutations(orders, 2))
    wanted = [f"count(t{order}), count(DISTINCT year(epoch_ms(t{order})))" for order in orders]
    for a, b in pairs:
        differ = f"FILTER (t{a} <> t{b})"
        wanted.append(f"count(*) FILTER (t{a} IS NOT NULL AND t{b} IS NULL)")
        wanted.append(f"count(*) FILTER (t{a} IS NULL AND t{b} IS NOT NULL)")
        wanted += [f"{one} {differ}" for one in ("min(cell)", f"arg_min(t{a}, cell)", f"arg_min(t{b}, cell)")]
    times = ", ".join(f"{dates.sql(column, {separator: order})} AS t{order}" for order in orders)
    rows = f"SELECT {column} AS cell, {times} FROM {relation} WHERE {dates.condition(column)}"
    found = iter(connection.execute(f"SELECT {', '.join(wanted)} FROM ({rows})").fetchone() or ())
    counts = [(next(found), next(found)) for _ in orders]
    rivals = {pair: _Rivals(*islice(found, 5)) for pair in pairs}
    return _Counts(tuple(one[0] for one in counts), tuple(one[1] for one in counts), rivals)


def _ambiguous(rivals: _Rivals, writings: tuple[Writing, ...], best: int, other: int, name: str) -> str:
    """Say that the dates can be read in two ways."""
    first, second = (_format_of(rivals.example, writings, order) for order in (best, other))
    return (
        f"dates in column {name!r} can be read in two ways: {rivals.example!r} is {_day(rivals.first_ms)} as {first} "
        f"and {_day(rivals.second_ms)} as {second}, and no value decides; say which by --time-format '{first}' or "
        f"--time-format '{second}'"
    )


def _day(milliseconds: int | None) -> str:
    return datetime.fromtimestamp((milliseconds or 0) / 1000, UTC).strftime("%Y-%m-%d")


def _format_of(example: str | None, writings: tuple[Writing, ...], order: int) -> str:
    """Return the format of an example's writing in one order; by default the first writing's."""
    possible = [one for one in writings if order < len(one.formats)]
    fitting = [one for one in possible if example is None or re.fullmatch(one.pattern, example)]
    return (fitting or possible)[0].formats[order]
