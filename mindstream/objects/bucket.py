"""The objects below one url of an object store, by fsspec: the only place that speaks to one.

Credentials and addresses of services that speak S3 are the libraries' own matter: AWS_* variables, FSSPEC_S3_* and the
like.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
from fsspec.callbacks import Callback

__all__ = ["SCHEMES", "Bucket", "Stopped", "is_url"]

# Scheme -> the extra of this package that brings what speaks it. In all of them an object is put as a whole or not at
# all, and whoever reads after that sees it: the pointer needs that.
SCHEMES = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "azure"),
    "memory": "",
}
CHUNK = 1 << 22
_NO_BUCKET = "bucket does not exist"  # what S3 says; else a missing bucket would look as an empty one


def is_url(where: str) -> bool:
    """Tell whether this is a url and no path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", where) is not None


class Bucket:
    """The objects below a url, by their names from there on.

    Raises
    ------
    ValueError
        If the url is of no object store, or what speaks to it is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        scheme = url.partition("://")[0].lower()
        if scheme not in SCHEMES or not self.url.partition("://")[2]:
            right = ", ".join(f"{one}://" for one in SCHEMES if one != "memory")
            raise ValueError(f"{url} is no url of an object store; right is a folder, or a bucket of {right}")
        try:
            # No lists are kept: others write there too.
            self.files, self.root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            extra = f"mindstream[{SCHEMES[scheme]}]"
            raise ValueError(f"{url} needs a package that is not installed ({error}); right is {extra}") from error
        except Exception as error:  # each library's own
            raise ValueError(f"{url} cannot be opened: {error or type(error).__name__}") from error

    def at(self, name: str) -> str:
        """Return the url of an object."""
        return f"{self.url}/{name}"

    def read(self, name: str) -> bytes:
        """Return the content of a small object.

        Raises
        ------
        FileNotFoundError
            If there is none.
        OSError
            If it cannot be read; names the url.
        """
        with self._errors(name, "read"):
            return bytes(self.files.cat_file(f"{self.root}/{name}"))

    def write(self, name: str, content: bytes) -> None:
        """Put a small object, in one step."""
        with self._errors(name, "written"):
            self.files.pipe_file(f"{self.root}/{name}", content)

    def upload(self, file: Path, name: str, moved: Callable[[int], object]) -> None:
        """Put a file.

        Parameters
        ----------
        moved : told how many bytes went, from time to time; what it raises ends the upload.
        """
        with self._errors(name, "written"):
            self.files.put_file(str(file), f"{self.root}/{name}", callback=_Moved(moved))

    def download(self, name: str, file: Path, moved: Callable[[int], object]) -> None:
        """Write an object into a file.

        Raises
        ------
        FileNotFoundError
            If there is none.
        OSError
            If it cannot be read; names the url.
        """
        with self._errors(name, "read"):
            self.files.get_file(f"{self.root}/{name}", str(file), callback=_Moved(moved))

    def sha256(self, name: str) -> str:
        """Read an object back, and return its SHA-256 in hexadecimal digits."""
        digest = hashlib.sha256()
        with self._errors(name, "read"), self.files.open(f"{self.root}/{name}", "rb", cache_type="none") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def remove(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""
        try:
            with self._errors(name, "removed"):
                self.files.rm_file(f"{self.root}/{name}")
        except FileNotFoundError:
            pass

    def objects(self, below: str = "") -> dict[str, dict[str, Any]]:
        """Return name -> size, time of change and the like, of all objects or those below a name.

        Raises
        ------
        OSError
            If they cannot be listed; names the url.
        """
        where = f"{self.root}/{below}".rstrip("/")
        try:
            with self._errors(below, "listed"):
                self.files.invalidate_cache()
                found = self.files.find(where, detail=True)
        except FileNotFoundError:
            return {}
        return self._by_name(found)

    def matching(self, pattern: str) -> dict[str, dict[str, Any]]:
        """Return name -> size and the like of the objects that a glob names.

        Raises
        ------
        OSError
            If they cannot be listed; names the url.
        """
        with self._errors(pattern, "listed"):
            self.files.invalidate_cache()
            found = self.files.glob(f"{self.root}/{pattern}", detail=True)
        return self._by_name({path: about for path, about in found.items() if about["type"] == "file"})

    def _by_name(self, found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return what was found by the names below the url."""
        prefix = f"{self.root}/"
        return {path.removeprefix(prefix): about for path, about in found.items() if path.startswith(prefix)}

    @contextmanager
    def _errors(self, name: str, doing: str) -> Iterator[None]:
        """Raise whatever a library raises as an OSError that names the url."""
        try:
            yield
        except FileNotFoundError as error:
            if _NO_BUCKET in str(error):
                raise OSError(f"{self.at(name)} cannot be {doing}: {error}; right is a bucket that exists") from error
            raise FileNotFoundError(f"{self.at(name)} is missing") from error
        except Stopped:
            raise
        except Exception as error:  # botocore, aiohttp, google and azure each have their own
            said = str(error) or type(error).__name__
            raise OSError(f"{self.at(name)} cannot be {doing}: {said}") from error


class Stopped(Exception):  # noqa: N818
    """What is moving files raises when it shall end; a library's own handlers leave it as it is."""


class _Moved(Callback):  # type: ignore[misc]
    """Tells how many bytes of a file have moved."""

    def __init__(self, moved: Callable[[int], object]) -> None:
        super().__init__()
        self.moved = moved

    def relative_update(self, inc: int = 1) -> None:
        """Tell of some bytes."""
        self.moved(inc)
