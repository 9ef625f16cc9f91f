"""JSON as a view of DuckDB: one object a line, or an array of them; every value as text, nested as it is."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from model_export.readers.sql import literal, quoted
from model_export.readers.tables.dialect import LONGEST_LINE
from model_export.readers.tables.files import head_of, is_remote, number_of_line
from model_export.readers.tables.query import one_row, sentence_of

__all__ = ["FAULT", "NO_OBJECT", "first_fault", "select"]

FAULT = "mindstream_fault"  # the column that says why a line is no row
NO_OBJECT = "malformed (no JSON object)"
SAMPLED = 50_000  # lines that tell the names
MIXED = "JSON"  # DuckDB's word for values of several types


def select(connection: DuckDBPyConnection, files: Sequence[str], rejects: str, hive: bool = False) -> str:
    """Return the SELECT of the columns of JSON objects.

    Parameters
    ----------
    rejects : name of the table that takes lines that cannot be read.
    hive : whether folders are named column=value.

    Raises
    ------
    ValueError
        If none of the first lines is an object.
    """
    lines = _lines(files, rejects, hive)
    sample = f"(SELECT line::JSON AS line FROM (SELECT line FROM {lines} LIMIT {SAMPLED}) WHERE {_is_object()})"
    try:
        [found] = one_row(connection, f"SELECT json_group_structure(line) FROM {sample}")
        structure = json.loads(found) if found else None
        if not structure:
            raise ValueError(f"{files[0]} has no JSON object in its first lines; right is one object a line")
        structure = _named_once(structure)
        mixed = _mixed_lists(connection, structure, sample)
    except duckdb.Error as error:
        raise ValueError(f"{files[0]} cannot be read as JSON: {sentence_of(error)}") from error
    shape = literal(json.dumps(_as_text(structure)))
    fault = f"CASE WHEN {_is_object()} THEN NULL ELSE '{NO_OBJECT}' END"
    row = f"CASE WHEN {_is_object()} THEN from_json(line, {shape}) END"
    folders = [quoted(name) for name in _folders(files[0], structure) if hive]
    listed = "".join(f", {name}" for name in folders)
    replaced = ", ".join(f"{_listed(quoted(name))} AS {quoted(name)}" for name in mixed)
    objects = f"SELECT {row} AS row, {fault} AS fault{listed} FROM {lines}"
    rows = f"SELECT unnest(row), fault AS {FAULT}{listed} FROM ({objects})"
    return f"SELECT * REPLACE ({replaced}) FROM ({rows})" if replaced else rows


def first_fault(connection: DuckDBPyConnection, files: Sequence[str], rejects: str) -> str:
    """Return where the first line is that is no object (file, line number), and how it begins."""
    for file in files:
        lines = _lines([file], f"{rejects}_fault", hive=False)
        found = connection.execute(f"SELECT line FROM {lines} WHERE NOT {_is_object()} LIMIT 1").fetchall()
        if found:
            [(line,)] = found
            number = None if is_remote(file) else number_of_line(file, line)
            return f"{Path(file).name}{f' line {number}' if number else ''}: {line[:100]!r}"
    return Path(files[0]).name


def _is_object() -> str:
    return "CASE WHEN json_valid(line) THEN json_type(line) = 'OBJECT' ELSE false END"


def _lines(files: Sequence[str], rejects: str, hive: bool) -> str:
    """Return the table function that gives one object in each row of its column `line`."""
    listed = literal(list(files))
    if not _is_one_object_a_line(files[0]):
        objects = f"read_json_objects({listed}, maximum_object_size={LONGEST_LINE})"
        return f"(SELECT json::VARCHAR AS line FROM {objects})"
    # No text of JSON holds these control characters: they have to be escaped there. So a line is one cell. Lines may
    # end in different ways, which only the parser that is not strict takes.
    return (
        f"(FROM read_csv({listed}, columns={{'line': 'VARCHAR'}}, auto_detect=false, header=false, delim='\x1f', "
        f"nullstr='\x1e', quote='', escape='', strict_mode=false, max_line_size={LONGEST_LINE}, "
        f"buffer_size={2 * LONGEST_LINE}, store_rejects=true, rejects_table={literal(rejects)}, "
        f"rejects_scan={literal(rejects + '_scans')}, hive_partitioning={literal(hive)}) "
        "WHERE NOT regexp_full_match(line, '[ \\t]+'))"
    )


def _is_one_object_a_line(file: str) -> bool:
    if is_remote(file):
        return not file.endswith(".json")
    head = head_of(file).decode(errors="replace").lstrip("\ufeff \r\n\t")
    first, second = (line.strip() for line in [*head.split("\n", 2), ""][:2])
    if re.match(r"\[\s*(\{|$)", first):
        return False
    # A line that is cut off or broken is not what an object over many lines begins with: `{` alone, mostly.
    return len(first) > 1 or second.startswith("{")


def _named_once(structure: Any) -> Any:
    """Return a structure without names that differ from another in their case only.

    To DuckDB they are the same.
    """
    if isinstance(structure, list):
        return [_named_once(inner) for inner in structure]
    if not isinstance(structure, dict):
        return structure
    once: dict[str, str] = {}
    for name in structure:
        once.setdefault(name.lower(), name)
    return {name: _named_once(structure[name]) for name in once.values()}


def _mixed_lists(connection: DuckDBPyConnection, structure: dict[str, Any], sample: str) -> list[str]:
    """Return the names whose values are lists in some lines, and single values in others."""
    names = [name for name, inner in structure.items() if inner == MIXED]
    if not names:
        return []
    paths = (literal('$."' + name.replace('"', '\\"') + '"') for name in names)
    has_list = ", ".join(f"coalesce(bool_or(json_type(line, {path}) = 'ARRAY'), false)" for path in paths)
    return [
        name
        for name, is_mixed in zip(names, one_row(connection, f"SELECT {has_list} FROM {sample}"), strict=True)
        if is_mixed
    ]


def _listed(value: str) -> str:
    """Return SQL that makes a list of a JSON list's text, or of a single value."""
    is_list = f"{value} LIKE '[%' AND json_valid({value})"
    as_list = f"from_json({value}, '[\"VARCHAR\"]')"
    return f"CASE WHEN {value} IS NULL THEN NULL WHEN {is_list} THEN {as_list} ELSE [{value}] END"


def _folders(file: str, structure: dict[str, Any]) -> list[str]:
    """Return the names of Hive partitions in a path that the objects have not themselves."""
    own = {name.lower() for name in structure}
    found = re.findall(r"(?<=[/\\])([^/\\=]+)=[^/\\]*(?=[/\\])", file)
    return [name for name in dict.fromkeys(found) if name.lower() not in own]


def _as_text(structure: Any) -> Any:
    """Return a structure with text in the place of all values, so that 007 stays 007."""
    if isinstance(structure, dict):
        return {name: _as_text(inner) for name, inner in structure.items()}
    if isinstance(structure, list):
        return [_as_text(inner) for inner in structure]
    return "VARCHAR"
