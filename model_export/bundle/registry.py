"""The folder of published bundles and the pointer that names the current one.

models/
  CURRENT              the version of the current bundle; below it those that were current before, the latest first
  20261123T070000Z/    a bundle
  20261124T070000Z/    ...
  .lock                held by whoever changes something here
  .copying-..., .removing-..., .pointer-...    of a change that is under way, or was cut off
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from model_export.bundle.bundle import MANIFEST, Bundle, BundleError, required_files
from model_export.bundle.lock import locked
from model_export.bundle.manifest_schema import is_version

__all__ = ["LOCK", "POINTER", "NoEarlierBundleError", "Registry"]

POINTER, LOCK = "CURRENT", ".lock"
COPYING, REMOVING, POINTING = ".copying-", ".removing-", ".pointer-"

log = logging.getLogger(__name__)


class NoEarlierBundleError(BundleError):
    """No bundle was current before, so that a rollback has nothing to go to."""


class Registry:
    """Published bundles below one folder.

    Parameters
    ----------
    check : what a bundle must pass before it becomes current; it raises BundleError. The command line passes the
        full check of check.py, which needs ONNX Runtime.
    """

    def __init__(self, folder: Path, check: Callable[[Bundle], None] = Bundle.verify) -> None:
        self.folder, self.check = folder, check

    def pointer(self) -> list[str]:
        """Return the current version and the earlier ones, latest first.

        Empty before the first publish.
        """
        try:
            text = (self.folder / POINTER).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return [line.strip() for line in text.splitlines() if line.strip()]

    def current_version(self) -> str | None:
        """Return the version that the pointer names, or None before the first publish."""
        return next(iter(self.pointer()), None)

    def current(self) -> Bundle:
        """Open the current bundle and compare its files with their checksums.

        Raises
        ------
        BundleError
            If nothing was published yet, or the pointer names a bundle that is not there or was damaged.
        """
        version = self.current_version()
        if not version:
            raise BundleError(
                f"no model was published in {self.folder}; `make demo` or `mindstream model publish` does that"
            )
        bundle = self.open(version)
        bundle.verify()
        return bundle

    def open(self, version: str) -> Bundle:
        """Open a bundle of the registry, unchecked.

        Raises
        ------
        BundleError
            If the version is no name, or there is no bundle of that name.
        """
        if not is_version(version) or version == POINTER:
            raise BundleError(
                f"{version!r} is no version: right are letters, digits, '.', '_' and '-', not a path or a hidden name"
            )
        bundle = Bundle(self.folder / version)
        if bundle.version != version:
            raise BundleError(f"{bundle.path} holds bundle {bundle.version}; a folder is called as the version in it")
        return bundle

    def versions(self) -> list[str]:
        """Return the versions of all bundles here, oldest first; versions sort by time."""
        return sorted(file.parent.name for file in self.folder.glob(f"*/{MANIFEST}") if is_version(file.parent.name))

    def publish(self, path: Path) -> Bundle:
        """Copy a bundle into the registry, check it, and make it current by one atomic rename.

        Until the rename the old bundle is current; a copy that was cut off is never seen under a version's name.

        Raises
        ------
        BundleError
            If the bundle or its copy is not whole, or there is one of that version. The pointer then stays as it is.
        """
        bundle = Bundle(path)
        if path.resolve() == (self.folder / bundle.version).resolve():
            return self.promote(bundle.version)
        self.check(bundle)
        with self._locked():
            self._copy_files(bundle)
            self.point_to(bundle.version)
        return self.open(bundle.version)

    def promote(self, version: str) -> Bundle:
        """Make a bundle current that is in the registry already.

        Raises
        ------
        BundleError
            If it is not here or not whole. The pointer then stays as it is.
        """
        with self._locked():
            bundle = self.open(version)
            self.check(bundle)
            _flush(bundle.path)
            self.point_to(version)
        return bundle

    def rollback(self) -> Bundle:
        """Make the previously current bundle current again.

        The bundle that is left is forgotten by the pointer, not removed.

        Raises
        ------
        NoEarlierBundleError
            If there was none before.
        BundleError
            If it is not whole. Either way the pointer stays as it is.
        """
        with self._locked():
            pointer = self.pointer()
            if len(pointer) < 2:
                now = "".join(pointer) or "another"
                raise NoEarlierBundleError(
                    f"{self.folder / POINTER} names no bundle that was current before {now}; "
                    "`mindstream model promote VERSION` makes any of them current"
                )
            bundle = self.open(pointer[1])
            self.check(bundle)
            self.write_pointer(pointer[1:])
        return bundle

    def prune(self, keep: int) -> list[str]:
        """Remove all but the newest `keep` bundles and return the removed versions.

        The current bundle stays, and the one that `rollback` would go to. So does what is not whole: it may be on
        its way here.
        """
        with self._locked():
            pointer, versions = self.pointer(), self.versions()
            spared = {*pointer[:2], *versions[max(0, len(versions) - keep) :]}
            old = [version for version in versions if version not in spared and self._is_whole(version)]
            if set(old) & set(pointer):  # the pointer first: it never names what is half gone
                self.write_pointer([version for version in pointer if version not in old])
            for version in old:
                gone = self.folder / f"{REMOVING}{version}"
                os.replace(self.folder / version, gone)
                shutil.rmtree(gone)
        return old

    def _is_whole(self, version: str) -> bool:
        """Tell whether a bundle has all its files in the manifest's sizes."""
        try:
            bundle = self.open(version)
            sizes = {
                name: (bundle.path / name).stat().st_size
                for name in (*required_files(bundle.manifest), *bundle.manifest.files)
            }
            return all(sizes[name] == entry["bytes"] for name, entry in bundle.manifest.files.items())
        except (BundleError, OSError):
            return False

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the registry's lock, and remove what interrupted changes left behind."""
        with locked(self.folder / LOCK, lambda: log.info("waiting: another process is changing %s", self.folder)):
            for prefix in (COPYING, REMOVING, POINTING):  # whoever held the lock is done or dead
                for leftover in self.folder.glob(f"{prefix}*"):
                    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
            yield

    def _copy_files(self, bundle: Bundle) -> None:
        """Copy a bundle's listed files under a temporary name, then rename the whole copy."""
        destination = self.folder / bundle.version
        if destination.exists():
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
            _flush(partial)
            partial.rename(destination)
            _flush_entry(self.folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def point_to(self, version: str) -> None:
        """Make a version the current one; the one before stays in the pointer."""
        self.write_pointer([version, *(one for one in self.pointer() if one != version)])

    def write_pointer(self, versions: Sequence[str]) -> None:
        """Replace the pointer atomically: readers see the old or the new one.

        Parameters
        ----------
        versions : the current version, then the earlier ones, latest first.
        """
        descriptor, partial = tempfile.mkstemp(prefix=POINTING, dir=self.folder)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.writelines(f"{version}\n" for version in versions)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(partial, 0o644)
        os.replace(partial, self.folder / POINTER)
        _flush_entry(self.folder)


def _flush(folder: Path) -> None:
    """Wait until a folder and its files are on disk, so that a power loss does not undo them."""
    for file in folder.iterdir():
        _flush_entry(file)
    _flush_entry(folder)


def _flush_entry(path: Path) -> None:
    """Wait until a file's content, or a folder's list, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
