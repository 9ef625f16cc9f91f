"""The layout of a log: the one that its publisher is known for, or a table whose columns are found by their names."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mindstream.mapping import Mapping
from model_export.readers.layout import Found, Layout, Preset, Table, plain_name
from model_export.readers.presets import PRESETS, preset
from model_export.readers.tables.files import head_of, is_remote, kind_of

__all__ = ["TABLE", "formats", "layout_of"]

HOW = ("delimiter", "quote", "encoding", "skip_lines")
TABLE = "table"  # the format of logs that have none of their own


def formats() -> list[str]:
    """Return the formats that --format knows."""
    return [TABLE, *(one.name for one in PRESETS)]


def layout_of(path: str, mapping: Mapping) -> Layout:
    """Return how a log lies at a path.

    Where the mapping says which column is which, no publisher's format is looked for.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the path, or a file that the format needs is not there.
    ValueError
        If the format is not known.
    """
    chosen = None if mapping.format == "auto" else mapping.format
    if chosen not in (None, *formats()):
        raise ValueError(f"unknown format {chosen!r}; expected one of: auto, {', '.join(formats())}")
    if is_remote(path) or (re.search(r"[*?\[]", path) and not Path(path).exists()):
        return _table(path, mapping)
    if not Path(path).exists():
        raise FileNotFoundError(f"no file or folder at {path}")
    if chosen == TABLE or (chosen is None and _says_columns(mapping)):
        return _table(path, mapping)
    found = _found(Path(path))
    known = preset(chosen) if chosen else _recognised(found)
    return _with_mapping(known.layout(found), mapping) if known else _table(path, mapping)


def _says_columns(mapping: Mapping) -> bool:
    return bool(mapping.model_fields_set & {"user", "item", "time", "type", "columns"})


def _recognised(found: Found) -> Preset | None:
    return next((one for one in PRESETS if one.looks_like(found)), None)


def _table(path: str, mapping: Mapping) -> Layout:
    return Layout(TABLE, Table((path,), columns=mapping.columns, **_how(mapping)), mapping)


def _how(mapping: Mapping) -> dict[str, Any]:
    """Return what a mapping says of how text is to be read."""
    return {name: getattr(mapping, name) for name in HOW if name in mapping.model_fields_set}


def _with_mapping(layout: Layout, mapping: Mapping) -> Layout:
    """Return a publisher's layout with what is given in its place."""
    given = {name: getattr(mapping, name) for name in mapping.model_fields_set - {"format"}}
    return replace(layout, mapping=layout.mapping.updated(**given), events=replace(layout.events, **_how(mapping)))


def _found(path: Path) -> Found:
    folder = path if path.is_dir() else path.parent
    files = {plain_name(file): file for file in sorted(folder.iterdir()) if file.is_file()}
    return Found(path, files, () if path.is_dir() else first_names(str(path)))


def first_names(file: str) -> tuple[str, ...]:
    """Return the cells of a file's first line, the columns of Parquet, or the keys of its first JSON object."""
    kind = kind_of(file)
    if kind == "parquet":
        return tuple(pq.read_schema(file).names)
    if kind in ("arrow", "spreadsheet"):
        return ()
    text = head_of(file).decode(errors="replace").lstrip("\ufeff")
    line = text.split("\n", 1)[0].rstrip("\r")
    if kind == "json":
        try:
            return tuple(json.loads(line))
        except (json.JSONDecodeError, TypeError):
            return ()
    return tuple(cell.strip().strip('"') for cell in re.split(r"\t|::|[,;|]", line))
