"""Tell the format of an interaction log by file names, headers and, for Taobao, the first line."""

from pathlib import Path

from model_export.readers import comirec, movielens, online_retail, table, taobao
from model_export.readers.files import column_names, is_data_file, only_file, unknown_format

__all__ = ["detect"]

_MARKERS = {
    "u.data": "movielens-100k",
    movielens.RECBOLE_RATINGS: "movielens-100k",
    "ratings.dat": "movielens-1m",
}


def detect(path: Path) -> str:
    """Return the format of a file or folder.

    Raises
    ------
    ValueError
        If it cannot be told; names the path and the formats.
    """
    folder = path if path.is_dir() else path.parent
    if path.is_dir() or path.name in movielens.FILES:
        for name, kind in _MARKERS.items():
            if (folder / name).exists():
                return kind
    if comirec.data_set_names(path):
        return "comirec"
    file = only_file(path)
    if not is_data_file(file):
        raise unknown_format(file, "expected a name ending in .csv, .tsv, .parquet or .xlsx")
    return "online-retail" if file.suffix.lower() == ".xlsx" else _by_columns(file)


def _by_columns(file: Path) -> str:
    names = column_names(file)
    if set(online_retail.COLUMNS) <= set(names):
        return "online-retail"
    if taobao.looks_like(names):
        return "taobao"
    # One column is enough: the reader's own message then says which of the others are missing.
    if any(table.find_column(names, field) for field in table.REQUIRED):
        return "table"
    raise unknown_format(file, f"its first line reads {', '.join(names[:12])!r}")
