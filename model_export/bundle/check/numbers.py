"""Checks of arrays of numbers: form, length of the file, and that nothing that is computed of them overflows."""

import os
from pathlib import Path

import numpy as np

from model_export.bundle.errors import BundleError

__all__ = ["MOST", "check_array", "check_file_end", "check_rows", "row_lengths"]

MOST = 1e18  # of a vector's length: the product of two is finite in float32, which ends at 3.4e38, with room for sums
BLOCK = 65_536  # rows that are looked at at once


def check_array(name: Path | str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Check that an array is float32, of this shape, and has rows as `check_rows` wants.

    Raises
    ------
    BundleError
        Names the array and, where it is one, the row.
    """
    if array.shape != shape:
        raise BundleError(f"{name} has shape {array.shape}; right is {shape}")
    if array.dtype != np.float32:
        raise BundleError(f"{name} is {array.dtype}; right is float32")
    check_rows(name, array)


def check_rows(name: Path | str, array: np.ndarray) -> None:
    """Check that the rows of an array (n, d) are finite, and none is longer than 1e18."""
    for begin in range(0, len(array), BLOCK):
        block = array[begin : begin + BLOCK]
        if not np.isfinite(block).all():
            raise BundleError(f"{name} holds NaN or infinite numbers")
        lengths = row_lengths(block)
        longest = int(np.argmax(lengths)) if len(lengths) else 0
        if len(lengths) and lengths[longest] > MOST:
            raise BundleError(
                f"{name}: row {begin + longest} is {lengths[longest]:.3g} long; right is at most {MOST:.0e}, so that "
                "no score overflows"
            )


def row_lengths(array: np.ndarray) -> np.ndarray:
    """Return the length of each row of an array (n, d), float64 (n,)."""
    blocks = (array[begin : begin + BLOCK] for begin in range(0, len(array), BLOCK))
    squares = [np.einsum("nd,nd->n", block, block, dtype=np.float64) for block in blocks]
    return np.sqrt(np.concatenate(squares)) if squares else np.empty(0)


def check_file_end(file: Path) -> None:
    """Check that nothing lies behind the array of a .npy file.

    Raises
    ------
    BundleError
        If something does.
    """
    array = np.load(file, mmap_mode="r")
    right = getattr(array, "offset", 0) + array.nbytes
    found = os.stat(file).st_size
    if found != right:
        raise BundleError(f"{file} has {found} bytes; right are the {right} of its array of shape {array.shape}")
