"""Files that settings and addresses name."""

from pathlib import Path

__all__ = ["why_unreadable"]


def why_unreadable(file: Path) -> str | None:
    """Return why a file cannot be read; None where it can."""
    try:
        file.open("rb").close()
    except OSError as error:
        return error.strerror
    return None
