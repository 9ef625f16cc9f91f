"""TIN: how a behaviour and the candidate are alike, and when the behaviour was, taken together.

Zhou et al., "Temporal Interest Network for User Response Prediction", WWW 2024 (arXiv 2308.08487). Its abstract and its
code (zhouxy1003/TIN) were read, not the equations.

    h_l  = e_l + p_l                                     the target-aware temporal encoding p_l of behaviour l
    t_n  = e_n + p_now                                   the candidate, at its own place in time
    a_nl = softmax over l of (beta t_n . h_l)          target-aware attention
    u_n  = sum_l a_nl (t_n * h_l)                        target-aware representation
    s_n  = tower(u_n, sum_l a_nl h_l, e_n, features; user)

As t_n does not depend on l, u_n is t_n * sum_l a_nl h_l, and no tensor (B, N, L, r) is needed. Attention and
representation each join semantics and time of behaviour and candidate: the interaction of four.

In the code p_l is the vector of a place alone; here it is the sum of those of its age, of the time between the
behaviour and the question, and of its event type. beta is 1 / sqrt r there, and learned here, since our items begin
with length 1. The features are ours.

Shapes: B users, L behaviours (padded), N candidates, r dimensions, T tasks.
"""

import math

import torch
from torch import Tensor, nn

from model_export.rankers.history import BehaviourEncoding, UserVector, masked_softmax
from model_export.rankers.inputs import RankerInputs
from model_export.rankers.ranker_config import RankerConfig
from model_export.rankers.tower import Tower, relu

__all__ = ["TemporalInterestNetwork"]

FIRST_SHARPNESS = 4.0  # of an inner product of an item with itself


class TemporalInterestNetwork(nn.Module):
    """TIN; see `RankingModel` for what a core is."""

    READS = ("behaviours", "mask", "gaps", "types", "profile", "candidates", "candidate_features")

    def __init__(self, config: RankerConfig, features: int, profile_sizes: list[int]) -> None:
        super().__init__()
        self.encoding = BehaviourEncoding(config)
        self.now = nn.Parameter(0.3 * config.dim**-0.5 * torch.randn(config.dim))
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(FIRST_SHARPNESS)))
        self.user = UserVector(config.dim, profile_sizes)
        width = 3 * config.dim + features
        self.tower = Tower(width, self.user.width, config.hidden, len(config.tasks), config.dropout, relu)

    def forward(self, inputs: RankerInputs) -> Tensor:
        """Return scores (B, N, T)."""
        behaviours = inputs.behaviours + self.encoding(inputs)  # (B, L, r)
        targets = inputs.candidates + self.now  # (B, N, r)
        alike = targets @ (self.log_sharpness.exp() * behaviours).transpose(1, 2)  # (B, N, L)
        pooled = masked_softmax(alike, inputs.mask[:, None]) @ behaviours  # (B, N, r)
        parts = [targets * pooled, pooled, inputs.candidates, inputs.candidate_features]
        scores: Tensor = self.tower(torch.cat(parts, 2), self.user(inputs))
        return scores
