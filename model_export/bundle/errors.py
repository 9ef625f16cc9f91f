"""What is raised for a bundle that must not be served."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["BundleError", "bundle_errors"]


class BundleError(ValueError):
    """A bundle that must not be served.

    The message says which file, what is wrong and what would be right.
    """


@contextmanager
def bundle_errors(file: Path, how: str = "read") -> Iterator[None]:
    """Turn any exception raised while a file is used into a BundleError that names it.

    Parameters
    ----------
    file : the file that is read or run.
    how : what is done with it, for the message "... cannot be read".
    """
    try:
        yield
    except BundleError:
        raise
    except Exception as error:  # NumPy, Arrow, zipfile and json raise many kinds
        raise BundleError(f"{file} cannot be {how}: {error or type(error).__name__}") from error
