"""What a registry asks of the place where its bundles live."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from model_export.bundle.bundle import Bundle, Manifest

__all__ = ["BundleHome", "FileStamps", "never"]

FileStamps = frozenset[tuple[str | int, ...]]  # of each file of a bundle, what changes whenever it is written


def never() -> bool:
    """Say that nobody wants to stop."""
    return False


class BundleHome(Protocol):
    """Where published bundles live, and the pointer that names the current one.

    Attributes
    ----------
    folder : where the bundles that are opened lie, on this host.
    name : path or url, for messages; `pointer_name`: of the pointer.
    look_every_s : seconds between two looks at the pointer of whoever follows it.
    """

    folder: Path
    name: str
    pointer_name: str
    look_every_s: float

    def read_pointer(self) -> list[str]:
        """Return the current version and the earlier ones, latest first; [] if there is none.

        Raises
        ------
        BundleError
            If the pointer is there and cannot be read.
        OSError
            If nobody answers who could tell.
        """
        ...

    def known_pointer(self) -> list[str]:
        """Return the pointer; where nobody answers, as it was last known on this host, if it was."""
        ...

    def has_pointer(self) -> bool:
        """Tell whether there is a pointer, whatever it says."""
        ...

    def write_pointer(self, versions: Sequence[str]) -> None:
        """Replace the pointer in one step: readers see the old or the new one."""
        ...

    def pointer_seen(self) -> tuple[str, float]:
        """Return the version that the pointer names and since when, as far as it is known here.

        Nothing is waited for but a disk.

        Returns
        -------
        The version, "" if none is named; Unix time in seconds.

        Raises
        ------
        BundleError, OSError
            If the pointer could not be read.
        """
        ...

    def versions(self) -> list[str]:
        """Return the versions of all bundles, oldest first; versions sort by time."""
        ...

    def manifest(self, version: str) -> Manifest:
        """Read the manifest of a version.

        Raises
        ------
        BundleError
            If there is none, or it cannot be read.
        """
        ...

    def sizes(self, version: str) -> dict[str, int]:
        """Return file name -> bytes of what is there of a version."""
        ...

    def stamps(self, version: str) -> FileStamps:
        """Return what changes whenever a file of a version is written; nothing without files."""
        ...

    def bring(self, version: str, stopping: Callable[[], bool] = never) -> Path:
        """Return the folder of a version on this host, which may have to be fetched first.

        Parameters
        ----------
        stopping : asked now and then; where it says yes, fetching ends with a BundleError.

        Raises
        ------
        BundleError
            If there is no such version, or its files are not those of its manifest.
        """
        ...

    def add(self, bundle: Bundle) -> None:
        """Copy a bundle here: it has its version's name once it is whole, and not before.

        Raises
        ------
        BundleError
            If there is one of that version, or the copy is not as the original.
        """
        ...

    def settle(self, version: str) -> None:
        """Wait until the files of a version would outlast a power loss."""
        ...

    def remove(self, version: str) -> None:
        """Remove a version, or what is left of one."""
        ...

    def leftovers(self, newest: Sequence[str]) -> list[str]:
        """Return the versions that are none, and that nobody is about to complete.

        Parameters
        ----------
        newest : versions that stay, oldest first; not empty.
        """
        ...

    def changing(self) -> AbstractContextManager[None]:
        """Hold what keeps other processes of this host from changing anything here."""
        ...
