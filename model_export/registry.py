"""The folder of published bundles and the pointer that says which one is current.

models/
  CURRENT              one line: the version of the current bundle
  20261123T070000Z/    a bundle
  20261124T070000Z/    ...
"""

import os
import shutil
import tempfile
from pathlib import Path

from model_export.bundle import Bundle, BundleError

POINTER = "CURRENT"


class Registry:
    """Published bundles below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def current_version(self) -> str | None:
        """What the pointer says, None before the first publish."""
        try:
            return (self.folder / POINTER).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None

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
                f"no model was published in {self.folder}; `make demo` or `python -m model_export publish` does that"
            )
        bundle = Bundle(self.folder / version)
        bundle.verify()
        return bundle

    def publish(self, path: Path) -> Bundle:
        """Copy a bundle into the registry, check the copy, and make it current by one atomic rename.

        Until the rename the old bundle is current; a copy that was cut off is never seen under a version's name.

        Raises
        ------
        BundleError
            If the bundle or its copy is not whole. The pointer then stays as it is.
        """
        bundle = Bundle(path)
        bundle.verify()
        destination = self.folder / bundle.version
        if path.resolve() != destination.resolve():
            self.copy(path, destination)
        self.point_to(bundle.version)
        return Bundle(destination)

    def copy(self, path: Path, destination: Path) -> None:
        """Copy a folder under a temporary name, then rename it if the copy is whole."""
        if destination.exists():
            raise BundleError(f"{destination} exists already; a version is published once")
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".copying-", dir=self.folder))
        try:
            shutil.copytree(path, partial, dirs_exist_ok=True)
            Bundle(partial).verify()
            partial.chmod(0o755)  # mkdtemp makes it private; updaters may run as another user
            partial.rename(destination)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def point_to(self, version: str) -> None:
        """Replace the pointer; readers see the old or the new version, never half a line."""
        descriptor, partial = tempfile.mkstemp(prefix=".pointer-", dir=self.folder)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(version + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(partial, 0o644)
        os.replace(partial, self.folder / POINTER)
