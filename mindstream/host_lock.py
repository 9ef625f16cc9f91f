"""A lock that the processes of one host share, and that those of other hosts and other containers are refused."""

import fcntl
import os
import platform
import weakref
from pathlib import Path

__all__ = ["HostLock"]

LONGEST = 500  # bytes that a holder writes


class HostLock:
    """A file that is locked for as long as the object lives, or until it is closed.

    LMDB knows its readers by their process ids. In two containers two processes have the same id, and each would free
    the pages that the other reads; on two hosts nothing of what LMDB locks holds. So who shares a folder has to see the
    others as processes.

    Parameters
    ----------
    file : made if it is not there.

    Raises
    ------
    BlockingIOError
        If processes of another host or container hold it; the message says of which.
    OSError
        If the file cannot be written or locked.
    """

    def __init__(self, file: Path) -> None:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self.close = weakref.finalize(self, os.close, descriptor)
        try:
            _share(descriptor)
        except BaseException:
            self.close()
            raise


def _share(descriptor: int) -> None:
    """Lock a file together with whoever is here; the first one writes where that is."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, here().encode(), 0)
    except BlockingIOError:
        pass  # others hold it, and have written where they are
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    # Between the two locks another one may have been the first as well: what counts is what stands there now.
    there = os.pread(descriptor, LONGEST, 0).decode(errors="replace")
    if there != here():
        raise BlockingIOError(f"processes of another host or container use it ({there}; this one is {here()})")


def here() -> str:
    """Return a name of this host and of the processes on it that see each other."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"boot {boot}, {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux, where containers are hosts
        return platform.node()
