"""Read interaction logs as people have them: `read_log` is the way in.

`write_table` keeps a log in one Parquet file that `read_log` reads back the same.
"""

from pathlib import Path

from mindstream.archive.folder import reading
from mindstream.mapping import AS_IT_IS, Mapping, load_mapping
from model_export.data.interactions import InteractionLog
from model_export.readers.own_table import is_own_table, read_own_table, write_table
from model_export.readers.pipeline import read
from model_export.readers.recognise import formats, layout_of

__all__ = ["Mapping", "formats", "load_mapping", "read_log", "write_table"]


def read_log(path: str | Path, mapping: Mapping = AS_IT_IS) -> InteractionLog:
    """Read an interaction log; what is left out is counted in its `dropped`, by reason.

    Every event type is read; `behaviours_of` keeps those that count.

    Parameters
    ----------
    path : str or Path
        A file, a folder of parts or of a publisher's files, a glob, or the address of an object store. An archive is
        read as it is between two changes.
    mapping : Mapping
        Which column is which, and how the files are to be read; by default both are told by the files.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the path, or a file that the format needs is not there.
    ValueError
        If the format is unknown, a column is missing, a file cannot be read, most times are none, or no
        interaction remains.
    """
    if mapping == AS_IT_IS and is_own_table(path):
        return read_own_table(path)
    with reading(path):
        return read(layout_of(str(path), mapping), path)
