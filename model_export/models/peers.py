"""The models that MIND is compared with, as interest extractors of the same interface: one class a model.

All take behaviours (B, L, d), mask (B, L), routing logits (B, K, L) and a profile, whether they use them or not, and
give capsules (B, K, d), the interest mask (B, K) and routing weights (B, K, L), so that one graph contract serves them.
"""

import torch
from torch import Tensor, nn

from model_export.models.mind import ProfileLayers, behaviour_ages, coupling, interest_mask, squash
from model_export.models.model_config import ModelConfig

__all__ = ["MaxMf", "MeanPooling", "SelfAttention", "UnsharedRouting", "order_by_age"]


class MeanPooling(nn.Module):
    """YouTube DNN: the mean of the behaviours and the profile through ReLU layers.

    Covington et al., "Deep Neural Networks for YouTube Recommendations", RecSys 2016.
    """

    def __init__(self, config: ModelConfig, profile_sizes: list[int]) -> None:
        super().__init__()
        if config.num_interests != 1:
            raise ValueError(f"num_interests is {config.num_interests}; the mean of all behaviours is 1 interest")
        self.config = config
        self.layers = ProfileLayers(config, profile_sizes)

    def forward(
        self, behaviours: Tensor, mask: Tensor, routing_logits: Tensor, profile: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the capsule of B users; see `InterestExtractor.forward`."""
        active = interest_mask(mask, 1)  # (B, 1)
        weights = torch.ones_like(routing_logits) * mask[:, None, :]  # (B, 1, L)
        mean = weights @ behaviours / weights.sum(2, keepdim=True).clamp_min(1)  # (B, 1, d)
        return self.layers(mean, profile) * active[:, :, None], active, weights  # (B, 1, d), (B, 1), (B, 1, L)


class MaxMf(nn.Module):
    """MaxMF: several vectors a user, each the mean of the items for which it is the best.

    Weston et al., "Nonlinear latent factorization by embedding multiple user interests", RecSys 2013.

    A user is up to K vectors, each the mean of the items for which it is the best of them; no layer behind them. The
    paper has vectors of known users. Users here are new, so theirs are found by assigning and averaging in turn.
    """

    def __init__(self, config: ModelConfig, profile_sizes: list[int]) -> None:
        super().__init__()
        self.config = config

    def forward(
        self, behaviours: Tensor, mask: Tensor, routing_logits: Tensor, profile: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the capsules of B users; see `InterestExtractor.forward`."""
        active = interest_mask(mask, self.config.num_interests, self.config.adaptive_interests)  # (B, K)
        fixed = behaviours.detach()
        taken = self.assign(routing_logits, active, mask)  # (B, K, L)
        for _ in range(self.config.routing_iterations - 1):
            taken = self.assign(self.average(taken, fixed) @ fixed.transpose(1, 2), active, mask)
        return self.average(taken, behaviours), active & (taken.sum(2) > 0), taken

    @staticmethod
    def assign(scores: Tensor, active: Tensor, mask: Tensor) -> Tensor:
        """Assign each behaviour to its best vector: one there, zero elsewhere, (B, K, L).

        Parameters
        ----------
        scores : float (B, K, L).
        active : bool (B, K).
        mask : bool (B, L).
        """
        best = scores.masked_fill(~active[:, :, None], -1e9).argmax(1, keepdim=True)  # (B, 1, L)
        slots = torch.arange(scores.shape[1], device=scores.device)[None, :, None]  # (1, K, 1)
        return ((best == slots) & mask[:, None, :]).to(scores.dtype)

    @staticmethod
    def average(taken: Tensor, behaviours: Tensor) -> Tensor:
        """Return the mean of the behaviours assigned to each vector (B, K, d), zero without any.

        Parameters
        ----------
        taken : float (B, K, L), see `assign`.
        behaviours : float (B, L, d).
        """
        return taken @ behaviours / taken.sum(2, keepdim=True).clamp_min(1)


class SelfAttention(nn.Module):
    """ComiRec-SA: K attention heads over the behaviours, by content and place.

    Cen et al., "Controllable Multi-Interest Framework for Recommendation", KDD 2020.
    """

    def __init__(self, config: ModelConfig, profile_sizes: list[int]) -> None:
        super().__init__()
        self.config = config
        self.places = nn.Parameter(config.dim**-0.5 * torch.randn(config.history_length, config.dim))  # by age
        self.first = nn.Linear(config.dim, config.hidden, bias=False)
        self.second = nn.Linear(config.hidden, config.num_interests, bias=False)

    def forward(
        self, behaviours: Tensor, mask: Tensor, routing_logits: Tensor, profile: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the capsules of B users; see `InterestExtractor.forward`."""
        active = interest_mask(mask, self.config.num_interests, self.config.adaptive_interests)  # (B, K)
        placed = behaviours + self.places[behaviour_ages(mask, self.config.history_length)]  # (B, L, d)
        scores = self.second(torch.tanh(self.first(placed))).transpose(1, 2)  # (B, K, L)
        there = mask[:, None, :] & active[:, :, None]  # (B, K, L); an unused head is nobody's interest
        attention = torch.softmax(scores.masked_fill(~mask[:, None, :], -1e9), 2) * there  # (B, K, L)
        return attention @ behaviours, active, attention  # (B, K, d), (B, K), (B, K, L)


class UnsharedRouting(nn.Module):
    """ComiRec-DR: dynamic routing with a map for each place and capsule instead of one S.

    Cen et al., "Controllable Multi-Interest Framework for Recommendation", KDD 2020.
    """

    def __init__(self, config: ModelConfig, profile_sizes: list[int]) -> None:
        super().__init__()
        self.config = config
        length, slots, dim = config.history_length, config.num_interests, config.dim
        self.maps = nn.Parameter(dim**-0.5 * torch.randn(length, slots, dim, dim))  # (L, K, d, d)

    def forward(
        self, behaviours: Tensor, mask: Tensor, routing_logits: Tensor, profile: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the capsules of B users; see `InterestExtractor.forward`."""
        active = interest_mask(mask, self.config.num_interests, self.config.adaptive_interests)  # (B, K)
        unused, age = ~active[:, :, None], behaviour_ages(mask, self.config.history_length)  # (B, K, 1), (B, L)
        newest_first, real = order_by_age(behaviours, mask)  # (B, L, d), (B, L)
        votes = self.votes(newest_first)  # (B, K, L, d)
        logits = torch.zeros_like(routing_logits)  # (B, K, L); the maps differ already
        for _ in range(self.config.routing_iterations - 1):
            weights = coupling(logits, unused, real)[:, :, None, :]  # (B, K, 1, L)
            capsules = squash((weights @ votes.detach()).squeeze(2))  # (B, K, d)
            logits = logits + (votes.detach() @ capsules[..., None]).squeeze(-1)  # (B, K, L)
        weights = coupling(logits, unused, real)  # (B, K, L), the newest behaviour first
        capsules = squash((weights[:, :, None, :] @ votes).squeeze(2))  # (B, K, d)
        back = age[:, None, :].expand_as(weights)  # (B, K, L), the place of each behaviour by age
        return capsules, active, weights.gather(2, back) * mask[:, None, :]

    def votes(self, newest_first: Tensor) -> Tensor:
        """Map each behaviour for each capsule: (B, L, d) -> (B, K, L, d)."""
        maps = self.maps[: newest_first.shape[1]]  # (L, K, d, d)
        if torch.onnx.is_in_onnx_export():  # user by user: else how it rounds depends on how many there are
            votes = newest_first[:, :, None, None, :] @ maps  # (B, L, 1, 1, d) @ (L, K, d, d) -> (B, L, K, 1, d)
            return votes.squeeze(3).transpose(1, 2)  # (B, K, L, d)
        return torch.einsum("bld,lkde->bkle", newest_first, maps)  # (B, K, L, d)


def order_by_age(behaviours: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return behaviours with the newest first (B, L, d), and the mask of the real ones (B, L)."""
    place = torch.arange(mask.shape[1], device=mask.device)  # (L,)
    before = (mask.cumsum(1) == 0).sum(1, keepdim=True)  # (B, 1), padding in front
    newest = before + mask.sum(1, keepdim=True) - 1  # (B, 1); amax would fail where L is 0
    order = (newest - place).clamp_min(0)[:, :, None].expand_as(behaviours)  # (B, L, d)
    return behaviours.gather(1, order), place < mask.sum(1, keepdim=True)  # (B, L, d), (B, L)
