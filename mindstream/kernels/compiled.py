"""The decorator of all that numba compiles here, and the inner product that its loops share; both without the GIL."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

from mindstream.kernels.kernel_cache import KernelCache, cache_folder

__all__ = ["compiled", "dot"]


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
