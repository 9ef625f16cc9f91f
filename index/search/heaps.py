"""Keys and heaps of keys, and the decorator of all that numba compiles here: what runs for every item, without the GIL.

One int64 holds a score and a row, so that a larger key is a larger score or, of equal scores, a smaller row. A heap is
a row of an array, whose first element is the smallest key; to take the largest first, keys stand there negated.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

from index.search.kernel_cache import KernelCache, cache_folder

__all__ = ["NOTHING", "compiled", "dot", "key_of", "pop", "push", "row_of", "score_of", "sift_down"]

ROW_BITS = 32
LOW = (1 << ROW_BITS) - 1
NOTHING = np.int64(-(2**63) + 1)  # below every key; its negative is a number too


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile by numba.njit, and keep the machine code between processes: see kernel_cache.py."""

    def decorate(function: Callable[..., Any]) -> Any:
        kernel: Any = numba.njit(nogil=True, **options)(function)
        kernel._cache = KernelCache(function, cache_folder(Path(function.__code__.co_filename)))
        return kernel

    return decorate


# Rows are named by an array and a number: a view of one would be counted, by a locked addition, each time.
# The order of the additions is the compiler's to choose, so that it can take many at once; it is always the same one.
@compiled(fastmath={"reassoc", "contract"})
def dot(left: np.ndarray, at: int, right: np.ndarray, other: int) -> np.float32:
    """Return the inner product of row `at` of (n, d) and row `other` of (m, d), float32."""
    total = np.float32(0)
    for place in range(left.shape[1]):
        total += left[at, place] * right[other, place]
    return total


@compiled()
def key_of(score: np.float32, row: int) -> np.int64:
    """Pack score and row into one number."""
    bits = np.int64(np.float32(score + np.float32(0)).view(np.int32))  # the sum makes -0.0 0.0, which sorts alike
    if bits < 0:
        bits ^= np.int64(0x7FFFFFFF)
    return np.int64((bits << ROW_BITS) | (LOW - row))


@compiled()
def row_of(key: np.int64) -> int:
    """Return the row in a key."""
    return int(LOW - (key & LOW))


@compiled()
def score_of(key: np.int64) -> np.float32:
    """Return the score in a key."""
    bits = np.int64(key >> ROW_BITS)
    if bits < 0:
        bits ^= np.int64(0x7FFFFFFF)
    return np.float32(np.int32(bits).view(np.float32))


@compiled()
def sift_down(heaps: np.ndarray, heap: int, size: int, key: np.int64) -> None:
    """Replace the first element of heaps[heap] by a key and restore the heap's order."""
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and heaps[heap, child + 1] < heaps[heap, child]:
            child += 1
        if heaps[heap, child] >= key:
            break
        heaps[heap, at] = heaps[heap, child]
        at = child
    heaps[heap, at] = key


@compiled()
def push(heaps: np.ndarray, heap: int, size: int, key: np.int64) -> None:
    """Add a key to heaps[heap], which has `size` keys."""
    at = size
    while at > 0:
        parent = (at - 1) // 2
        if heaps[heap, parent] <= key:
            break
        heaps[heap, at] = heaps[heap, parent]
        at = parent
    heaps[heap, at] = key


@compiled()
def pop(heaps: np.ndarray, heap: int, size: int) -> np.int64:
    """Take the smallest key of heaps[heap], which has `size` keys."""
    first: np.int64 = heaps[heap, 0]
    sift_down(heaps, heap, size - 1, heaps[heap, size - 1])
    return first
