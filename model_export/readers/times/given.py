"""Times in a unit or strptime format that is given."""

import re

import duckdb

from model_export.readers.times.cells import cells_of, literal, number_of_text, present, trimmed
from model_export.readers.times.numbers import UNIT_NAMES, in_unit
from model_export.readers.times.writings import ZONES, floored

__all__ = ["read_given", "reads_any"]

# Directives of Python and C that DuckDB does not know, or knows as something else.
_TRANSLATED = {
    **{"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%D": "%m/%d/%y", "%e": "%d", "%h": "%b", "%k": "%H"},
    **{"%l": "%I", "%x": "%m/%d/%y", "%X": "%H:%M:%S", "%c": "%a %b %d %H:%M:%S %Y", "%:z": "%z"},
}
_KNOWN = {f"%{one}" for one in "aAbBdfgGHIjmMnpSuUVwWyYzZ%"} | {f"%-{one}" for one in "dHIjmMSy"}
_WIDTHS = {"%Y": 4, "%y": 2, "%m": 2, "%d": 2, "%H": 2, "%M": 2, "%S": 2, "%j": 3, "%g": 3}
_RIGHT = (
    f"right are {', '.join(UNIT_NAMES)}, or a strptime format of Python's or DuckDB's directives "
    f"({' '.join(sorted({*(one for one in _KNOWN if len(one) == 2), *_TRANSLATED}))}), such as %d.%m.%Y %H:%M"
)
_REGION = r"[A-Z][A-Za-z]+/[A-Za-z_/]+"


def read_given(
    connection: duckdb.DuckDBPyConnection, relation: str, column: str, name: str, time_format: str
) -> tuple[str, tuple[str, ...]]:
    """Return SQL that reads a column in a unit or format, and sentences to say.

    Raises
    ------
    ValueError
        If the format is none, has no year, or reads no cell; names what is wrong, or a cell.
    """
    text = f"CAST({column} AS VARCHAR)"
    if time_format.lower() in UNIT_NAMES:
        sql = in_unit(time_format.lower()).over(*number_of_text(trimmed(text)))
    else:
        sql = _parsed(trimmed(text), _checked(connection, time_format))
    is_read = connection.execute(f"SELECT 1 FROM {relation} WHERE ({sql}) IS NOT NULL LIMIT 1").fetchone()
    if not is_read and (example := cells_of(connection, relation, column, present(text), 1, spread=False)):
        raise ValueError(
            f"no time in column {name!r} can be read by --time-format {time_format!r}: one is {example[0]!r}; {_RIGHT}"
        )
    return sql, ()


def reads_any(connection: duckdb.DuckDBPyConnection, relation: str, text: str, time_format: str) -> bool:
    """Tell whether a strptime format reads a text of any row; a unit reads none.

    Raises
    ------
    ValueError
        If the format is none.
    """
    if time_format.lower() in UNIT_NAMES:
        return False
    sql = _parsed(text, _checked(connection, time_format))
    return bool(connection.execute(f"SELECT 1 FROM {relation} WHERE ({sql}) IS NOT NULL LIMIT 1").fetchone())


def _checked(connection: duckdb.DuckDBPyConnection, time_format: str) -> str:
    """Return a format in DuckDB's directives."""
    directives = re.findall(r"%(?:[-:]?.)?", time_format, re.DOTALL)
    if not directives:
        raise ValueError(f"--time-format {time_format!r} has no directive: {_RIGHT}")
    for directive in directives:
        if directive not in _KNOWN and directive not in _TRANSLATED:
            raise ValueError(f"--time-format {time_format!r} has {directive!r}, which is no directive: {_RIGHT}")
    translated = re.sub(r"%[-:]?.", lambda found: _TRANSLATED.get(found.group(), found.group()), time_format)
    if not re.search(r"%-?[yYG]", translated.replace("%%", "")):
        raise ValueError(f"--time-format {time_format!r} has no year (%Y or %y), so it gives no times: {_RIGHT}")
    try:
        connection.execute(f"SELECT try_strptime('', {literal(translated)})")
    except duckdb.Error as error:
        raise ValueError(f"--time-format {time_format!r} cannot be used: {error}; {_RIGHT}") from None
    return translated


def _parsed(text: str, time_format: str) -> str:
    """Write the SQL that reads texts in a format; zones by our table, lost zeros filled up."""
    if "%Z" in time_format:
        cases = [(f"regexp_matches({text}, '{_REGION}')", _in_format(text, time_format))]
        for zone, minutes in sorted(ZONES.items(), key=lambda one: -len(one[0])):  # WEST before EST
            times = _in_format(text, time_format.replace("%Z", zone))
            cases.append((f"contains({text}, '{zone}')", f"{times} - {minutes * 60_000}"))
        return f"CASE {' '.join(f'WHEN {condition} THEN {sql}' for condition, sql in cases)} END"
    if "%z" in time_format:  # as Python's, also Z
        text = f"regexp_replace({text}, '(Z|UTC|GMT)$', '+0000')"
    if width := _width(time_format):  # numbers lose their zeros, and come with .0 from columns with gaps
        text = f"lpad(regexp_replace({text}, '\\.0*$', ''), {width}, '0')"
    return _in_format(text, time_format)


def _in_format(text: str, time_format: str) -> str:
    return f"({floored(f'try_strptime({text}, {literal(time_format)})', time_format)})"


def _width(time_format: str) -> int:
    """Return how many digits a format of digits alone has; 0 for others."""
    directives = re.findall(r"%-?.", time_format)
    is_digits = "".join(directives) == time_format and all(one in _WIDTHS for one in directives)
    return sum(_WIDTHS[one] for one in directives) if is_digits else 0
