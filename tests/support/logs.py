"""Small logs as people have them, and a log's parts in a form that compares."""

import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from model_export.data.interactions import EVENT_COLUMNS, InteractionLog

__all__ = [
    "AT",
    "COLUMNS",
    "MALFORMED",
    "assert_same",
    "cells",
    "edited",
    "events",
    "json_lines",
    "put",
    "real",
    "rows",
    "text",
]

AT = 1_750_000_000_000  # 2025-06-15 15:06:40 UTC in milliseconds
COLUMNS = ("user_id", "item_id", "timestamp", "title")
MALFORMED = "malformed (wrong number of columns)"
DATA = Path(__file__).parents[2].parent / "shared" / "data"


def real(name: str) -> Path:
    """A path in the shared data; the test is skipped where it is absent."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs the real data set {name} in ../shared/data beside the repository")
    return path


def cells(count: int = 20) -> list[list[str]]:
    """Rows of 6 users and 8 lamps, an hour and more apart, in the order of `COLUMNS`."""
    return [[f"u-{n % 6}", f"lamp-{n * 5 % 8}", str(AT // 1000 + 3_700 * n), f"Lamp {n * 5 % 8}"] for n in range(count)]


def edited(table: Sequence[Sequence[str]], *changes: tuple[int, int, Callable[[str], str]]) -> list[list[str]]:
    """A table with some of its cells changed: (row, column, change)."""
    found = [list(row) for row in table]
    for row, column, change in changes:
        found[row][column] = change(found[row][column])
    return found


def text(
    table: Iterable[Sequence[str]], delimiter: str = ",", header: Sequence[str] | None = COLUMNS, end: str = "\n"
) -> str:
    """A table as delimited text."""
    lines = [*([header] if header else []), *table]
    return "".join(delimiter.join(line) + end for line in lines)


def json_lines(objects: Iterable[Any]) -> str:
    """Objects, one a line."""
    return "".join(json.dumps(one) + "\n" for one in objects)


def put(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    """Write a file, and the folders that it is in; compressed if it is called .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = content if isinstance(content, bytes) else content.encode(encoding)
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" and isinstance(content, str) else raw)
    return path


def events(log: InteractionLog) -> list[tuple[str, str, str, int]]:
    return list(log.events[EVENT_COLUMNS].itertuples(index=False, name=None))


def rows(table: pd.DataFrame) -> list[tuple[object, ...]]:
    """Rows as tuples, None instead of NaN so that they compare."""
    known = table.astype(object).where(table.notna(), None)
    return list(known.itertuples(index=False, name=None))


def assert_same(one: InteractionLog, other: InteractionLog) -> None:
    for part in ("events", "items", "profiles"):
        pd.testing.assert_frame_equal(getattr(one, part), getattr(other, part))
