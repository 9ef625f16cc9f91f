"""Read interaction logs as people have them: `read_log` is the way in.

`write_table` keeps a log in one Parquet file that `read_log` reads back the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mindstream.archive.folder import reading
from mindstream.mapping import AS_IT_IS, Mapping, load_mapping
from mindstream.objects.fetched import fetched, is_in_bucket
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
    if is_in_bucket(str(path)):
        with fetched(str(path)) as copy, _named_by(path, copy):
            return _read(copy, mapping, str(path))
    return _read(path, mapping, path)


def _read(path: str | Path, mapping: Mapping, source: str | Path) -> InteractionLog:
    """Read a log that lies on this host; messages name `source`."""
    if mapping == AS_IT_IS and is_own_table(path):
        return read_own_table(path)
    with reading(path):
        return read(layout_of(str(path), mapping), source)


@contextmanager
def _named_by(url: str | Path, copy: Path) -> Iterator[None]:
    """Let errors name the url instead of the copy, which is gone when they are read."""
    try:
        yield
    except (FileNotFoundError, ValueError) as error:
        said = str(error).replace(str(copy), str(url))
        raise (FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError)(said) from error
