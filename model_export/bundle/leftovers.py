"""Removing what nobody needs any more, whatever it is; and waiting until files are on disk."""

import logging
import os
import shutil
from pathlib import Path

__all__ = ["clear", "flush", "flush_entry", "remove"]

log = logging.getLogger(__name__)


def remove(path: Path) -> None:
    """Remove a file, a folder with all that is in it, or a link; what a link leads to stays.

    Raises
    ------
    OSError
        If it may not be removed.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        _open_folders(path)
        shutil.rmtree(path)


def _open_folders(path: Path) -> None:
    """Allow ourselves to change a folder and those in it, as far as they are ours."""
    path.chmod(0o700)
    for parent, folders, _ in os.walk(path):  # from above: each is opened before it is listed
        for name in folders:
            if not os.path.islink(os.path.join(parent, name)):
                os.chmod(os.path.join(parent, name), 0o700)


def clear(path: Path) -> None:
    """Remove a leftover; one that may not be removed is said, and holds nobody up."""
    try:
        remove(path)
    except OSError as error:
        log.warning("%s is a leftover that cannot be removed (%s); please remove it by hand", path, error)


def flush(folder: Path) -> None:
    """Wait until a folder and its files are on disk, so that a power loss does not undo them."""
    for file in folder.iterdir():
        if file.is_file():  # opening a pipe would wait for whoever writes to it
            flush_entry(file)
    flush_entry(folder)


def flush_entry(path: Path) -> None:
    """Wait until a file's content, or a folder's list, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
