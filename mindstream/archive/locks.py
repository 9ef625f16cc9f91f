"""Locks on files, and waiting until a file is on the disk."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["held_lock", "sync"]

AGAIN_S = 0.02


@contextmanager
def held_lock(file: Path, kind: int, wait_s: float, busy: str) -> Iterator[None]:
    """Hold a lock on a file that is there, while the block lasts.

    Parameters
    ----------
    kind : fcntl.LOCK_SH or LOCK_EX.
    busy : what to say where others hold it for longer than we wait.

    Raises
    ------
    BlockingIOError
        Says `busy`.
    """
    mode = os.O_RDONLY if kind == fcntl.LOCK_SH else os.O_RDWR  # without it NFS gives nobody a lock alone
    descriptor = os.open(file, mode | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + wait_s
        while not _try_to_lock(descriptor, kind):
            if time.monotonic() >= deadline:
                raise BlockingIOError(errno.EAGAIN, busy)
            time.sleep(AGAIN_S)
        yield
    finally:
        os.close(descriptor)  # gives the lock back


def _try_to_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sync(place: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
