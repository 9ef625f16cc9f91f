"""Losses and penalties beyond MIND's own (which are in mind.py).

Shapes: B users, K interests, M negatives, d dimensions.
"""

import torch
from torch import Tensor

__all__ = ["capsule_scores", "joint_softmax", "routing_penalty", "separation_penalty", "stability_penalty"]

ABSENT = -1e9  # a score that counts for nothing; minus infinity has no gradient


def capsule_scores(
    capsules: Tensor,
    active: Tensor,
    table: Tensor,
    target: Tensor,
    negatives: Tensor,
    log_q: Tensor,
    repeats: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return each capsule's scores of the target and of the negatives, for a softmax.

    Each negative is divided by its expected count exp(log_q), so that a sum over them estimates that over all items.
    Negatives that happen to be the target, and capsules that a user does not have, count for nothing.

    Parameters
    ----------
    capsules : float (B, K, d), times the scale.
    active : bool (B, K), True for capsules that the user has.
    table : float (items, d), item embeddings.
    target : int64 (B,), the row of each user's next item.
    negatives : int64 (M,), rows of the sampled items.
    log_q : float (items,), the logarithm of each item's expected count among the M.
    repeats : (B, items), what is added to an item's inner products with all capsules; None: nothing.

    Returns
    -------
    positive (B, K) and sampled (B, K, M)
    """
    positive = (capsules * table[target][:, None, :]).sum(-1)  # (B, K)
    sampled = capsules @ table[negatives].T - log_q[negatives]  # (B, K, M)
    if repeats is not None:
        positive = positive + repeats.gather(1, target[:, None])
        sampled = sampled + repeats[:, None, negatives]
    hit = negatives[None, :] == target[:, None]  # (B, M)
    return positive.masked_fill(~active, ABSENT), sampled.masked_fill(hit[:, None, :] | ~active[:, :, None], ABSENT)


def joint_softmax(positive: Tensor, sampled: Tensor, sharpness: float = 1.0) -> Tensor:
    """Return the loss of each user, one softmax over all capsules and items: (B,).

    -log [ exp(s_y) / sum_n exp(s_n) ], where s_n = 1/beta log sum_k exp(beta v_k e_n), beta the sharpness.

    A soft selection of the interest: all capsules and all items share one softmax, so a capsule also learns where it
    has nothing to say; with the argmax of label-aware attention only the selected one learns. With beta = 1 it is
    -log [ sum_k exp(v_k e_y) / sum_k sum_n exp(v_k e_n) ]. The larger beta, the nearer is s_n to max_k v_k e_n, by
    which retrieval ranks; of that alone far capsules learn nothing, and on some logs they end up alike. n runs over
    the target and the negatives.

    Parameters
    ----------
    positive, sampled : float (B, K) and (B, K, M), see `capsule_scores`.
    sharpness : beta.
    """
    right = torch.logsumexp(sharpness * positive, 1) / sharpness  # (B,)
    wrong = torch.logsumexp(sharpness * sampled, 1) / sharpness  # (B, M)
    return torch.logaddexp(right, torch.logsumexp(wrong, 1)) - right


def stability_penalty(capsules: Tensor, earlier: Tensor, both: Tensor) -> Tensor:
    """Return the mean of 1 - cosine between a slot's capsules now and one event earlier.

    Parameters
    ----------
    capsules, earlier : float (B, K, d).
    both : bool (B, K), True for slots that there were at both times.

    Returns
    -------
    ()
    """
    cosine = torch.cosine_similarity(capsules, earlier, dim=-1)  # (B, K)
    return ((1 - cosine) * both).sum() / both.sum().clamp_min(1)


def separation_penalty(capsules: Tensor, active: Tensor, margin: float = 0.2) -> Tensor:
    """Return the mean of max(0, cosine - margin)^2 over the pairs of a user's capsules.

    Parameters
    ----------
    capsules : float (B, K, d).
    active : bool (B, K).
    margin : cosine up to which capsules are apart enough.

    Returns
    -------
    ()
    """
    pairs = active[:, :, None] & active[:, None, :]
    pairs = pairs & ~torch.eye(active.shape[1], dtype=torch.bool, device=active.device)  # (B, K, K)
    cosine = torch.cosine_similarity(capsules[:, :, None], capsules[:, None, :], dim=-1)  # (B, K, K)
    return ((cosine - margin).clamp_min(0) ** 2 * pairs).sum() / pairs.sum().clamp_min(1)


def routing_penalty(weights: Tensor, mask: Tensor) -> Tensor:
    """Return REMI's routing regularisation: ||diag(covariance of A)||^2, averaged over users.

    Xie et al., "Rethinking Multi-Interest Learning for Candidate Matching in Recommender Systems", RecSys 2023.

    A (K, L) are a user's routing weights; || diag((A - mean A)(A - mean A)^T / L) ||^2 is large where an interest
    comes from a few behaviours alone. REMI divides by d where it stands here by L: padding takes no part, and the n
    behaviours of a user are divided by n, so lambda is not on REMI's scale.

    Parameters
    ----------
    weights : float (B, K, L), routing weights.
    mask : bool (B, L), True at behaviours.

    Returns
    -------
    ()
    """
    count = mask.sum(1).clamp_min(1)[:, None, None]  # (B, 1, 1)
    centred = (weights - weights.sum(2, keepdim=True) / count) * mask[:, None, :]
    variance = (centred**2).sum(2) / count[:, :, 0]  # (B, K)
    return (variance**2).sum(1).mean()
