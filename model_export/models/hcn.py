"""HCN: interest centres that move layer by layer, over the long and the short history, which are then joined.

After Yuan et al., "Hierarchical Multi-Interest Co-Network For Coarse-Grained Ranking", 2022 (arXiv 2210.10547). Only
its abstract was read. The paper's are: a hierarchical extraction layer that updates the centres of a user's interests
iteratively, since vectors of earlier models are too alike; and a co-interest network that joins the interests of the
long and of the short history. How that is done is ours: the centres compete for behaviours, as each behaviour shares
itself out among them; the last `short_length` behaviours are the short history; the same layers read both histories;
and a gate joins them.

    layer t moves the centres c_k of the layer before; all users begin with the same, learned ones:
    s_ki      = beta_t cos(c_k Q_t, (e_i + a(age of i)) R_t)
    w_ki      = softmax over k of s_ki                     what one centre takes, the others do not
    c_k       = c_k + sum_i w_ki e_i / sum_i w_ki V_t
    the long interests l_k, the short ones s_j:
    partner_k = sum_j softmax over j of (l_k C s_j / sqrt d) s_j
    v_k       = g_k l_k + (1 - g_k) partner_k              g_k a sigmoid of both

Shapes: B users, L behaviours (padded), K interests, d dimensions.
"""

import math

import torch
from torch import Tensor, nn

from model_export.models.mind import behaviour_ages, coupling, interest_mask
from model_export.models.model_config import ModelConfig
from model_export.models.steady import SMALLEST, unit_length

__all__ = ["CoInterest", "ExtractionLayer", "HierarchicalCoNetwork"]

FIRST_SHARPNESS = 4.0  # beta_t, the factor on cosines


class HierarchicalCoNetwork(nn.Module):
    """From behaviour embeddings to interest capsules; see `InterestExtractor`.

    It has as many layers as the settings have `routing_iterations`.
    """

    def __init__(self, config: ModelConfig, profile_sizes: list[int]) -> None:
        super().__init__()
        self.config = config
        self.centres = nn.Parameter(config.dim**-0.5 * torch.randn(config.num_interests, config.dim))  # (K, d)
        self.places = nn.Parameter(0.1 * config.dim**-0.5 * torch.randn(config.history_length, config.dim))  # by age
        self.layers = nn.ModuleList(
            ExtractionLayer(config.dim, config.routing_iterations) for _ in range(config.routing_iterations)
        )
        self.co_interest = CoInterest(config.dim)

    def forward(
        self,
        behaviours: Tensor,
        mask: Tensor,
        routing_logits: Tensor,
        profile: Tensor | None = None,
        gaps: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the capsules of B users; see `InterestExtractor.forward`.

        The routing weights (B, K, L) are the shares in the long history, at its last layer.
        """
        active = interest_mask(mask, self.config.num_interests, self.config.adaptive_interests)  # (B, K)
        ages = behaviour_ages(mask, self.config.history_length)  # (B, L)
        placed = behaviours + self.places[ages]  # (B, L, d)
        long, weights = self.extract(behaviours, placed, mask, active)
        short, _ = self.extract(behaviours, placed, mask & (ages < self.config.short_length), active)
        capsules = self.co_interest(long, short, active)  # (B, K, d)
        if self.config.unit_length:
            capsules = unit_length(capsules)
        return capsules * active[:, :, None], active, weights

    def extract(self, behaviours: Tensor, placed: Tensor, mask: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """Move the centres through all layers.

        Parameters
        ----------
        behaviours, placed : float (B, L, d), what centres are moved by and what they are compared with.
        mask : bool (B, L), the behaviours that are read.
        active : bool (B, K).

        Returns
        -------
        interests (B, K, d), and the weights (B, K, L) of the last layer
        """
        # Not len(behaviours): the exporter would fix the number of users by it.
        interests = self.centres.expand(behaviours.shape[0], -1, -1)  # (B, K, d)
        for layer in self.layers:
            interests, weights = layer(interests, behaviours, placed, mask, active)
        return interests, weights


class ExtractionLayer(nn.Module):
    """One layer of the hierarchical extraction, with maps of its own.

    Parameters
    ----------
    dim : d.
    layers : how many there are; all together move a centre by about the mean of what it takes, at first.
    """

    def __init__(self, dim: int, layers: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(dim**-0.5 * torch.randn(dim, dim))  # Q_t
        self.keys = nn.Parameter(dim**-0.5 * torch.randn(dim, dim))  # R_t
        self.moves = nn.Parameter(torch.eye(dim) / layers)  # V_t
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(FIRST_SHARPNESS)))  # log beta_t

    def forward(
        self, centres: Tensor, behaviours: Tensor, placed: Tensor, mask: Tensor, active: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Move centres (B, K, d) once; see `HierarchicalCoNetwork.extract`.

        Returns
        -------
        centres (B, K, d), and how each behaviour shared itself out among them (B, K, L)
        """
        queries, keys = unit_length(centres @ self.queries), unit_length(placed @ self.keys)  # (B, K, d), (B, L, d)
        scores = self.log_sharpness.exp() * (queries @ keys.transpose(1, 2))  # (B, K, L); cosines bound them
        weights = coupling(scores, ~active[:, :, None], mask)  # (B, K, L)
        # A product, not a sum: how a sum rounds depends on the place in the batch (see steady.py).
        total = weights @ mask.to(weights.dtype)[:, :, None]  # (B, K, 1)
        taken = weights @ behaviours / total.clamp_min(SMALLEST)  # (B, K, d)
        return centres + taken @ self.moves, weights


class CoInterest(nn.Module):
    """The co-interest network: each long interest is joined with the short ones that are like it."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.likeness = nn.Parameter(torch.eye(dim))  # C
        self.gate = nn.Linear(2 * dim, 1)

    def forward(self, long: Tensor, short: Tensor, active: Tensor) -> Tensor:
        """Join interests of the long and of the short history, (B, K, d).

        Parameters
        ----------
        long, short : float (B, K, d).
        active : bool (B, K); unused short interests are nobody's partner.
        """
        scores = long @ self.likeness @ short.transpose(1, 2) * long.shape[2] ** -0.5  # (B, K, K)
        shares = torch.softmax(scores.masked_fill(~active[:, None, :], -1e9), 2)  # (B, K, K)
        partners = shares @ short  # (B, K, d)
        gates = torch.sigmoid(self.gate(torch.cat([long, partners], 2)))  # (B, K, 1)
        joined: Tensor = gates * long + (1 - gates) * partners
        return joined
