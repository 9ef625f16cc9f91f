"""Times as text: the writings that a column has, found in samples and checked over all rows."""

from collections import Counter

import duckdb

from mindstream.parsing.writings import ZONES, Writing, writing_of
from model_export.readers.times.cells import cells_of, present, tidy
from model_export.readers.times.numbers import read_numbers
from model_export.readers.times.orders import decide_orders
from model_export.readers.times.seen import Seen, is_number

__all__ = ["read_text"]

_SAMPLE = 2000
_ROUNDS = 6
_MOST_WRITINGS = 40


def read_text(
    connection: duckdb.DuckDBPyConnection, relation: str, column: str, name: str
) -> tuple[str, tuple[str, ...]]:
    """Return SQL that reads the times of a text column, and sentences to say.

    Raises
    ------
    ValueError
        If the values can be read in two ways; names an example and both readings.
    """
    seen = _look(connection, relation, column)
    orders = decide_orders(connection, relation, column, name, seen)
    numbers = read_numbers(connection, seen.number_rows(relation, column), name) if seen.numbers else None
    said = (*_say_formats(seen.writings, orders.chosen), *orders.notes, *_say_zones(seen.writings))
    return seen.sql(column, orders.chosen, numbers), (*(numbers.notes if numbers else ()), *said)


def _look(connection: duckdb.DuckDBPyConnection, relation: str, column: str) -> Seen:
    """Find writings in the first cells, then in samples of the unread, until none is new."""
    seen = _with(Seen(), connection, cells_of(connection, relation, column, present(column), _SAMPLE, spread=False))
    for _ in range(_ROUNDS):
        unread = f"NOT {seen.condition(column)} AND {present(column)}"
        found = _with(seen, connection, cells_of(connection, relation, column, unread, _SAMPLE))
        if found == seen:
            break
        seen = found
    return seen


def _with(seen: Seen, connection: duckdb.DuckDBPyConnection, cells: list[str]) -> Seen:
    """Return what was seen, with what these cells add."""
    counts: Counter[Writing] = Counter()
    numbers, untidy = seen.numbers, seen.untidy
    tidied = connection.execute(f"SELECT {tidy('cell')} FROM (SELECT unnest(?::VARCHAR[]) AS cell)", [cells]).fetchall()
    for cell, (tidy_cell,) in zip(cells, tidied, strict=True):
        for text in (cell, str(tidy_cell)):
            writing = None if is_number(text) else writing_of(text)
            if writing or is_number(text):
                numbers = numbers or writing is None
                counts.update([writing] if writing else [])
                untidy = untidy or text != cell
                break
    new = [writing for writing, _ in counts.most_common() if writing not in seen.writings]
    return Seen((*seen.writings, *new)[:_MOST_WRITINGS], numbers, untidy)


def _say_formats(writings: tuple[Writing, ...], orders: dict[str, int]) -> list[str]:
    """Say in which formats other than ISO 8601 times are read."""
    possible = [(one.formats, orders.get(one.separator, 0)) for one in writings]
    formats = dict.fromkeys(formats[order] for formats, order in possible if order < len(formats))
    return [f"times are read as {', '.join(formats)}"] if formats else []


def _say_zones(writings: tuple[Writing, ...]) -> list[str]:
    """Say which offsets names of zones are taken for."""
    zones = {one.zone: ZONES[one.zone] // 60 for one in writings if ZONES.get(one.zone)}
    return [f"times with the zone {zone} are read as UTC{hours:+03d}:00" for zone, hours in sorted(zones.items())]
