"""UCI Online Retail, a year of a UK gift shop: the .xlsx as published, and copies in CSV or Parquet."""

from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from python_calamine import CalamineError

from model_export.data.interactions import SEPARATOR, InteractionLog
from model_export.readers.cells import to_numbers, to_text, to_times_ms
from model_export.readers.delimited import read_delimited
from model_export.readers.files import column_names, delimiter, only_file
from model_export.readers.rows import drop_rows, in_time_order, latest_values, make_log

__all__ = ["COLUMNS", "read", "shared_words"]

COLUMNS = ("Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")


def read(path: Path) -> InteractionLog:
    """Read Online Retail. The description is the item, since some copies lack the stock code.

    Its words are the side feature "word": what is called alike (bags with one pattern, one thing in several colours) is
    bought alike.

    Rows without a customer, without a description or with a quantity that is not positive (cancelled
    orders, write-offs) are dropped. An item's price is its median unit price, in pounds sterling.
    Times are the shop's clock, taken as UTC.

    Raises
    ------
    ValueError
        If a column is missing, the file cannot be parsed or no interaction remains.
    """
    path = only_file(path)
    dropped: dict[str, int] = {}
    cells = _read_cells(path, dropped)
    try:
        rows = _event_rows(cells)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    rows = drop_rows(rows, rows.user_id == "", "without a customer", dropped)
    rows = drop_rows(rows, rows.item_id == "", "without a description", dropped)
    rows = drop_rows(rows, ~(rows.quantity > 0), "with a quantity that is not positive", dropped)
    rows = in_time_order(rows, path, dropped)
    items = rows.groupby("item_id").price.median().reset_index()
    items["word"] = shared_words(items.item_id)
    return make_log(rows, items, latest_values(rows, "user_id", ["country"]), path.name, dropped)


def shared_words(titles: pd.Series) -> pd.Series:
    """Return the words of each title that another title has too, joined by the separator.

    Once each and in lower case.
    """
    words = titles.str.lower().str.findall(r"\w+").explode().dropna().rename("word").reset_index().drop_duplicates()
    shared = words[words.groupby("word").word.transform("size") > 1]
    return shared.groupby("index").word.agg(SEPARATOR.join).reindex(titles.index, fill_value="")


def _read_cells(path: Path, dropped: dict[str, int]) -> pa.Table:
    if path.suffix.lower() == ".xlsx":
        return _read_sheets(path)
    names = column_names(path)
    _check_columns(path, names)
    if path.suffix.lower() == ".parquet":
        return pq.read_table(path, columns=list(COLUMNS))
    return _read_csv(path, names, dropped)


def _read_csv(path: Path, names: list[str], dropped: dict[str, int]) -> pa.Table:
    """Read a CSV copy as UTF-8, then as Latin-1: a widely spread copy has pound signs in it."""
    read_as = partial(read_delimited, path, names, wanted=list(COLUMNS), separator=delimiter(path), dropped=dropped)
    try:
        return read_as(encoding="utf-8")
    except ValueError as error:
        if "invalid UTF8" not in str(error):
            raise
    return read_as(encoding="latin-1")


def _read_sheets(path: Path) -> pa.Table:
    """Read all sheets with anything in them, as text: cells of a column are of mixed types."""
    sheets = [sheet for sheet in _sheets(path) if len(sheet.columns)]
    for sheet in sheets or [pd.DataFrame()]:
        _check_columns(path, [str(name) for name in sheet])
    together = pd.concat([sheet[list(COLUMNS)] for sheet in sheets])
    return pa.Table.from_pandas(together, preserve_index=False)


def _sheets(path: Path) -> list[pd.DataFrame]:
    try:
        # With pandas' own list of missing values a description "NA" would be none.
        found = pd.read_excel(
            path, sheet_name=None, engine="calamine", dtype="str", keep_default_na=False, na_values=[""]
        )
    except CalamineError as error:
        raise ValueError(f"{path} is not a spreadsheet that can be read: {error}") from error
    return list(found.values())


def _check_columns(path: Path, names: list[str]) -> None:
    if missing := [name for name in COLUMNS if name not in names]:
        raise ValueError(
            f"{path} is not Online Retail: no column {', '.join(missing)}; found {', '.join(names) or 'none'}"
        )


def _event_rows(cells: pa.Table) -> pd.DataFrame:
    return pd.DataFrame(
        {
            # Customers are missing in places, so that copies made with pandas have 17850.0.
            "user_id": to_text(cells["CustomerID"]).str.removesuffix(".0"),
            "item_id": to_text(cells["Description"]).str.strip(),
            "event_type": "buy",
            "event_time_ms": to_times_ms(_dates(cells["InvoiceDate"]), "InvoiceDate"),
            "quantity": to_numbers(cells["Quantity"]),
            "price": to_numbers(cells["UnitPrice"]),
            "country": to_text(cells["Country"]),
        }
    ).astype({"event_type": "str"})


def _dates(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Parse dates such as 12/1/2010 8:26, the month first; leave others as they are.

    CSV copies out of a spreadsheet write them so.
    """
    if pa.types.is_temporal(column.type) or not pc.any(pc.match_substring(column, "/")).as_py():
        return column
    return pc.strptime(column, format="%m/%d/%Y %H:%M", unit="ms", error_is_null=True)
