"""Steady: multi-interest slots that keep still from one event to the next. The default model.

MIND decides anew at every event which behaviours belong together, so a slot may stand for gardening now and for
toys after the next click. Here each item has learned routing logits, which say to which slots it belongs, whatever
else is in the history; one pass then pools each slot, weighing behaviours as that slot has learned to: by how many came
after it (age), by how long before the last one it was (gap; time_gaps.py), and by its event type (event_types.py).

    c_ki = softmax over k of b_k(item i)                    the item's routing logits
    w_ki = c_ki r_k(age of i) g_k(gap of i) t_k(type of i)
    z_k  = sum_i w_ki e_i / sum_i w_ki
    v_k  = unit length of M_k (z_k + p_k + profile)         p_k the slot's prior, M_k the slot's map

Beside it the model learns what items of a user's own history get on top of max-sim (own_items.py).

Shapes: B users, L behaviours (padded), K interests, d dimensions, P profile fields.
"""

import torch
from torch import Tensor, nn

from model_export.bundle.time_gaps import BUCKETS
from model_export.data.event_types import MOST_TYPES
from model_export.models.mind import behaviour_ages, coupling, interest_mask
from model_export.models.model_config import ModelConfig

__all__ = ["SteadyExtractor", "unit_length"]

SMALLEST = 1e-6  # of a length or a sum that something is divided by; the ONNX exporter drops much smaller ones


class SteadyExtractor(nn.Module):
    """From behaviour embeddings to unit-length interest capsules; see `InterestExtractor`."""

    def __init__(self, config: ModelConfig, profile_sizes: list[int]) -> None:
        super().__init__()
        self.config = config
        slots, dim = config.num_interests, config.dim
        self.recency = nn.Parameter(torch.zeros(slots, config.history_length))  # log r_k(age), age 0 the last behaviour
        self.gap_weights = nn.Parameter(torch.zeros(slots, BUCKETS)) if config.time_gaps else None  # log g_k(gap)
        self.type_weights = nn.Parameter(torch.zeros(slots, MOST_TYPES)) if config.types else None  # log t_k(type)
        self.prior = nn.Parameter(0.5 * dim**-0.5 * torch.randn(slots, dim))
        self.maps = nn.Parameter(torch.eye(dim).repeat(slots, 1, 1))  # (K, d, d)
        # A profile moves nothing until training says so.
        self.profile_tables = nn.ModuleList(
            nn.Embedding.from_pretrained(torch.zeros(size, dim), freeze=False) for size in profile_sizes
        )
        self.dropout = nn.Dropout(config.behaviour_dropout)

    def forward(
        self,
        behaviours: Tensor,
        mask: Tensor,
        routing_logits: Tensor,
        profile: Tensor | None = None,
        gaps: Tensor | None = None,
        types: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the capsules of B users; see `InterestExtractor.forward`.

        `gaps` int64 (B, L), see time_gaps.py: only with `time_gaps`; without it all are taken as of one visit.
        `types` int64 (B, L), rows of the event types: only with `types`; without it all are taken as alike.
        """
        active = interest_mask(mask, self.config.num_interests, self.config.adaptive_interests)  # (B, K)
        routing = coupling(routing_logits, ~active[:, :, None], mask)  # (B, K, L)
        kept = self.dropout(mask.to(behaviours.dtype))[:, None, :]  # (B, 1, L)
        pooling = routing * self.pooling_weights(mask, gaps, types) * kept  # (B, K, L)
        # How ONNX Runtime's sum rounds depends on where in memory a row begins, so on the place in the batch.
        total = pooling @ mask.to(behaviours.dtype)[:, :, None]  # (B, K, 1)
        pooled = pooling @ behaviours / total.clamp_min(SMALLEST)  # (B, K, d)
        capsules = pooled + self.prior + self.profile_vector(profile)  # (B, K, d)
        return unit_length(self.apply_maps(capsules)) * active[:, :, None], active, routing

    def apply_maps(self, capsules: Tensor) -> Tensor:
        """Multiply each capsule (B, K, d) by the map of its slot.

        As one product a slot, over all users.
        """
        return (capsules.transpose(0, 1) @ self.maps).transpose(0, 1)  # (K, B, d) @ (K, d, d) -> (B, K, d)

    def pooling_weights(self, mask: Tensor, gaps: Tensor | None, types: Tensor | None = None) -> Tensor:
        """Return r_k g_k t_k of each behaviour, (B, K, L); padding may be in front or behind.

        Parameters
        ----------
        mask : bool (B, L).
        gaps, types : int64 (B, L), or None.
        """
        age = behaviour_ages(mask, self.config.history_length)  # (B, L)
        weights = self.recency.exp()[:, age]  # (K, B, L)
        if self.gap_weights is not None and gaps is not None:
            weights = weights * self.gap_weights.exp()[:, gaps]  # (K, B, L)
        if self.type_weights is not None and types is not None:
            weights = weights * self.type_weights.exp()[:, types]  # (K, B, L)
        return weights.transpose(0, 1)  # (B, K, L)

    def profile_vector(self, profile: Tensor | None) -> Tensor:
        """Return the sum of the profile fields' vectors (B, 1, d), or zero without fields."""
        if profile is None:
            return torch.zeros(1, device=self.prior.device)
        fields = [table(profile[:, i]) for i, table in enumerate(self.profile_tables)]  # P times (B, d)
        return torch.stack(fields).sum(0)[:, None, :]  # (P, B, d) -> (B, 1, d)


def unit_length(vectors: Tensor) -> Tensor:
    """Divide vectors (..., d) by their lengths."""
    unit: Tensor = vectors / torch.linalg.vector_norm(vectors, dim=-1, keepdim=True).clamp_min(SMALLEST)
    return unit
