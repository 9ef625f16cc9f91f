"""MIND: the Multi-Interest Network with Dynamic routing, whole and in one file.

Li et al., "Multi-Interest Network with Dynamic Routing for Recommendation at Tmall", CIKM 2019. The
names of layers and algorithm 1 are the paper's. Shapes: B users, L behaviours (padded), K interests, d dimensions,
P profile fields, M sampled negatives.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_export.models.model_config import ModelConfig

__all__ = [
    "InterestExtractor",
    "ProfileLayers",
    "behaviour_ages",
    "coupling",
    "interest_mask",
    "label_aware_attention",
    "sampled_softmax",
    "squash",
    "weigh_hard_negatives",
]


def squash(z: Tensor) -> Tensor:
    """Shorten vectors (..., d) to a length below one, keeping their direction (algorithm 1).

    Written as |z| / (1 + |z|^2) * z, which is zero at zero without a small number in a denominator: the ONNX
    exporter drops a number as small as 1e-9, and a capsule that nothing flows into would be served as NaN.
    """
    length = torch.linalg.vector_norm(z, dim=-1, keepdim=True)  # (..., 1)
    squashed: Tensor = length / (1 + length * length) * z
    return squashed


def interest_mask(mask: Tensor, num_interests: int, adaptive: bool = True) -> Tensor:
    """Return the mask of a user's capsules: K' = max(1, min(K, floor(log2 n))), or all K.

    No capsule if n = 0. `mask` (B, L) marks the n real behaviours. Capsule k >= 1 exists from n = 2^(k+1) on:
    comparing with powers of two is exact where a floating-point logarithm of 8 may come out as 2.9999998.

    Returns
    -------
    bool (B, K)
    """
    behaviours = mask.sum(1, keepdim=True)  # (B, 1)
    later = [2 ** (k + 1) if adaptive else 1 for k in range(1, num_interests)]
    needed = torch.tensor([1, *later], device=mask.device)
    return behaviours >= needed  # (B, K)


def behaviour_ages(mask: Tensor, length: int) -> Tensor:
    """Return the number of behaviours after each one, int64 (B, L), at most length - 1.

    Padding may be in front or behind.

    Parameters
    ----------
    mask : bool (B, L), True at behaviours.
    """
    return (mask.sum(1, keepdim=True) - mask.cumsum(1)).clamp(0, length - 1)


def coupling(logits: Tensor, unused: Tensor, mask: Tensor) -> Tensor:
    """Return routing weights (B, K, L): a softmax over the capsules of each behaviour.

    So not a softmax over behaviours, as in attention.

    Parameters
    ----------
    logits : float (B, K, L).
    unused : bool (B, K, 1), True for capsules that the user does not have: they get no share.
    mask : bool (B, L); padding gives no share.
    """
    return torch.softmax(logits.masked_fill(unused, -1e9), 1) * mask[:, None, :]


class InterestExtractor(nn.Module):
    """From behaviour embeddings to interest capsules; this part is exported to ONNX.

    It draws nothing at random: the initial routing logits are an input. Training passes fresh Gaussians,
    serving the fixed ones of each item (see draw_routing_logits in bundle.py).
    """

    def __init__(self, config: ModelConfig, profile_sizes: list[int]) -> None:
        super().__init__()
        self.config = config
        self.bilinear_map = nn.Parameter(torch.empty(config.dim, config.dim))  # S, shared by all pairs
        nn.init.xavier_normal_(self.bilinear_map, gain=config.map_gain)
        self.layers = ProfileLayers(config, profile_sizes)

    def forward(
        self, behaviours: Tensor, mask: Tensor, routing_logits: Tensor, profile: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the capsules of B users.

        Parameters
        ----------
        behaviours : float (B, L, d), item embeddings; what stands at padding has no influence.
        mask : bool (B, L), True at behaviours, False at padding.
        routing_logits : float (B, K, L), initial b of the routing.
        profile : int64 (B, P), the row of each profile field's value, 0 for unknown. Only where P > 0.

        Returns
        -------
        capsules (B, K, d), zero where unused; interest_mask bool (B, K); routing_weights (B, K, L), which for
        each behaviour sum to one over the user's capsules, zero at padding.
        """
        active = interest_mask(mask, self.config.num_interests, self.config.adaptive_interests)  # (B, K)
        capsules, weights = self.route(behaviours, mask, routing_logits, active)
        capsules = self.layers(capsules, profile) * active[:, :, None]  # (B, K, d)
        return capsules, active, weights

    def route(self, behaviours: Tensor, mask: Tensor, logits: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """Compute capsules by B2I dynamic routing (algorithm 1).

        As in capsule networks, only the last iteration is differentiated: the logits that the earlier ones
        find are taken as given, and S still gets its gradient through the last weighted sum.

        Serving finds them in double precision. Routing magnifies rounding: in single precision the capsules of a
        few users in a hundred differ by 1e-5 to 3e-4 between torch and ONNX Runtime, as between two processors.

        Returns
        -------
        capsules (B, K, d) and routing weights (B, K, L)
        """
        unused = ~active[:, :, None]  # (B, K, 1)
        votes = behaviours @ self.bilinear_map  # (B, L, d), S e_i
        fixed_votes = (votes if self.training else behaviours.double() @ self.bilinear_map.double()).detach()
        logits = logits.to(fixed_votes.dtype)
        for _ in range(self.config.routing_iterations - 1):
            capsules = squash(coupling(logits, unused, mask) @ fixed_votes)  # (B, K, d)
            logits = logits + capsules @ fixed_votes.transpose(1, 2)  # (B, K, L), b_ij += u_j . S e_i
        weights = coupling(logits, unused, mask).to(votes.dtype)  # (B, K, L)
        capsules = squash(weights @ votes)  # (B, K, d)
        return capsules, weights


class ProfileLayers(nn.Module):
    """Two layers, with ReLU between, behind the capsules and the user's profile."""

    def __init__(self, config: ModelConfig, profile_sizes: list[int]) -> None:
        super().__init__()
        self.profile_tables = nn.ModuleList(nn.Embedding(size, config.profile_dim) for size in profile_sizes)
        width = config.dim + len(profile_sizes) * config.profile_dim
        self.layers = nn.Sequential(nn.Linear(width, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.dim))

    def forward(self, capsules: Tensor, profile: Tensor | None) -> Tensor:
        """Transform each capsule together with the user's profile.

        Parameters
        ----------
        capsules : float (B, K, d).
        profile : int64 (B, P), or None without profile fields.

        Returns
        -------
        float (B, K, d)
        """
        if profile is not None:
            fields = [table(profile[:, i]) for i, table in enumerate(self.profile_tables)]  # P times (B, profile_dim)
            profiles = torch.cat(fields, -1)[:, None, :]  # (B, 1, P * profile_dim)
            profiles = profiles.expand(-1, capsules.shape[1], -1)  # (B, K, P * profile_dim)
            capsules = torch.cat([capsules, profiles], -1)  # (B, K, d + P * profile_dim)
        layered: Tensor = self.layers(capsules)  # (B, K, d)
        return layered


def label_aware_attention(capsules: Tensor, active: Tensor, label: Tensor, p: float) -> Tensor:
    """Return a user vector for each label: capsules weighted by softmax((capsule . label)^p).

    The power keeps the sign: a capsule that disagrees with the label must not win for disagreeing strongly.
    p = 0 weighs all capsules the same, p = inf takes the best one alone.

    Parameters
    ----------
    capsules : float (B, K, d).
    active : bool (B, K), True for capsules that the user has.
    label : float (B, d), the label's embedding.
    p : the power, from 0 to inf.

    Returns
    -------
    (B, d)
    """
    scores = (capsules @ label[:, :, None]).squeeze(-1)  # (B, K)
    if math.isinf(p):
        best = scores.masked_fill(~active, -torch.inf).argmax(1)  # (B,)
        return capsules[torch.arange(len(capsules), device=capsules.device), best]  # (B, d)
    powered = torch.sign(scores) * scores.abs().clamp_min(1e-12) ** p if p else torch.zeros_like(scores)
    weights = torch.softmax(powered.masked_fill(~active, -1e9), 1)  # (B, K)
    return (weights[:, None, :] @ capsules).squeeze(1)  # (B, 1, K) @ (B, K, d) -> (B, d)


def sampled_softmax(
    user: Tensor, table: Tensor, target: Tensor, negatives: Tensor, log_q: Tensor, hardness: float = 0.0
) -> Tensor:
    """Return the cross-entropy of each target among itself and M shared negatives: (B,).

    Every logit is corrected by the logarithm of the expected count of its item in the sample (logQ), so that
    the expectation is that of the full softmax. A negative that is the target itself (accidental hit) is removed.

    Parameters
    ----------
    user : float (B, d), user vectors.
    table : float (items, d), item embeddings.
    target : int64 (B,), the row of each user's next item.
    negatives : int64 (M,), rows of the sampled items.
    log_q : float (items,), the logarithm of each item's expected count among the M.
    hardness : beta of interest-aware hard negatives, see `weigh_hard_negatives`.
    """
    positive = (user * table[target]).sum(-1) - log_q[target]  # (B,)
    sampled = user @ table[negatives].T  # (B, M)
    sampled = sampled.masked_fill(negatives[None, :] == target[:, None], -torch.inf)
    sampled = weigh_hard_negatives(sampled, hardness) - log_q[negatives]
    logits = torch.cat([positive[:, None], sampled], 1)  # (B, 1 + M)
    return F.cross_entropy(logits, torch.zeros(len(user), dtype=torch.int64, device=user.device), reduction="none")


def weigh_hard_negatives(scores: Tensor, beta: float) -> Tensor:
    """Weigh negatives by w_j = exp(beta s_j) / mean exp(beta s), added to their logits.

    Interest-aware hard negative mining of REMI (Xie et al., "Rethinking Multi-Interest Learning for Candidate
    Matching in Recommender Systems", RecSys 2023). Accidental hits, whose scores are -inf, have no part in the mean.

    Parameters
    ----------
    scores : float (B, M), -inf at accidental hits.

    Returns
    -------
    float (B, M)
    """
    if beta == 0:
        return scores
    number = (scores > -torch.inf).sum(1, keepdim=True).clamp_min(1)  # (B, 1)
    mean = torch.logsumexp(beta * scores, 1, keepdim=True) - number.log()  # (B, 1)
    return scores + beta * scores - mean
