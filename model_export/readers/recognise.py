"""The layout of a log: the one that its publisher is known for, or a table whose columns are found by their names."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from mindstream.mapping import Mapping
from mindstream.parsing.trackers import ALIASES
from model_export.readers.layout import Layout, Table
from model_export.readers.presets import PRESETS, preset, recognise
from model_export.readers.presets.peek import found_at
from model_export.readers.tables.files import is_remote

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
    chosen = None if mapping.format == "auto" else ALIASES.get(mapping.format, mapping.format)
    if chosen not in (None, *formats()):
        raise ValueError(f"unknown format {chosen!r}; expected one of: auto, {', '.join(formats())}")
    if is_remote(path) or (re.search(r"[*?\[]", path) and not Path(path).exists()):
        return _table(path, mapping)
    if not Path(path).exists():
        raise FileNotFoundError(f"no file or folder at {path}")
    if chosen == TABLE or (chosen is None and _says_columns(mapping)):
        return _table(path, mapping)
    found = found_at(Path(path))
    known = preset(chosen) if chosen else recognise(found)
    return _with_mapping(known.layout(found), mapping) if known else _table(path, mapping)


def _says_columns(mapping: Mapping) -> bool:
    return bool(mapping.model_fields_set & {"user", "item", "time", "type", "columns"})


def _table(path: str, mapping: Mapping) -> Layout:
    return Layout(TABLE, Table((path,), columns=mapping.columns, **_how(mapping)), mapping)


def _how(mapping: Mapping) -> dict[str, Any]:
    """Return what a mapping says of how text is to be read."""
    return {name: getattr(mapping, name) for name in HOW if name in mapping.model_fields_set}


def _with_mapping(layout: Layout, mapping: Mapping) -> Layout:
    """Return a publisher's layout with what is given in its place."""
    given = {name: getattr(mapping, name) for name in mapping.model_fields_set - {"format"}}
    return replace(layout, mapping=layout.mapping.updated(**given), events=replace(layout.events, **_how(mapping)))
