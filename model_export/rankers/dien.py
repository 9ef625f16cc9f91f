"""DIEN: interests are the states of a GRU, and evolve towards the candidate in a second one.

Zhou et al., "Deep Interest Evolution Network for Click-Through Rate Prediction", AAAI 2019 (arXiv 1809.03672). Its
abstract and code (mouna99/dien) were read, not the equations.

    h_l  = GRU(e_1 ... e_l)                              interest extraction, once a user
    a_nl = softmax over l of (h_l W e_n)                 attention of candidate n
    g_nl = AUGRU(h_1 ... h_l), update gate times a_nl    interest evolution, once a candidate
    s_n  = tower(g_nL, e_n, mean_l e_l * e_n, features; user)      with Dice

The auxiliary loss teaches the extraction: from state h_l the next behaviour has to be told from another one. In the
code a network compares them, here an inner product; and the other one is the behaviour of the same age of the next
user of the mini-batch. The mean and the features are ours; the code has the sum. A mask is a GRU's attention of 0 and
1: both recurrences are one layer, which copies its state where attention is 0.

The steps are unrolled in the exported graph, so it reads L behaviours, no fewer.

Shapes: B users, L behaviours (padded), N candidates, r dimensions, T tasks.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_export.rankers.din import Dice
from model_export.rankers.history import UserVector, masked_softmax, mean_behaviour
from model_export.rankers.inputs import RankerInputs
from model_export.rankers.ranker_config import RankerConfig
from model_export.rankers.tower import Tower

__all__ = ["AttentionalGru", "InterestEvolutionNetwork"]


class InterestEvolutionNetwork(nn.Module):
    """DIEN; see `RankingModel` for what a core is."""

    READS = ("behaviours", "mask", "profile", "candidates", "candidate_features")
    FIXED_LENGTH = True

    def __init__(self, config: RankerConfig, features: int, profile_sizes: list[int]) -> None:
        super().__init__()
        self.extraction = AttentionalGru(config.dim)
        self.evolution = AttentionalGru(config.dim)
        self.attention = nn.Parameter(torch.eye(config.dim))  # W
        self.user = UserVector(config.dim, profile_sizes)
        width = 3 * config.dim + features
        self.tower = Tower(width, self.user.width, config.hidden, len(config.tasks), config.dropout, Dice)

    def forward(self, inputs: RankerInputs) -> Tensor:
        """Return scores (B, N, T)."""
        states = self.extract(inputs)  # (B, L, r)
        alike = inputs.candidates @ (states @ self.attention).transpose(1, 2)  # (B, N, L)
        weights = masked_softmax(alike, inputs.mask[:, None])
        evolved = self.evolution(states, weights)[-1]  # (B, N, r)
        mean = mean_behaviour(inputs.behaviours, inputs.mask)[:, None]  # (B, 1, r)
        parts = [evolved, inputs.candidates, mean * inputs.candidates, inputs.candidate_features]
        scores: Tensor = self.tower(torch.cat(parts, 2), self.user(inputs))
        return scores

    def extract(self, inputs: RankerInputs) -> Tensor:
        """Return the GRU's state after each behaviour, (B, L, r)."""
        kept = inputs.mask[:, None].to(inputs.behaviours.dtype)  # (B, 1, L)
        behaviours = inputs.behaviours.masked_fill(~inputs.mask[:, :, None], 0)
        return torch.cat(self.extraction(behaviours, kept), 1)  # L times (B, 1, r) -> (B, L, r)

    def auxiliary_loss(self, inputs: RankerInputs, taken: Tensor) -> Tensor:
        """Return the mean cross-entropy of the next behaviour against another user's, ().

        `taken` is not read.
        """
        states = self.extract(inputs)[:, :-1]  # (B, L - 1, r)
        others = inputs.behaviours.roll(1, 0)
        known = inputs.mask[:, :-1] & inputs.mask[:, 1:] & inputs.mask.roll(1, 0)[:, 1:]  # (B, L - 1)
        scores = (states * inputs.behaviours[:, 1:]).sum(2)[known], (states * others[:, 1:]).sum(2)[known]
        losses = F.softplus(-scores[0]) + F.softplus(scores[1])
        return losses.sum() / known.sum().clamp_min(1)


class AttentionalGru(nn.Module):
    """A GRU whose update gate is scaled by attention (AUGRU): with 0 it keeps its state, with 1 it is a GRU."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.read = nn.Linear(dim, 3 * dim)  # of reset and update gate, and of the new state
        self.gates = nn.Parameter(dim**-0.5 * torch.randn(dim, 2 * dim))
        self.state = nn.Parameter(dim**-0.5 * torch.randn(dim, dim))

    def forward(self, steps: Tensor, attention: Tensor) -> list[Tensor]:
        """Go through L steps for N candidates of each of B users.

        Parameters
        ----------
        steps : float (B, L, r), what is read, the same for all candidates.
        attention : float (B, N, L), from 0 to 1.

        Returns
        -------
        L states (B, N, r)
        """
        dim = steps.shape[2]
        reads = self.read(steps)[:, :, None]  # (B, L, 1, 3r)
        state = attention.new_zeros(attention.shape[0], attention.shape[1], dim)
        states = []
        for place in range(steps.shape[1]):
            gates = torch.sigmoid(reads[:, place, :, : 2 * dim] + state @ self.gates)  # (B, N, 2r)
            update = gates[..., dim:] * attention[:, :, place, None]  # (B, N, r)
            new = torch.tanh(reads[:, place, :, 2 * dim :] + (gates[..., :dim] * state) @ self.state)
            state = state + update * (new - state)
            states.append(state)
        return states
