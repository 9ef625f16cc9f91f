"""HCN as coarse ranker: a user's interests, computed once, against any number of candidates.

After Yuan et al., "Hierarchical Multi-Interest Co-Network For Coarse-Grained Ranking", 2022 (arXiv 2210.10547). Only
its abstract was read. The interests are those of the extractor: ../models/hcn.py says which parts are the paper's.
How candidates are scored with them is ours:

    a_nk = softmax over k of (beta v_k . e_n)            which interest speaks for candidate n
    s_n  = (sum_k a_nk v_k) * e_n . w_t + e_n . b_t + features . c_t      for task t

A candidate costs K + T products of r numbers, and no hidden layer: so all candidates of a request can be ranked, or a
whole catalogue.

Shapes: B users, L behaviours (padded), K interests, N candidates, r dimensions, T tasks.
"""

import math

import torch
from torch import Tensor, nn

from model_export.models.hcn import HierarchicalCoNetwork
from model_export.models.model_config import ModelConfig
from model_export.rankers.inputs import RankerInputs
from model_export.rankers.ranker_config import RankerConfig

__all__ = ["CoarseRanker"]

FIRST_SHARPNESS = 4.0


class CoarseRanker(nn.Module):
    """HCN; see `RankingModel` for what a core is."""

    READS = ("behaviours", "mask", "candidates", "candidate_features")

    def __init__(self, config: RankerConfig, features: int, profile_sizes: list[int]) -> None:
        super().__init__()
        self.interests = HierarchicalCoNetwork(
            ModelConfig(
                name="hcn",
                extractor="hcn",
                dim=config.dim,
                num_interests=config.num_interests,
                adaptive_interests=False,
                history_length=config.history_length,
                routing_iterations=config.layers,
                short_length=config.short_length,
            ),
            [],
        )
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(FIRST_SHARPNESS)))
        tasks = len(config.tasks)
        self.match = nn.Linear(config.dim, tasks, bias=False)  # w
        nn.init.constant_(self.match.weight, FIRST_SHARPNESS)
        self.candidate = nn.Linear(config.dim + features, tasks)  # b, c
        nn.init.zeros_(self.candidate.weight)

    def forward(self, inputs: RankerInputs) -> Tensor:
        """Return scores (B, N, T)."""
        # HCN has no routing logits; what stands for them is not read.
        interests, _, _ = self.interests(inputs.behaviours, inputs.mask, inputs.behaviours)  # (B, K, r)
        alike = inputs.candidates @ (self.log_sharpness.exp() * interests).transpose(1, 2)  # (B, N, K)
        matched = torch.softmax(alike, 2) @ interests  # (B, N, r)
        own = torch.cat([inputs.candidates, inputs.candidate_features], 2)
        scores: Tensor = self.match(matched * inputs.candidates) + self.candidate(own)
        return scores
