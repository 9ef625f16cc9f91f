"""Bundles in a folder that this host, or a volume, has.

models/
  CURRENT              the version of the current bundle; below it those that were current before, the latest first
  20261123T070000Z/    a bundle
  20261124T070000Z/    ...
  .lock                held by whoever changes something here
  .copying-..., .removing-..., .pointer-...    of a change that is under way, or was cut off
"""

import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from model_export.bundle.bundle import MANIFEST, Bundle, Manifest, read_manifest
from model_export.bundle.errors import BundleError
from model_export.bundle.homes.home import FileStamps, never
from model_export.bundle.leftovers import clear, flush, flush_entry
from model_export.bundle.lock import locked
from model_export.bundle.manifest_schema import is_version
from model_export.bundle.pointer import POINTER, POINTING, read_pointer, write_pointer

__all__ = ["COPYING", "LOCK", "REMOVING", "FolderHome", "clear_leftovers", "file_stamps", "remove_aside"]

LOCK = ".lock"
COPYING, REMOVING = ".copying-", ".removing-"
LOOK_EVERY_S = 0.2

log = logging.getLogger(__name__)


class FolderHome:
    """A `BundleHome` that is a folder; what is opened is used where it lies."""

    look_every_s = LOOK_EVERY_S

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name, self.pointer_name = str(folder), str(folder / POINTER)

    def read_pointer(self) -> list[str]:
        """Return the current version and the earlier ones, latest first."""
        return read_pointer(self.folder)

    def known_pointer(self) -> list[str]:
        """Return the pointer."""
        return self.read_pointer()

    def has_pointer(self) -> bool:
        """Tell whether there is a file of that name."""
        return (self.folder / POINTER).exists()

    def write_pointer(self, versions: Sequence[str]) -> None:
        """Replace the pointer by one rename."""
        write_pointer(self.folder, versions)

    def pointer_seen(self) -> tuple[str, float]:
        """Return the version that the pointer names, and when it was written."""
        return next(iter(self.read_pointer()), ""), (self.folder / POINTER).stat().st_mtime

    def versions(self) -> list[str]:
        """Return the folders that have a manifest."""
        return sorted(file.parent.name for file in self.folder.glob(f"*/{MANIFEST}") if is_version(file.parent.name))

    def manifest(self, version: str) -> Manifest:
        """Read the manifest of a version."""
        return read_manifest(self.folder / version)

    def sizes(self, version: str) -> dict[str, int]:
        """Return file name -> bytes; of what is no file, none."""
        return {file.name: file.stat().st_size for file in (self.folder / version).iterdir() if file.is_file()}

    def stamps(self, version: str) -> FileStamps:
        """Return name, inode, size and change times of the files."""
        return file_stamps(self.folder / version)

    def bring(self, version: str, stopping: Callable[[], bool] = never) -> Path:
        """Return where the version lies."""
        if not os.path.lexists(self.folder / version):
            there = "`mindstream model list` shows those that are there"
            raise BundleError(f"{self.folder / version} is not a bundle: there is no such folder; {there}")
        return self.folder / version

    def add(self, bundle: Bundle) -> None:
        """Copy a bundle's listed files under a temporary name, then rename the whole copy."""
        destination = self.folder / bundle.version
        if os.path.lexists(destination):
            raise BundleError(f"{destination} exists already; a version is published once (`promote` makes it current)")
        partial = Path(tempfile.mkdtemp(prefix=COPYING, dir=self.folder))
        try:
            for name in (*bundle.manifest.files, MANIFEST):
                shutil.copyfile(bundle.path / name, partial / name)
            copied = Bundle(partial)
            if copied.manifest != bundle.manifest:
                raise BundleError(f"{bundle.path / MANIFEST} was changed while the bundle was copied")
            copied.verify()
            partial.chmod(0o755)  # mkdtemp makes it private; updaters may run as another user
            flush(partial)
            partial.rename(destination)
            flush_entry(self.folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def settle(self, version: str) -> None:
        """Wait until the files are on the disk."""
        flush(self.folder / version)

    def remove(self, version: str) -> None:
        """Rename a version and remove it, so that nobody sees half of it; of a link, the link."""
        remove_aside(self.folder / version)

    def leftovers(self, newest: Sequence[str]) -> list[str]:
        """Return links to nothing; one newer than what is kept may be on its way here."""
        found = [file for file in self.folder.iterdir() if file.is_symlink() and not file.exists()]
        names = [file.name for file in found if is_version(file.name) and file.name != POINTER]
        return [name for name in names if name < newest[0]]

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the folder's lock, and remove what interrupted changes left behind."""
        with locked(self.folder / LOCK, lambda: log.info("waiting: another process is changing %s", self.folder)):
            clear_leftovers(self.folder, COPYING, REMOVING, POINTING)
            yield


def clear_leftovers(folder: Path, *prefixes: str) -> None:
    """Remove what interrupted changes left; who holds the lock knows that nobody is at it."""
    for prefix in prefixes:
        for leftover in folder.glob(f"{prefix}*"):
            clear(leftover)


def remove_aside(version: Path) -> None:
    """Rename a bundle and remove it, so that nobody sees half of it; of a link, the link."""
    gone = version.with_name(f"{REMOVING}{version.name}-{secrets.token_hex(4)}")
    os.replace(version, gone)
    clear(gone)


def file_stamps(folder: Path) -> FileStamps:
    """Return name, inode, size and change times of a folder's files.

    They are empty without the folder.
    """
    try:
        stats = [(file.name, file.stat()) for file in folder.iterdir()]
    except OSError:
        return frozenset()
    return frozenset(
        (name, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in stats
    )
