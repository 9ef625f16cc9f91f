"""Files that settings and addresses name."""

import re
from pathlib import Path

__all__ = ["file_system_of", "why_unreadable"]


def why_unreadable(file: Path) -> str | None:
    """Return why a file cannot be read; None where it can."""
    try:
        file.open("rb").close()
    except OSError as error:
        return error.strerror
    return None


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
