"""Copies, on this host, of bundles whose home is a url: whole or not at all, and checked before they are used."""

import hashlib
import logging
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from model_export.bundle.bundle import MANIFEST, BundleError, parse_manifest, verify_file
from model_export.bundle.homes.folder import COPYING, REMOVING, clear_leftovers, file_stamps, remove_aside
from model_export.bundle.homes.home import FileStamps
from model_export.bundle.leftovers import clear
from model_export.bundle.lock import locked
from model_export.bundle.manifest_schema import is_version
from model_export.bundle.pointer import read_pointer, write_pointer

__all__ = ["Fetch", "LocalCopies", "folder_of"]

LOCK = ".copies.lock"

Fetch = Callable[[str, Path], None]  # writes the file of this name

log = logging.getLogger(__name__)


def folder_of(url: str, cache: Path) -> Path:
    """Return the folder of the copies of a url's bundles; two urls have two."""
    slug = re.sub(r"[^a-z0-9]+", "-", url.lower()).strip("-")[:60]
    return cache / "bundles" / f"{slug}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"


class LocalCopies:
    """The copies of one url's bundles in a folder, which several processes of the host share.

    A copy that this process has not used yet is compared with its manifest's checksums first: one that was damaged is
    fetched again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.good: dict[str, FileStamps] = {}  # version -> its files when they were found good

    def take(self, version: str, manifest: bytes, fetch: Fetch, name: str) -> Path:
        """Return the folder of a version with this manifest, fetched if it is not here.

        Parameters
        ----------
        manifest : content of its manifest.json at home.
        name : url of the version, for messages.

        Raises
        ------
        BundleError
            If a file is missing at home, or is not as the manifest says; names it by its url.
        OSError
            If it cannot be fetched or written.
        """
        with self._locked():
            if not self._has(version, manifest):
                self._fetch(version, manifest, fetch, name)
            self.good[version] = file_stamps(self.folder / version)
        return self.folder / version

    def manifest(self, version: str) -> bytes | None:
        """Return the manifest of a copy; None without one."""
        try:
            return (self.folder / version / MANIFEST).read_bytes()
        except OSError:
            return None

    def note_pointer(self, versions: Sequence[str]) -> None:
        """Note what the pointer says, for who starts while nobody answers."""
        if versions:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_pointer(self.folder, versions)

    def noted_pointer(self) -> list[str]:
        """Return what the pointer said when a process of this host last read it; [] if none did."""
        return read_pointer(self.folder)

    def keep(self, versions: Collection[str]) -> None:
        """Remove all copies but these."""
        with self._locked():
            for copy in self.folder.iterdir():
                if copy.is_dir() and is_version(copy.name) and copy.name not in versions:
                    log.info("the copy of %s in %s is not needed any more", copy.name, self.folder)
                    remove_aside(copy)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process fetch, the others wait; remove what was cut off."""
        with locked(self.folder / LOCK, lambda: log.info("waiting: another process is fetching to %s", self.folder)):
            clear_leftovers(self.folder, COPYING, REMOVING)
            yield

    def _has(self, version: str, manifest: bytes) -> bool:
        """Tell whether there is a good copy of a version with this manifest."""
        copy = self.folder / version
        if self.manifest(version) != manifest:
            return False
        if self.good.get(version) == file_stamps(copy):
            return True
        try:
            _verify(copy, manifest, str(copy))
        except BundleError as error:
            log.warning("%s; it is fetched again", error)
            return False
        return True

    def _fetch(self, version: str, manifest: bytes, fetch: Fetch, name: str) -> None:
        """Fetch all files under a temporary name, compare them, and rename the whole."""
        partial = Path(tempfile.mkdtemp(prefix=COPYING, dir=self.folder))
        try:
            for file in parse_manifest(manifest, f"{name}/{MANIFEST}").files:
                fetch(file, partial / file)
            (partial / MANIFEST).write_bytes(manifest)
            _verify(partial, manifest, name)
            partial.chmod(0o755)  # mkdtemp makes it private; other processes may run as another user
            if (self.folder / version).exists():
                remove_aside(self.folder / version)
            partial.rename(self.folder / version)
        finally:
            if partial.exists():
                clear(partial)


def _verify(copy: Path, manifest: bytes, name: str) -> None:
    """Compare the files of a folder with a manifest; errors name them as below `name`."""
    try:
        for file, expected in parse_manifest(manifest, f"{name}/{MANIFEST}").files.items():
            verify_file(copy / file, expected)
    except BundleError as error:
        raise BundleError(str(error).replace(str(copy), name)) from error
