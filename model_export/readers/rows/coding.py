"""Rows of a log as integer codes: 17 bytes a behaviour, whatever its ids are."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from duckdb import DuckDBPyConnection
from tqdm import tqdm

from mindstream.limits import LONGEST_EVENT_TYPE, LONGEST_ITEM_ID, LONGEST_USER_ID
from mindstream.parsing.ids import clean_id, clean_text
from model_export.readers.tables.query import arrow_batches, arrow_table

__all__ = ["CodedRows", "coded_rows"]

MISSING, TOO_LONG = -1, -2  # codes of cells that hold no word that can be kept
UNNAMED_EVENT = "interaction"  # the type of events if the log does not say
BATCH = 500_000  # rows


@dataclass(frozen=True)
class _Words:
    """The words of one column, cleaned and sorted; in the connection, a table from each word as it stands to its code.

    Attributes
    ----------
    table : name of that table: word, code.
    categories : the words.
    """

    table: str
    categories: pd.Index

    def column(self, codes: np.ndarray) -> pd.Categorical:
        """Return a column of codes with the words that occur in it."""
        return pd.Categorical.from_codes(codes, categories=self.categories).remove_unused_categories()


@dataclass(frozen=True)
class CodedRows:
    """The rows that are kept, in the order of the log, and the numbers of the others.

    Attributes
    ----------
    user, item, event_type : codes, categories sorted.
    order : int64 (rows,), Unix milliseconds, or what the rows are ordered by.
    dropped : reason -> rows.
    """

    user: pd.Categorical
    item: pd.Categorical
    event_type: pd.Categorical
    order: np.ndarray
    dropped: dict[str, int]

    def take(self, rows: np.ndarray) -> "CodedRows":
        """Return some of the rows, or all in another order; words without a row stay."""
        return CodedRows(self.user[rows], self.item[rows], self.event_type[rows], self.order[rows], self.dropped)


def coded_rows(connection: DuckDBPyConnection, relation: str, total: int, name: str) -> CodedRows:
    """Read the rows of a view as codes.

    Each word is cleaned once, and rows are joined with the codes by DuckDB.

    Parameters
    ----------
    relation : view with user, item, type, placed (time, or place in an order), left_out and reason, which say why a row
        is not kept, and file_row_number.
    total : number of its rows.
    name : of the log, for the progress bar.
    """
    words = [
        _words(connection, relation, "user", clean_id, LONGEST_USER_ID),
        _words(connection, relation, "item", clean_id, LONGEST_ITEM_ID),
        _words(connection, relation, "type", lambda word: clean_text(word) or UNNAMED_EVENT, LONGEST_EVENT_TYPE),
    ]
    types = np.int16 if len(words[2].categories) < np.iinfo(np.int16).max else np.int32
    own = [np.empty(total, dtype=kind) for kind in (np.int32, np.int32, types, np.int64)]
    kept = np.zeros(total, dtype=bool)
    dropped: Counter[str] = Counter()
    with tqdm(total=total, desc=f"ordering {name}", unit=" rows", unit_scale=True, delay=2, leave=False) as bar:
        for batch in arrow_batches(connection, _joined(relation, words), BATCH):
            bar.update(len(batch))
            place = batch["file_row_number"].to_numpy()
            columns = [batch[column].to_numpy(zero_copy_only=False) for column in ("user", "item", "type", "placed")]
            for all_rows, values in zip(own, columns, strict=True):
                all_rows[place] = values
            kept[place] = _count_dropped(batch, dropped)
    user, item, event_type = (known.column(codes[kept]) for known, codes in zip(words, own, strict=False))
    return CodedRows(user, item, event_type, own[3][kept], {why: count for why, count in dropped.items() if count})


def _words(
    connection: DuckDBPyConnection, relation: str, column: str, clean: Callable[[str | None], str | None], longest: int
) -> _Words:
    """Clean the different words of a column, and make a table of their codes."""
    raw = arrow_table(connection, f'SELECT DISTINCT "{column}" AS word FROM {relation}')["word"]
    cleaned = pa.array((clean(word) for word in raw.to_pylist()), pa.large_string())
    too_long = pc.greater(pc.utf8_length(cleaned), longest).fill_null(False)
    known = pc.unique(cleaned.filter(pc.invert(too_long)).drop_null())
    categories = known.take(pc.sort_indices(known))
    codes = pc.if_else(too_long, TOO_LONG, pc.fill_null(pc.index_in(cleaned, categories), MISSING))
    connection.register("words", pa.table({"word": raw, "code": codes.cast(pa.int32())}))
    connection.execute(f"CREATE TABLE {column}_codes AS FROM words")
    connection.unregister("words")
    return _Words(f"{column}_codes", pd.Index(categories.to_pandas(), dtype="str"))


def _joined(relation: str, words: list[_Words]) -> str:
    """Return the SELECT of the rows with codes in the place of words."""
    columns = [known.table.removesuffix("_codes") for known in words]
    codes = ", ".join(f'{known.table}.code AS "{column}"' for known, column in zip(words, columns, strict=True))
    joins = " ".join(
        f'JOIN {known.table} ON rows_."{column}" IS NOT DISTINCT FROM {known.table}.word'
        for known, column in zip(words, columns, strict=True)
    )
    placed = "coalesce(CAST(placed AS BIGINT), 0) AS placed"
    return f"SELECT file_row_number, {codes}, {placed}, left_out, reason FROM {relation} rows_ {joins}"


def _count_dropped(batch: pa.RecordBatch, dropped: Counter[str]) -> np.ndarray:
    """Return which rows of a batch are kept, bool (rows,); count others by first reason."""
    user, item, event_type = (np.asarray(batch[column]) for column in ("user", "item", "type"))
    reasons = [
        *_said(batch["left_out"]),
        ("without a user", user == MISSING),
        ("without an item", item == MISSING),
        *_said(batch["reason"]),
        (f"with a user id of more than {LONGEST_USER_ID} characters", user == TOO_LONG),
        (f"with an item id of more than {LONGEST_ITEM_ID} characters", item == TOO_LONG),
        (f"with an event type of more than {LONGEST_EVENT_TYPE} characters", event_type == TOO_LONG),
    ]
    kept = np.ones(len(batch), dtype=bool)
    for reason, wrong in reasons:
        dropped[reason] += int((wrong & kept).sum())
        kept &= ~wrong
    return kept


def _said(reasons: pa.Array) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each reason in a column, and which rows have it."""
    for reason in reasons.unique().drop_null().to_pylist():
        yield reason, pc.equal(reasons, reason).fill_null(False).to_numpy(zero_copy_only=False)
