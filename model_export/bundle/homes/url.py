"""Bundles in a bucket of an object store, with copies on this host of those that are opened.

s3://shop/bundles/
  CURRENT              as in a folder; it is put in one step, after everything else
  20261124T070000Z/    a bundle; its manifest.json comes last, and what has none is no bundle
"""

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mindstream.objects.bucket import Bucket, Stopped
from mindstream.objects.fetched import moving
from model_export.bundle.bundle import MANIFEST, Bundle, Manifest, parse_manifest
from model_export.bundle.errors import BundleError
from model_export.bundle.homes.folder import LOCK
from model_export.bundle.homes.home import FileStamps, never
from model_export.bundle.homes.local_copies import LocalCopies, folder_of
from model_export.bundle.lock import locked
from model_export.bundle.manifest_schema import is_version
from model_export.bundle.pointer import POINTER

__all__ = ["UrlHome"]

LOOK_EVERY_S = 2.0  # each look is a request that the store counts

log = logging.getLogger(__name__)


class UrlHome:
    """A `BundleHome` that is a url.

    Processes of one host change it in turn. Of two hosts that publish at once, the later pointer counts.

    Parameters
    ----------
    url : such as s3://shop/bundles.
    cache : folder of what can be fetched again; the copies lie below it.

    Raises
    ------
    ValueError
        If it is no url of an object store, or what speaks to it is not installed.
    """

    look_every_s = LOOK_EVERY_S

    def __init__(self, url: str, cache: Path) -> None:
        self.bucket = Bucket(url)
        self.name, self.pointer_name = self.bucket.url, self.bucket.at(POINTER)
        self.folder = folder_of(self.name, cache)
        self.copies = LocalCopies(self.folder)
        self.pointer: list[str] = []  # as it was last read
        self.since_s, self.trouble = time.time(), ""

    def read_pointer(self) -> list[str]:
        """Return the current version and the earlier ones, latest first."""
        try:
            text = self.bucket.read(POINTER).decode(errors="replace")
        except FileNotFoundError:
            text = ""
        except OSError as error:
            self.trouble = str(error)
            raise
        found = [line.strip() for line in text.splitlines() if line.strip()]
        if found[:1] != self.pointer[:1]:
            self.since_s = time.time()
            self.copies.note_pointer(found)
        self.pointer, self.trouble = found, ""
        return found

    def known_pointer(self) -> list[str]:
        """Return the pointer; where nobody answers, as this host last read it, which is said."""
        try:
            return self.read_pointer()
        except OSError as error:
            if not (known := self.copies.noted_pointer()):
                raise
            log.error("%s; this begins with %s, which was current here before", error, known[0])
            return known

    def has_pointer(self) -> bool:
        """Tell whether there is an object of that name."""
        return POINTER in self.bucket.objects(POINTER)

    def write_pointer(self, versions: Sequence[str]) -> None:
        """Put the pointer, in one step."""
        self.bucket.write(POINTER, "".join(f"{version}\n" for version in versions).encode())

    def pointer_seen(self) -> tuple[str, float]:
        """Return the version that the pointer named at the last look, and since when."""
        if self.trouble:
            raise OSError(self.trouble)
        return next(iter(self.pointer), ""), self.since_s

    def versions(self) -> list[str]:
        """Return the versions that have a manifest."""
        return sorted(version for version, files in self._found().items() if MANIFEST in files)

    def manifest(self, version: str) -> Manifest:
        """Read the manifest of a version."""
        return parse_manifest(self._manifest(version), self.bucket.at(f"{version}/{MANIFEST}"))

    def sizes(self, version: str) -> dict[str, int]:
        """Return file name -> bytes of the objects of a version."""
        found = self.bucket.objects(version)
        return {name.removeprefix(f"{version}/"): int(about["size"]) for name, about in found.items()}

    def stamps(self, version: str) -> FileStamps:
        """Return name, size, tag and times of a version's objects; nothing without an answer."""
        try:
            found = self.bucket.objects(version)
        except OSError:
            return frozenset()
        told = ("size", "ETag", "etag", "LastModified", "updated", "last_modified", "created")
        return frozenset((name, *(str(about.get(one)) for one in told)) for name, about in found.items())

    def bring(self, version: str, stopping: Callable[[], bool] = never) -> Path:
        """Fetch a version into this host's folder, unless it is there, and return where it lies.

        Copies of neither the current bundle nor the one before it are removed then.
        """
        manifest, url = self._manifest_or_copy(version), self.bucket.at(version)
        total = sum(entry["bytes"] for entry in parse_manifest(manifest, f"{url}/{MANIFEST}").files.values())
        with moving(f"fetching {version}", total, stopping) as moved:

            def fetch(name: str, file: Path) -> None:
                self._fetch(f"{version}/{name}", file, moved)

            path = self.copies.take(version, manifest, fetch, url)
        if self.pointer:
            self.copies.keep({version, *self.pointer[:2]})
        return path

    def add(self, bundle: Bundle) -> None:
        """Upload a bundle file by file, each read back and compared, the manifest last.

        What an upload that was cut off has left there is used where it is as it should be. This host keeps a copy.
        """
        version, manifest = bundle.version, (bundle.path / MANIFEST).read_bytes()
        if parse_manifest(manifest, str(bundle.path / MANIFEST)) != bundle.manifest:
            raise BundleError(f"{bundle.path / MANIFEST} was changed while the bundle was copied")
        sizes = self.sizes(version)
        self._refuse_another(version, manifest, sizes)
        for name in sorted({*sizes} - {*bundle.manifest.files, MANIFEST}):
            self.bucket.remove(f"{version}/{name}")
        total = sum(entry["bytes"] for entry in bundle.manifest.files.values())
        with moving(f"uploading {version}", total) as moved:
            for name in bundle.manifest.files:
                self._upload(bundle, name, sizes.get(name), moved)
        self.bucket.write(f"{version}/{MANIFEST}", manifest)
        self._check_upload(bundle, manifest)
        self.copies.take(version, manifest, lambda name, file: _copy(bundle.path / name, file), str(bundle.path))

    def settle(self, version: str) -> None:
        """Do nothing: what was put stays."""

    def remove(self, version: str) -> None:
        """Remove a version's objects, the manifest first: the rest is then no bundle."""
        names = self.sizes(version)
        for name in sorted(names, key=lambda name: (name != MANIFEST, name)):
            self.bucket.remove(f"{version}/{name}")

    def leftovers(self, newest: Sequence[str]) -> list[str]:
        """Return what uploads that were cut off, and removals, have left.

        One that is newer than all bundles may be on its way: it is said, and stays.
        """
        cut = sorted(version for version, files in self._found().items() if MANIFEST not in files)
        for version in cut:
            if version > newest[-1]:
                log.warning(
                    "%s has no %s: it is being uploaded, or was cut off; publish it again, or prune when a newer one "
                    "is there, which removes it",
                    *(self.bucket.at(version), MANIFEST),
                )
        return [version for version in cut if version < newest[-1]]

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold a lock of this host."""
        with locked(self.folder / LOCK, lambda: log.info("waiting: another process is changing %s", self.name)):
            yield

    def _found(self) -> dict[str, set[str]]:
        """Return version -> names of its objects, of whatever may be a version."""
        found: dict[str, set[str]] = {}
        for name in self.bucket.objects():
            version, slash, file = name.partition("/")
            if slash and "/" not in file and is_version(version):
                found.setdefault(version, set()).add(file)
        return found

    def _manifest(self, version: str) -> bytes:
        """Read the content of a version's manifest."""
        try:
            return self.bucket.read(f"{version}/{MANIFEST}")
        except FileNotFoundError as error:
            raise BundleError(
                f"{self.bucket.at(version)} is not a bundle: it has no {MANIFEST}, so nothing was published there or "
                "it was cut off; `mindstream model list` shows those that are there"
            ) from error

    def _manifest_or_copy(self, version: str) -> bytes:
        """Read a version's manifest; where nobody answers, the copy's, which is said."""
        try:
            return self._manifest(version)
        except OSError as error:
            if (copied := self.copies.manifest(version)) is None:
                raise
            log.warning("%s; the copy of %s on this host is used", error, version)
            return copied

    def _fetch(self, name: str, file: Path, moved: Callable[[int], object]) -> None:
        """Fetch a file of a bundle."""
        try:
            self.bucket.download(name, file, moved)
        except FileNotFoundError as error:
            raise BundleError(f"{self.bucket.at(name)} is missing; the manifest lists it") from error
        except Stopped as error:
            raise BundleError(f"{self.bucket.at(name)} was not fetched to the end: this process stops") from error

    def _refuse_another(self, version: str, manifest: bytes, sizes: dict[str, int]) -> None:
        """Raise BundleError if the version was published; one that lacks the pointer was not."""
        if MANIFEST in sizes and (self._manifest(version) != manifest or version in self.read_pointer()):
            raise BundleError(
                f"{self.bucket.at(version)} exists already; a version is published once (`promote` makes it current)"
            )

    def _upload(self, bundle: Bundle, name: str, there: int | None, moved: Callable[[int], object]) -> None:
        """Upload a file, unless it is there already, and compare what is there with the manifest."""
        expected, object_name = bundle.manifest.files[name], f"{bundle.version}/{name}"
        if there == expected["bytes"] and self.bucket.sha256(object_name) == expected["sha256"]:
            moved(expected["bytes"])
            return
        self.bucket.upload(bundle.path / name, object_name, moved)
        if (found := self.bucket.sha256(object_name)) != expected["sha256"]:
            raise BundleError(
                f"{self.bucket.at(object_name)} is not as it was sent: SHA-256 {found}; "
                f"the manifest says {expected['sha256']}"
            )

    def _check_upload(self, bundle: Bundle, manifest: bytes) -> None:
        """Raise BundleError unless everything is there now, in its size."""
        sizes = self.sizes(bundle.version)
        wanted = {name: entry["bytes"] for name, entry in bundle.manifest.files.items()} | {MANIFEST: len(manifest)}
        for name, size in wanted.items():
            if sizes.get(name) != size:
                there = f"has {sizes[name]} bytes" if name in sizes else "is missing"
                object_url = self.bucket.at(f"{bundle.version}/{name}")
                raise BundleError(f"{object_url} {there} after the upload; right is {size} bytes")


def _copy(source: Path, target: Path) -> None:
    """Copy a file."""
    shutil.copyfile(source, target)
