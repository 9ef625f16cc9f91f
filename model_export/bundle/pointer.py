"""The pointer of a folder of bundles: a file that names the current version, and below it those of before."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from model_export.bundle.errors import BundleError
from model_export.bundle.leftovers import flush_entry

__all__ = ["POINTER", "POINTING", "read_pointer", "write_pointer"]

POINTER, POINTING = "CURRENT", ".pointer-"


def read_pointer(folder: Path) -> list[str]:
    """Return the current version and the earlier ones, latest first; [] if there is none.

    Raises
    ------
    BundleError
        If the pointer is there and cannot be read.
    """
    file = folder / POINTER
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not file.is_symlink():
            return []
        raise BundleError(f"{file} cannot be read: {error.strerror or error}; right is a file of versions") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def write_pointer(folder: Path, versions: Sequence[str]) -> None:
    """Replace the pointer atomically: readers see the old or the new one.

    Parameters
    ----------
    versions : the current version, then the earlier ones, latest first.
    """
    descriptor, partial = tempfile.mkstemp(prefix=POINTING, dir=folder)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.writelines(f"{version}\n" for version in versions)
        stream.flush()
        os.fsync(stream.fileno())
    os.chmod(partial, 0o644)
    if (folder / POINTER).is_dir() and not (folder / POINTER).is_symlink():
        (folder / POINTER).rmdir()  # one that is not empty stays: what is in it is not ours
    os.replace(partial, folder / POINTER)
    flush_entry(folder)
