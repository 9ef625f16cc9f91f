"""Published bundles and the pointer that names the current one, wherever they live."""

import logging
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

from model_export.bundle.bundle import Bundle, BundleError, Manifest, required_files
from model_export.bundle.homes.folder import LOCK, FolderHome
from model_export.bundle.homes.home import BundleHome, never
from model_export.bundle.manifest_schema import is_version
from model_export.bundle.pointer import POINTER

__all__ = ["LOCK", "POINTER", "NoEarlierBundleError", "Registry"]

log = logging.getLogger(__name__)


class NoEarlierBundleError(BundleError):
    """No bundle was current before, so that a rollback has nothing to go to."""


class Registry:
    """Published bundles of one home.

    Parameters
    ----------
    home : where they live, or the folder that they live in; `open_registry` opens a url.
    check : what a bundle must pass before it becomes current; it raises BundleError. The command line passes the
        full check of check.py, which needs ONNX Runtime.

    Raises
    ------
    ValueError
        If the folder is a url.
    """

    def __init__(self, home: str | PathLike[str] | BundleHome, check: Callable[[Bundle], None] = Bundle.verify) -> None:
        if isinstance(home, str) and "://" in home:
            raise ValueError(f"{home} is a url; right is a folder, or open_registry, which opens both")
        self.home: BundleHome = FolderHome(Path(home)) if isinstance(home, str | PathLike) else home
        self.check = check

    @property
    def folder(self) -> Path:
        """Return where the bundles that are opened lie, on this host."""
        return self.home.folder

    def pointer(self) -> list[str]:
        """Return the current version and the earlier ones, latest first.

        Empty before the first publish.

        Raises
        ------
        BundleError
            If the pointer is there and cannot be read.
        """
        return self.home.read_pointer()

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
        if not version and self.home.has_pointer():
            raise BundleError(
                f"{self.home.pointer_name} names no version; `mindstream model list` shows those that are there, and "
                "`mindstream model promote VERSION` makes one current"
            )
        if not version:
            raise BundleError(
                f"no model was published in {self.home.name}; `make demo` or `mindstream model publish` does that"
            )
        bundle = self.open(version)
        bundle.verify()
        return bundle

    def open(self, version: str, stopping: Callable[[], bool] = never) -> Bundle:
        """Open a bundle of the registry, unchecked; one that is not on this host is fetched first.

        Parameters
        ----------
        stopping : asked while it is fetched; where it says yes, that ends with a BundleError.

        Raises
        ------
        BundleError
            If the version is no name, or there is no bundle of that name.
        """
        _check_name(version)
        bundle = Bundle(self.home.bring(version, stopping))
        if bundle.version != version:
            raise BundleError(f"{bundle.path} holds bundle {bundle.version}; a folder is called as the version in it")
        return bundle

    def manifest(self, version: str) -> Manifest:
        """Read a bundle's manifest, where the bundle is.

        Raises
        ------
        BundleError
            If the version is no name, or there is no bundle of that name.
        """
        _check_name(version)
        manifest = self.home.manifest(version)
        if manifest.version != version:
            raise BundleError(f"{version} in {self.home.name} holds bundle {manifest.version}; right is its own name")
        return manifest

    def versions(self) -> list[str]:
        """Return the versions of all bundles here, oldest first; versions sort by time."""
        return self.home.versions()

    def publish(self, path: str | PathLike[str]) -> Bundle:
        """Copy a bundle into the registry, check it, and make it current in one atomic step.

        Until then the old bundle is current; a copy that was cut off is never seen under a version's name.

        Raises
        ------
        BundleError
            If the bundle or its copy is not whole, or there is one of that version. The pointer then stays as it is.
        """
        bundle = Bundle(path)
        if bundle.path.resolve() == (self.folder / bundle.version).resolve():
            return self.promote(bundle.version)
        self.check(bundle)
        with self.home.changing():
            self.home.add(bundle)
            self.point_to(bundle.version)
        return self.open(bundle.version)

    def promote(self, version: str) -> Bundle:
        """Make a bundle current that is in the registry already.

        Raises
        ------
        BundleError
            If it is not here or not whole. The pointer then stays as it is.
        """
        with self.home.changing():
            bundle = self.open(version)
            self.check(bundle)
            self.home.settle(version)
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
        with self.home.changing():
            pointer = self.pointer()
            if len(pointer) < 2:
                now = "".join(pointer) or "another"
                raise NoEarlierBundleError(
                    f"{self.home.pointer_name} names no bundle that was current before {now}; "
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
        with self.home.changing():
            pointer, versions = self.pointer(), self.versions()
            if versions and not (pointer and is_version(pointer[0])):
                raise BundleError(
                    f"{self.home.pointer_name} names no version, so that what is served is not known, and nothing is "
                    "removed; `mindstream model promote VERSION` makes one current"
                )
            newest = versions[max(0, len(versions) - keep) :]
            spared = {*pointer[:2], *newest}
            old = [version for version in versions if version not in spared and self.is_whole(version)]
            if newest:
                old += [one for one in self.home.leftovers(newest) if one not in spared]
            if set(old) & set(pointer):  # the pointer first: it never names what is half gone
                self.write_pointer([version for version in pointer if version not in old])
            for version in sorted(old):
                self.home.remove(version)
        return sorted(old)

    def is_whole(self, version: str) -> bool:
        """Tell whether a bundle has all its files in the manifest's sizes."""
        try:
            manifest, sizes = self.manifest(version), self.home.sizes(version)
        except (BundleError, OSError):
            return False
        are_there = all(name in sizes for name in required_files(manifest))
        return are_there and all(sizes.get(name) == entry["bytes"] for name, entry in manifest.files.items())

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
        self.home.write_pointer(versions)


def _check_name(version: str) -> None:
    """Raise BundleError unless this can be the name of a bundle."""
    if not is_version(version) or version == POINTER:
        raise BundleError(
            f"{version!r} is no version: right are letters, digits, '.', '_' and '-', not a path or a hidden name"
        )
