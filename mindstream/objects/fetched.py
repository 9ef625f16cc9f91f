"""Files of an object store as files of this host, for as long as they are read."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from mindstream.objects.bucket import SCHEMES, Bucket, Stopped

__all__ = ["fetched", "is_in_bucket", "moving"]

SHOWN_AFTER_S = 2


def is_in_bucket(path: str) -> bool:
    """Tell whether a path is a url of an object store."""
    scheme, colon, _ = path.partition("://")
    return bool(colon) and scheme.lower() in SCHEMES


@contextmanager
def fetched(url: str) -> Iterator[Path]:
    """Fetch what a url names, and remove it afterwards.

    Objects whose names, or folders' names, begin with "_" or "." stay where they are: they are no data (_SUCCESS).

    Parameters
    ----------
    url : of an object, of a folder of objects, or a glob.

    Yields
    ------
    The path of the file, folder or glob on this host.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the url.
    OSError
        If it cannot be fetched; names the url.
    """
    bucket, names, pattern = _named(url)
    seen = {name: size for name, size in names.items() if not _is_hidden(name)}
    if not seen:
        raise FileNotFoundError(f"no file at {url}")
    with tempfile.TemporaryDirectory(prefix="mindstream-") as folder:
        with moving(f"fetching {url}", sum(seen.values())) as moved:
            for name in seen:
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                bucket.download(name, Path(folder) / name, moved)
        yield Path(folder) / pattern


def _named(url: str) -> tuple[Bucket, dict[str, int], str]:
    """Return bucket, name -> bytes of objects, and the path of them all below it."""
    scheme, _, path = url.rstrip("/").partition("://")
    parts = path.split("/")
    plain = next((place for place, part in enumerate(parts) if set(part) & set("*?[")), len(parts) - 1)
    root, pattern = "/".join(parts[:plain]), "/".join(parts[plain:])
    if not root:  # a whole bucket
        bucket = Bucket(url)
        return bucket, {name: int(about["size"]) for name, about in bucket.objects().items()}, "."
    bucket = Bucket(f"{scheme}://{root}")
    found = bucket.matching(pattern) if set(pattern) & set("*?[") else bucket.objects(pattern)
    return bucket, {name: int(about["size"]) for name, about in found.items()}, pattern


def _is_hidden(name: str) -> bool:
    """Tell whether an object, or a folder that it is in, is none of the data."""
    return name.endswith("/") or any(part.startswith(("_", ".")) for part in PurePosixPath(name).parts)


@contextmanager
def moving(what: str, total: int, stopping: Callable[[], bool] = lambda: False) -> Iterator[Callable[[int], None]]:
    """Show how far so many bytes have moved, where it takes a while.

    Parameters
    ----------
    stopping : asked each time; where it says yes, the move ends with Stopped.
    """
    shown: Any = {"unit": "B", "unit_scale": True, "delay": SHOWN_AFTER_S, "leave": False}
    with tqdm(desc=what, total=total, disable=not sys.stderr.isatty(), **shown) as bar:

        def moved(size: int) -> None:
            if stopping():
                raise Stopped(what)
            bar.update(size)

        yield moved
