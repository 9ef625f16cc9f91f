"""Keys and heaps of keys, compiled: what runs for every item, without the GIL.

One int64 holds a score and a row, so that a larger key is a larger score or, of equal scores, a smaller row. A heap is
a row of an array, whose first element is the smallest key; to take the largest first, keys stand there negated.
"""

import numpy as np

from mindstream.kernels.compiled import compiled

__all__ = ["NOTHING", "key_of", "pop", "push", "row_of", "score_of", "sift_down"]

ROW_BITS = 32
LOW = (1 << ROW_BITS) - 1
NOTHING = np.int64(-(2**63) + 1)  # below every key; its negative is a number too


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
