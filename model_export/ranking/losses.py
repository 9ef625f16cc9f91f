"""The losses of a ranker over lists: a softmax over each list, and whether each task was done."""

from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["joined", "listwise_softmax", "task_losses"]

Numbers = TypeVar("Numbers", np.ndarray, Tensor)


def joined(scores: Numbers, task_weights: Numbers) -> Numbers:
    """Return the one score of each candidate: the mean of its tasks' scores, weighted.

    Parameters
    ----------
    scores : float (..., T).
    task_weights : float (T,), not all zero.

    Returns
    -------
    float (...)
    """
    found: Numbers = scores @ (task_weights / task_weights.sum())
    return found


def listwise_softmax(scores: Tensor, relevance: Tensor, real: Tensor, weights: Tensor) -> Tensor:
    """Return the cross-entropy between a softmax over each list and what was taken of it: ().

    As ListNet's top-one form (Cao et al., "Learning to Rank: From Pairwise Approach to Listwise Approach", ICML 2007)
    with relevance as it is instead of its exponentials, so that what was not taken counts for nothing. A list without
    anything taken says nothing.

    Parameters
    ----------
    scores : float (B, N).
    relevance : float (B, N), at least 0.
    real : bool (B, N), where there is a candidate.
    weights : float (B,), of the lists.
    """
    total = relevance.sum(1)  # (B,)
    logs = torch.log_softmax(scores.masked_fill(~real, -1e9), 1)
    each = -(relevance * logs).sum(1) / total.clamp_min(1e-9)  # (B,)
    weights = weights * (total > 0)
    return (each * weights).sum() / weights.sum().clamp_min(1e-9)


def task_losses(scores: Tensor, labels: Tensor, real: Tensor, weights: Tensor) -> Tensor:
    """Return the binary cross-entropy over the candidates, summed over tasks, ().

    Parameters
    ----------
    scores, labels : float (B, N, T).
    real : bool (B, N).
    weights : float (B,), of the lists.
    """
    each = F.binary_cross_entropy_with_logits(scores, labels, reduction="none").sum(2)  # (B, N)
    counted = weights[:, None] * real
    return (each * counted).sum() / counted.sum().clamp_min(1e-9)
