"""A lock between processes: a file that one of them holds, and that is free again when that process ends."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["locked"]


@contextmanager
def locked(file: Path, taken: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file while the context is open.

    Parameters
    ----------
    taken : called where another process holds the lock. What it raises goes to the caller; else the lock is waited for.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            taken()
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
