"""Spreadsheets: the rows of all sheets as text."""

import pandas as pd
import pyarrow as pa
from python_calamine import CalamineError

__all__ = ["rows_of"]


def rows_of(file: str) -> pa.Table:
    """Return the rows of all sheets with the columns of the first, as text.

    Null where a cell is empty.

    Raises
    ------
    ValueError
        If the file is no spreadsheet or a sheet has other columns; names the file.
    """
    try:
        # With pandas' own list of missing values a description "NA" would be none.
        found = pd.read_excel(
            file, sheet_name=None, engine="calamine", dtype="str", keep_default_na=False, na_values=[""]
        )
    except (CalamineError, ValueError) as error:
        raise ValueError(f"{file} is not a spreadsheet that can be read: {error}") from error
    sheets = {name: sheet for name, sheet in found.items() if len(sheet.columns)}
    names = [[str(name) for name in sheet.columns] for sheet in sheets.values()]
    for sheet, own in zip(sheets, names, strict=True):
        if own != names[0]:
            raise ValueError(
                f"{file}: sheet {sheet!r} has the columns {', '.join(own)}, the first one has {', '.join(names[0])}"
            )
    rows = pd.concat(sheets.values(), ignore_index=True) if sheets else pd.DataFrame()
    return pa.Table.from_pandas(rows, preserve_index=False)
