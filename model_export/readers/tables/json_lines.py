"""JSON as a view of DuckDB: one object a line, or an array of them; every value as text, nested as it is."""

import json
from collections.abc import Sequence
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from model_export.readers.tables.delimited import LONGEST_LINE, literal
from model_export.readers.tables.files import head_of, is_remote

__all__ = ["FAULT", "NO_OBJECT", "select"]

FAULT = "mindstream_fault"  # the column that says why a line is no row
NO_OBJECT = "malformed (no JSON object)"
SAMPLED = 50_000  # lines that tell the names


def select(connection: DuckDBPyConnection, files: Sequence[str]) -> str:
    """Return the SELECT of the columns of JSON objects.

    Raises
    ------
    ValueError
        If none of the first lines is an object.
    """
    lines = _lines(files)
    try:
        found = connection.execute(
            "SELECT json_group_structure(line::JSON) "
            f"FROM (SELECT line FROM {lines} LIMIT {SAMPLED}) WHERE {_is_object()}"
        ).fetchone()
    except duckdb.Error as error:
        raise ValueError(f"{files[0]} cannot be read as JSON: {str(error).splitlines()[0]}") from error
    structure = json.loads(found[0]) if found and found[0] else None
    if not structure:
        raise ValueError(f"{files[0]} has no JSON object in its first lines; right is one object a line")
    shape = literal(json.dumps(_as_text(structure)))
    fault = f"CASE WHEN {_is_object()} THEN NULL ELSE '{NO_OBJECT}' END"
    row = f"CASE WHEN {_is_object()} THEN from_json(line, {shape}) END"
    return f"SELECT unnest(row), fault AS {FAULT} FROM (SELECT {row} AS row, {fault} AS fault FROM {lines})"


def _is_object() -> str:
    return "CASE WHEN json_valid(line) THEN json_type(line) = 'OBJECT' ELSE false END"


def _lines(files: Sequence[str]) -> str:
    """Return the table function that gives one object in each row of its column `line`."""
    listed = literal(list(files))
    if not _is_one_object_a_line(files[0]):
        objects = f"read_json_objects({listed}, maximum_object_size={LONGEST_LINE})"
        return f"(SELECT json::VARCHAR AS line FROM {objects})"
    # No text of JSON holds these control characters: they have to be escaped there. So a line is one cell.
    return (
        f"read_csv({listed}, columns={{'line': 'VARCHAR'}}, auto_detect=false, header=false, delim='\x1f', "
        f"nullstr='\x1e', quote='', escape='', max_line_size={LONGEST_LINE}, "
        f"buffer_size={2 * LONGEST_LINE}, ignore_errors=true)"
    )


def _is_one_object_a_line(file: str) -> bool:
    if is_remote(file):
        return not file.endswith(".json")
    first = head_of(file).decode(errors="replace").lstrip("\ufeff \r\n\t").split("\n", 1)[0].strip()
    if first.startswith("["):
        return False
    # A line that is cut off or broken is not what an object over many lines begins with: `{` alone, mostly.
    return len(first) > 1


def _as_text(structure: Any) -> Any:
    """Return a structure with text in the place of all values, so that 007 stays 007."""
    if isinstance(structure, dict):
        return {name: _as_text(inner) for name, inner in structure.items()}
    if isinstance(structure, list):
        return [_as_text(inner) for inner in structure]
    return "VARCHAR"
