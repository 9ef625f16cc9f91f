"""Columns of cells as text, as numbers and as times."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["to_numbers", "to_text", "to_times_ms"]

_NUMBER = r"^-?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$"
_LATEST_MS = 253_402_300_799_999  # the year 9999: what lies beyond is no time but a mistaken unit
# Magnitude below -> milliseconds in one unit: seconds, milliseconds, microseconds, nanoseconds.
_UNITS = [(1e11, 1e3), (1e14, 1.0), (1e17, 1e-3), (np.inf, 1e-6)]


def to_text(column: Any) -> pd.Series:
    """Convert a column to text, "" for missing cells.

    Whole floats lose their ".0", since integers with gaps are stored as floats.

    Parameters
    ----------
    column : an Arrow array or chunked array.

    Returns
    -------
    str (rows,)
    """
    column = _plain(column)
    if pa.types.is_floating(column.type):
        column = _whole(pc.if_else(pc.is_finite(column), column, None))
    filled = pc.fill_null(column.cast(pa.large_string()), "")
    return pd.Series(filled.to_pandas().array, dtype="str")


def to_numbers(column: Any) -> np.ndarray:
    """Convert a column to float64, NaN for missing cells and for what is no finite number.

    Parameters
    ----------
    column : an Arrow array or chunked array.
    """
    column = _plain(column)
    if _is_text(column):
        trimmed = pc.utf8_trim_whitespace(column)
        column = pc.if_else(pc.match_substring_regex(trimmed, _NUMBER), trimmed, None)
    values = column.cast(pa.float64(), safe=False).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def to_times_ms(column: Any, name: str) -> np.ndarray:
    """Convert a column to Unix times in milliseconds: float64 and whole, or NaN.

    NaN stands for cells that are missing or cannot be read.

    Numbers are seconds, milliseconds, microseconds or nanoseconds: the median's magnitude tells which,
    for the whole column, unless the name ends in "_ms". Text is ISO dates, UTC if no zone is given.

    Raises
    ------
    ValueError
        If no value of a non-empty column can be read, or numbers look like dates (20171125).
    """
    column = _plain(column)
    times = _from_dates(column) if pa.types.is_temporal(column.type) else _from_cells(column, name)
    times = np.where(np.abs(times) <= _LATEST_MS, times, np.nan)
    if np.isnan(times).all() and column.null_count < len(column):
        example = pc.drop_null(column)[0].as_py()
        raise ValueError(
            f"no time in column {name!r} can be read, for example {str(example)!r}; "
            "expected ISO dates such as 2017-11-25T08:30:00Z or Unix times"
        )
    return times


def _plain(column: Any) -> Any:
    """Return a column without dictionary encoding, which few of Arrow's functions take."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _is_text(column: Any) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def _whole(column: Any) -> Any:
    """Convert floats to integers if all are whole."""
    is_whole = pc.all(pc.equal(pc.floor(column), column)).as_py()
    return column.cast(pa.int64()) if is_whole else column


def _from_cells(column: Any, name: str) -> np.ndarray:
    values = to_numbers(column)
    are_dates = 2 * np.isfinite(values).sum() < len(column) - column.null_count  # most are no numbers
    return _from_iso(column) if are_dates and _is_text(column) else _from_unix(values, name)


def _from_unix(values: np.ndarray, name: str) -> np.ndarray:
    known = values[~np.isnan(values)]
    if name.lower().endswith("_ms") or not len(known):
        return np.round(values)
    middle = float(np.median(np.abs(known)))
    if 19_000_101 <= middle <= 21_001_231 and ((known % 100 >= 1) & (known % 100 <= 31)).all():
        raise ValueError(f"times in column {name!r} look like dates ({middle:.0f}); write them as 2017-11-25")
    factor = next(factor for below, factor in _UNITS if middle < below)
    return np.round(values * factor)


def _from_iso(column: Any) -> np.ndarray:
    column = pc.replace_substring_regex(pc.utf8_trim_whitespace(column), r" ?UTC$", "Z")
    for zone in (None, "UTC"):  # Arrow's parser is fast, but takes only a column that is all of one kind
        try:
            return _from_dates(column.cast(pa.timestamp("ms", zone)))
        except pa.ArrowInvalid:
            continue
    parsed = pd.to_datetime(column.to_pandas(), format="ISO8601", utc=True, errors="coerce")
    return _from_dates(pa.chunked_array([pa.Array.from_pandas(parsed)]))


def _from_dates(column: Any) -> np.ndarray:
    zone = getattr(column.type, "tz", None)
    milliseconds = column.cast(pa.timestamp("ms", zone), safe=False).cast(pa.int64())
    return np.asarray(milliseconds.cast(pa.float64(), safe=False).to_numpy())
