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
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from model_export.bundle.bundle import MANIFEST, Bundle, BundleError, required_files
from model_export.bundle.leftovers import clear, flush, flush_entry
from model_export.bundle.lock import locked
from model_export.bundle.manifest_schema import is_version
from model_export.bundle.pointer import POINTER, POINTING, read_pointer, write_pointer

__all__ = ["LOCK", "POINTER", "NoEarlierBundleError", "Registry"]

LOCK = ".lock"
COPYING, REMOVING = ".copying-", ".removing-"

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

        Raises
        ------
        BundleError
            If the pointer is there and cannot be read.
        """
        return read_pointer(self.folder)

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
        if not version and (self.folder / POINTER).exists():
            raise BundleError(
                f"{self.folder / POINTER} names no version; `mindstream model list` shows those that are there, and "
                "`mindstream model promote VERSION` makes one current"
            )
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
        if not os.path.lexists(self.folder / version):
            there = "`mindstream model list` shows those that are there"
            raise BundleError(f"{self.folder / version} is not a bundle: there is no such folder; {there}")
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
            flush(bundle.path)
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
        its way here. Of a bundle that is a link the link is removed, and not what it leads to.

        Raises
        ------
        BundleError
            If there are bundles, and the pointer names none: what is served would be removed.
        """
        with self._locked():
            pointer, versions = self.pointer(), self.versions()
            if versions and not (pointer and is_version(pointer[0])):
                raise BundleError(
                    f"{self.folder / POINTER} names no version, so that what is served is not known, and nothing is "
                    "removed; `mindstream model promote VERSION` makes one current"
                )
            newest = versions[max(0, len(versions) - keep) :]
            spared = {*pointer[:2], *newest}
            old = [version for version in versions if version not in spared and self.is_whole(version)]
            old += [link for link in self._dangling() if link not in spared and newest and link < newest[0]]
            if set(old) & set(pointer):  # the pointer first: it never names what is half gone
                self.write_pointer([version for version in pointer if version not in old])
            for version in sorted(old):
                gone = self.folder / f"{REMOVING}{version}-{secrets.token_hex(4)}"
                os.replace(self.folder / version, gone)
                clear(gone)
        return sorted(old)

    def _dangling(self) -> list[str]:
        """Return the versions that are links to nothing."""
        found = [file for file in self.folder.iterdir() if file.is_symlink() and not file.exists()]
        return [file.name for file in found if is_version(file.name) and file.name != POINTER]

    def is_whole(self, version: str) -> bool:
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
                    clear(leftover)
            yield

    def _copy_files(self, bundle: Bundle) -> None:
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

    def point_to(self, version: str) -> None:
        """Make a version the current one; the one before stays in the pointer.

        A pointer that cannot be read is written anew.
        """
        try:
            before = self.pointer()
        except BundleError as error:
            log.warning("%s; it is written anew", error)
            before = []
        self.write_pointer([version, *(one for one in before if one != version)])

    def write_pointer(self, versions: Sequence[str]) -> None:
        """Replace the pointer atomically: readers see the old or the new one.

        Parameters
        ----------
        versions : the current version, then the earlier ones, latest first.
        """
        write_pointer(self.folder, versions)
