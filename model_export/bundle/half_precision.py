"""Half precision, float16: what a store keeps of capsules, in half of the bytes."""

import numpy as np

__all__ = ["in_half", "keeps_digits"]

LEAST, MOST = 2.0**-13, 65_504.0  # of a capsule's largest number, for half precision to keep its digits


def in_half(array: np.ndarray) -> np.ndarray:
    """Return an array in half precision; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        return array.astype(np.float16)


def keeps_digits(vectors: np.ndarray) -> np.ndarray:
    """Tell of which vectors half precision keeps all but a 2,000th of the largest number.

    Not of those with a number above 65,504, or with none above 2**-13, as a model of uneven norms may make them.

    Parameters
    ----------
    vectors : float (..., d).

    Returns
    -------
    bool (...)
    """
    largest = np.abs(vectors).max(axis=-1, initial=0.0)
    return np.asarray((largest == 0) | ((largest >= LEAST) & (largest <= MOST)))
