"""Read interaction logs as their publishers ship them, and tables of one's own.

`read_log` is the way in; `write_table` keeps a log in one Parquet file that `read_log` reads back the same.
"""

from collections.abc import Callable
from pathlib import Path

from model_export.data.interactions import InteractionLog
from model_export.readers import comirec, movielens, online_retail, table, taobao
from model_export.readers.detect import detect
from model_export.readers.files import FORMATS
from model_export.readers.table import write_table

__all__ = ["FORMATS", "read_log", "write_table"]

_READERS: dict[str, Callable[[Path], InteractionLog]] = {
    "table": table.read,
    "online-retail": online_retail.read,
    "movielens-100k": movielens.read_100k,
    "movielens-1m": movielens.read_1m,
    "taobao": taobao.read,
    "comirec": comirec.read,
}


def read_log(path: str | Path, format: str = "auto") -> InteractionLog:
    """Read an interaction log; unusable rows are counted in its `dropped`, by reason.

    Parameters
    ----------
    path : str or Path
        The file, or the folder it is in (MovieLens, ComiRec: the folder or any of its files).
    format : str
        One of `FORMATS`, or "auto": told by file names and headers.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the path, or a file that the format needs is not there.
    ValueError
        If the format is unknown or cannot be told, a column is missing, the file cannot be parsed, or
        no interaction remains.
    """
    path = Path(path)
    if format != "auto" and format not in _READERS:
        raise ValueError(f"unknown format {format!r}; expected one of: auto, {', '.join(FORMATS)}")
    if not path.exists():
        raise FileNotFoundError(f"no file or folder at {path}")
    return _READERS[detect(path) if format == "auto" else format](path)
