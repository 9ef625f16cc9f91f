"""Training objectives beyond the paper's (whose are in mind.py). B users, K interests, M negatives, d dimensions."""

import torch
from torch import Tensor


def joint_softmax(
    capsules: Tensor,
    active: Tensor,
    table: Tensor,
    target: Tensor,
    negatives: Tensor,
    log_q: Tensor,
    scale: Tensor,
    repeats: Tensor | None = None,
) -> Tensor:
    """Mean of -log [ sum_k exp(v_k e_y) / sum_k sum_n exp(v_k e_n) ]: a soft selection of the interest.

    All capsules and all items share one softmax, so a capsule also learns where it has nothing to say; with the
    argmax of label-aware attention only the selected one learns. n runs over the target and the M negatives, each
    negative divided by its expected count exp(log_q), so that the sum estimates that over all items.

    Parameters
    ----------
    capsules (B, K, d), active bool (B, K), table (items, d), target int64 (B,), negatives int64 (M,), log_q (items,).
    scale : what inner products are multiplied by, (); unit-length vectors need one well above 1.
    repeats : (B, items), what is added to an item's inner products with all capsules; None: nothing.
    """
    scaled, absent = scale * capsules, ~active
    positive = (scaled * table[target][:, None, :]).sum(-1)  # (B, K)
    sampled = scaled @ table[negatives].T - log_q[negatives]  # (B, K, M)
    if repeats is not None:
        positive = positive + scale * repeats.gather(1, target[:, None])
        sampled = sampled + scale * repeats[:, None, negatives]
    positive = positive.masked_fill(absent, -1e9)
    hit = negatives[None, :] == target[:, None]  # (B, M)
    others = torch.logsumexp(sampled.masked_fill(hit[:, None, :], -1e9), 2)  # (B, K)
    everything = torch.logaddexp(positive, others).masked_fill(absent, -1e9)  # (B, K)
    return (torch.logsumexp(everything, 1) - torch.logsumexp(positive, 1)).mean()


def instability(capsules: Tensor, earlier: Tensor, both: Tensor) -> Tensor:
    """Mean of 1 - cosine between each slot's capsules now and one event earlier.

    Parameters
    ----------
    capsules, earlier (B, K, d); both bool (B, K), the slots that there were at both times.
    """
    cosine = torch.cosine_similarity(capsules, earlier, dim=-1)  # (B, K)
    return ((1 - cosine) * both).sum() / both.sum().clamp_min(1)


def overlap(capsules: Tensor, active: Tensor, margin: float = 0.2) -> Tensor:
    """Mean of max(0, cosine - margin)^2 over the pairs of a user's capsules.

    Parameters
    ----------
    capsules (B, K, d), active bool (B, K).
    """
    pairs = active[:, :, None] & active[:, None, :]
    pairs = pairs & ~torch.eye(active.shape[1], dtype=torch.bool, device=active.device)  # (B, K, K)
    cosine = torch.cosine_similarity(capsules[:, :, None], capsules[:, None, :], dim=-1)  # (B, K, K)
    return ((cosine - margin).clamp_min(0) ** 2 * pairs).sum() / pairs.sum().clamp_min(1)


def routing_penalty(weights: Tensor, mask: Tensor) -> Tensor:
    """REMI's routing regularisation (Xie et al., RecSys 2023): the squared norm of the diagonal of the covariance of A.

    A (K, L) are a user's routing weights; || diag((A - mean A)(A - mean A)^T / L) ||^2 is large where an interest
    comes from a few behaviours alone. REMI divides by d where it stands here by L: padding takes no part, and the n
    behaviours of a user are divided by n, so lambda is not on REMI's scale.

    Parameters
    ----------
    weights (B, K, L), mask bool (B, L).
    """
    count = mask.sum(1).clamp_min(1)[:, None, None]  # (B, 1, 1)
    centred = (weights - weights.sum(2, keepdim=True) / count) * mask[:, None, :]
    variance = (centred**2).sum(2) / count[:, :, 0]  # (B, K)
    return (variance**2).sum(1).mean()
