"""Times in a unit or strptime format that is given."""

import duckdb

from mindstream.parsing.time_formats import RIGHT, UNIT_NAMES, digits_of, plain_format
from mindstream.parsing.writings import ZONES
from model_export.readers.times.cells import cells_of, literal, number_of_text, present, trimmed
from model_export.readers.times.numbers import in_unit
from model_export.readers.times.writing_sql import floored

__all__ = ["read_given", "reads_any"]

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
            f"no time in column {name!r} can be read by --time-format {time_format!r}: one is {example[0]!r}; {RIGHT}"
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
    translated = plain_format(time_format)
    try:
        connection.execute(f"SELECT try_strptime('', {literal(translated)})")
    except duckdb.Error as error:
        raise ValueError(f"--time-format {time_format!r} cannot be used: {error}; {RIGHT}") from None
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
    if width := digits_of(time_format):  # numbers lose their zeros, and come with .0 from columns with gaps
        text = f"lpad(regexp_replace({text}, '\\.0*$', ''), {width}, '0')"
    return _in_format(text, time_format)


def _in_format(text: str, time_format: str) -> str:
    return f"({floored(f'try_strptime({text}, {literal(time_format)})', time_format)})"
