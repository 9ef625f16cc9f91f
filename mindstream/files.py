"""Files that settings, addresses and command lines name."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["check_readable", "check_writable", "file_errors", "file_system_of", "lines_of", "why_unreadable"]


def why_unreadable(file: Path) -> str | None:
    """Return why a file cannot be read; None where it can."""
    try:
        file.open("rb").close()
    except OSError as error:
        return error.strerror
    return None


def check_readable(file: Path, right: str) -> None:
    """Raise OSError if a file cannot be read.

    Parameters
    ----------
    right : what would be right, for the sentence.
    """
    with file_errors(file, "read", right):
        file.open("rb").close()


def check_writable(file: Path, right: str) -> None:
    """Raise OSError if a file could not be written; nothing is made or changed."""
    with file_errors(file, "written", right):
        if file.exists():
            file.open("r+b").close()
        elif not file.absolute().parent.is_dir():
            raise FileNotFoundError(0, f"there is no folder {file.absolute().parent}")
        elif not os.access(file.absolute().parent, os.W_OK):
            raise PermissionError(0, f"the folder {file.absolute().parent} cannot be written")


@contextmanager
def file_errors(file: Path, doing: str, right: str) -> Iterator[None]:
    """Raise an error of the system as an OSError that names the file, and what would be right.

    Parameters
    ----------
    doing : "read" or "written".
    """
    try:
        yield
    except OSError as error:
        raise OSError(f"{file} cannot be {doing}: {error.strerror or error}; right is {right}") from error


def lines_of(file: Path, right: str) -> Iterator[bytes]:
    """Yield the lines of a file, or of stdin for -.

    Raises
    ------
    OSError
        If it cannot be read; what is raised by whoever takes the lines stays as it is.
    """
    if str(file) == "-":
        yield from sys.stdin.buffer
        return
    with file_errors(file, "read", right), file.open("rb") as stream:
        yield from stream


def file_system_of(folder: Path) -> str:
    """Return the type of the file system that a folder lies on, such as "ext4", or ""."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return ""
    found = "", ""
    for line in mounts:
        place, _, kind = line.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), place.split()[4])
        if folder.resolve().is_relative_to(point) and len(point) >= len(found[0]):
            found = point, kind.split()[0]
    return found[1]
