"""The time from each behaviour to the user's last one, and from that to a question, in the buckets that models read.

In buckets that grow with the time, as in Zhai et al., "Actions Speak Louder than Words: Trillion-Parameter Sequential
Transducers for Generative Recommendations", ICML 2024; there they are of each pair of behaviours.
"""

import numpy as np

__all__ = ["BUCKETS", "asked_gaps", "gaps_until", "time_gaps"]

BUCKETS = 32  # the last one begins after 68 years


def time_gaps(times_ms: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the bucket floor(log2(1 + seconds)) of the time to the user's last behaviour.

    So a visit's clicks are apart from those of the visits before, whether these were an hour or a year ago.

    Parameters
    ----------
    times_ms : int64 (B, L), Unix time in milliseconds; what stands at padding has no influence.
    mask : bool (B, L), True at behaviours.

    Returns
    -------
    int64 (B, L), from 0 to BUCKETS - 1; 0 at padding.
    """
    last = times_ms.max(1, keepdims=True, initial=np.iinfo(np.int64).min, where=mask)
    return _buckets(np.where(mask, last - times_ms, 0))


def asked_gaps(times_ms: np.ndarray, mask: np.ndarray, asked_ms: np.ndarray) -> np.ndarray:
    """Return the bucket of the time from the last behaviour to when somebody asks.

    Parameters
    ----------
    times_ms : int64 (B, L), as in `time_gaps`.
    mask : bool (B, L).
    asked_ms : int64 (B,), Unix time in milliseconds; before the last behaviour is as at the last behaviour.

    Returns
    -------
    int64 (B,), from 0 to BUCKETS - 1; 0 for users without behaviours.
    """
    last = times_ms.max(1, initial=np.iinfo(np.int64).min, where=mask)
    return _buckets(np.where(mask.any(1), asked_ms - last, 0).clip(min=0))


def gaps_until(times_ms: np.ndarray, mask: np.ndarray, asked_ms: np.ndarray) -> np.ndarray:
    """Return the bucket of the time from each behaviour to when somebody asks.

    Parameters
    ----------
    times_ms, mask, asked_ms : (B, L), (B, L) and (B,), as in `asked_gaps`.

    Returns
    -------
    int64 (B, L), from 0 to BUCKETS - 1; 0 at padding.
    """
    last = times_ms.max(1, initial=np.iinfo(np.int64).min, where=mask)
    return _buckets(np.where(mask, np.maximum(asked_ms, last)[:, None] - times_ms, 0))


def _buckets(milliseconds: np.ndarray) -> np.ndarray:
    """Return the buckets of times of any shape, int64, at least 0."""
    seconds = milliseconds // 1_000
    exponents = np.frexp(seconds + 1.0)[1]  # exact, as a logarithm of a power of two may not be
    return (exponents - 1).clip(max=BUCKETS - 1).astype(np.int64)
