"""ComiRec's sequences of behaviours: `<name>_train.txt`, `<name>_valid.txt` and `<name>_test.txt`.

Cen et al., "Controllable Multi-Interest Framework for Recommendation", KDD 2020: each user is in one of the three.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from model_export.data.interactions import InteractionLog
from model_export.readers.cells import to_text
from model_export.readers.delimited import read_delimited
from model_export.readers.files import column_names, first_line
from model_export.readers.rows import drop_rows, in_time_order, latest_values, make_log

__all__ = ["data_set_names", "read"]

SIDES = ("train", "valid", "test")
NO_ITEMS = "malformed (no items)"
NO_INTEGERS = "malformed (not integers)"
PADDING = "of item 0 (padding)"

_FILE = re.compile(r"(.+)_(?:train|valid|test|item_cate|item_map|user_map|cate_map)\.txt|(.+)_items_joined\.csv")
_INTEGER = r"^-?[0-9]{1,18}$"  # of more digits some do not fit into 64 bits
_COLUMNS = ["user", "item", "position"]


def data_set_names(path: Path) -> list[str]:
    """Return the names before `_train.txt`, `_valid.txt` and `_test.txt` in a folder.

    For a file, the one in its own name.
    """
    folder, files = (path, path.glob("*_train.txt")) if path.is_dir() else (path.parent, [path])
    found = [match[1] or match[2] for file in files if (match := _FILE.fullmatch(file.name))]
    return sorted(name for name in found if all((folder / f"{name}_{side}.txt").is_file() for side in SIDES))


def read(path: Path) -> InteractionLog:
    """Read ComiRec's three files from their folder or one of them, in either layout.

    Each file's first line tells the layout.

    Lines are "user item item ..." separated by blanks, oldest first, 0 being padding; or, as ComiRec's own
    preprocessing writes them, "user,item,position", the position putting the user's behaviours into order.

    There are no times: event_time_ms is the behaviour's position in its user's sequence, from 0 on, so that the
    log is in "time order" with all first behaviours before all second ones. Splitting it by date means nothing.
    `sides` says which file each user is in. If the files are there, `<name>_items_joined.csv` gives the side
    feature "attribute" (and the ASIN as title), `<name>_item_cate.txt` the category.

    What is malformed is counted by lines, padding by places.

    Raises
    ------
    FileNotFoundError
        If the three files are not there.
    ValueError
        If there are several sets of files, a file cannot be parsed, a user is in two of them or no
        interaction remains.
    """
    folder, name = _only_name(path)
    dropped: dict[str, int] = {}
    parts = {side: _read_side(folder / f"{name}_{side}.txt", dropped) for side in SIDES}
    _check_disjoint(folder / name, parts)
    numbered = _numbered(pd.concat(parts.values(), ignore_index=True))
    rows = in_time_order(_event_rows(numbered), folder, dropped)
    users = set(rows.user_id)
    sides = {user: side for side in SIDES for user in _integers_to_text(parts[side].user.unique()) if user in users}
    log = make_log(rows, _item_table(folder, name), latest_values(rows, "user_id", []), name, dropped, sides)
    return replace(log, timed=False)


def _only_name(path: Path) -> tuple[Path, str]:
    folder, found = path if path.is_dir() else path.parent, data_set_names(path)
    if not found:
        raise FileNotFoundError(f"ComiRec needs <name>_train.txt, _valid.txt and _test.txt; not all are at {path}")
    if len(found) > 1:
        raise ValueError(f"{path} has several sets of files ({', '.join(found)}); give the path of one's _train.txt")
    return folder, found[0]


def _read_side(path: Path, dropped: dict[str, int]) -> pd.DataFrame:
    """Read user, item and position (int64) of each behaviour in one file."""
    counts: dict[str, int] = {}
    rows = (_read_triples if "," in first_line(path) else _read_sequences)(path, counts)
    for reason, count in counts.items():
        dropped[reason] = dropped.get(reason, 0) + count
    return rows


def _read_triples(path: Path, dropped: dict[str, int]) -> pd.DataFrame:
    """Read lines "user,item,position"."""
    cells = read_delimited(path, _COLUMNS, has_header=False, quotes=False, dropped=dropped)
    trimmed = [pc.utf8_trim_whitespace(pc.fill_null(cells[name], "")) for name in _COLUMNS]
    whole = [pc.match_substring_regex(column, _INTEGER) for column in trimmed]
    right = pc.and_(pc.and_(whole[0], whole[1]), whole[2])
    dropped[NO_INTEGERS] = len(right) - pc.sum(right, min_count=0).as_py()
    return pd.DataFrame({name: _integers(c.filter(right)) for name, c in zip(_COLUMNS, trimmed, strict=True)})


def _read_sequences(path: Path, dropped: dict[str, int]) -> pd.DataFrame:
    """Read lines "user item item ...", without the padding."""
    lines = _lines(path, dropped)
    words = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(lines)).combine_chunks()
    has_items = np.asarray(pc.list_value_length(words)) > 1
    dropped[NO_ITEMS] = int((~has_items).sum())
    words = words.filter(pa.array(has_items))
    line, word = np.asarray(pc.list_parent_indices(words)), pc.list_flatten(words)
    wrong = np.unique(line[~np.asarray(pc.match_substring_regex(word, _INTEGER))])
    dropped[NO_INTEGERS] = len(wrong)
    right = ~np.isin(line, wrong)
    line, number = line[right], _integers(word.filter(pa.array(right)))
    first = np.diff(line, prepend=-1) != 0
    users = number[first][np.cumsum(first) - 1]
    rows = pd.DataFrame({"user": users, "item": number, "position": np.arange(len(line))})[~first]
    return drop_rows(rows, rows.item == 0, PADDING, dropped)


def _lines(path: Path, dropped: dict[str, int]) -> pa.ChunkedArray:
    """Return the lines that are not empty.

    No line has the separator, so that each is one cell.
    """
    if path.stat().st_size == 0:  # Arrow refuses it
        return pa.chunked_array([], pa.large_string())
    cells = read_delimited(path, ["line"], has_header=False, separator="\x1f", quotes=False, dropped=dropped)
    return pc.fill_null(cells["line"], "")


def _integers(words: pa.Array) -> np.ndarray:
    return np.asarray(words.cast(pa.int64()).to_numpy())


def _check_disjoint(files: Path, parts: dict[str, pd.DataFrame]) -> None:
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        both = np.intersect1d(parts[one].user, parts[other].user)
        if len(both):
            raise ValueError(
                f"{len(both):,} of the users are both in {files}_{one}.txt and in {files.name}_{other}.txt, "
                f"e.g. '{both[0]}'; each must be in one file only"
            )


def _numbered(behaviours: pd.DataFrame) -> pd.DataFrame:
    """Give each user's behaviours positions 0, 1, 2 ... in the order of those that were read."""
    behaviours = behaviours.iloc[np.lexsort((behaviours.position, behaviours.user))]
    places = np.arange(len(behaviours))
    first = np.diff(behaviours.user, prepend=behaviours.user.iloc[:1] - 1) != 0
    return behaviours.assign(position=places - np.maximum.accumulate(np.where(first, places, 0)))


def _event_rows(behaviours: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": _integers_to_text(behaviours.user),
            "item_id": _integers_to_text(behaviours.item),
            "event_type": pd.Series("interaction", index=range(len(behaviours)), dtype="str"),
            "event_time_ms": behaviours.position.to_numpy(dtype=float),
        }
    )


def _integers_to_text(integers: "pd.Series | np.ndarray") -> pd.Series:
    return to_text(pa.array(np.asarray(integers)))


def _item_table(folder: Path, name: str) -> pd.DataFrame:
    """Read title, category and side feature "attribute" of items, if their files are there."""
    items = pd.DataFrame({"item_id": pd.Series(dtype="str")})
    joined, categories = folder / f"{name}_items_joined.csv", folder / f"{name}_item_cate.txt"
    if joined.is_file():
        items = items.merge(_read_joined(joined), on="item_id", how="outer")
    if categories.is_file():
        cells = read_delimited(categories, ["item_id", "category"], has_header=False, quotes=False)
        table = pd.DataFrame({column: to_text(cells[column]) for column in cells.column_names})
        items = items.merge(table.drop_duplicates("item_id", keep="last"), on="item_id", how="outer")
    return items


def _read_joined(path: Path) -> pd.DataFrame:
    header = column_names(path)
    columns = {"item_id": "item_id", "asin": "title", "attribute_ids": "attribute"}
    if "item_id" not in header:
        raise ValueError(f"{path} has no column item_id; found {', '.join(header) or 'none'}")
    wanted = [column for column in columns if column in header]
    cells = read_delimited(path, header, wanted=wanted)
    table = pd.DataFrame({columns[column]: to_text(cells[column]) for column in wanted})
    return table.drop_duplicates("item_id", keep="last")
