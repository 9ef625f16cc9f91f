"""DIN: each candidate weighs the behaviours for itself.

Zhou et al., "Deep Interest Network for Click-Through Rate Prediction", KDD 2018 (arXiv 1706.06978). Its abstract, the
authors' code (zhougr1993/DeepInterestNetwork) and summaries by others were read, not the equations.

    w_nl = a(e_l, e_n)                                   the local activation unit, not normalised
    u_n  = sum_l w_nl e_l                                sum pooling
    s_n  = tower(u_n, e_n, u_n * e_n, features; user)    with Dice

The unit's layer reads e_l, e_n, e_l - e_n and e_l * e_n in the paper. It is linear, so the difference adds nothing to
the first two and is left out; and the product's part is computed as one product of matrices, so the tensor
(B, N, L, r) is never made. Nothing here tells when a behaviour was, as in the paper. The features are ours.

Shapes: B users, L behaviours (padded), N candidates, r dimensions, H the unit's width, T tasks.
"""

import torch
from torch import Tensor, nn

from model_export.rankers.history import UserVector
from model_export.rankers.inputs import RankerInputs
from model_export.rankers.ranker_config import RankerConfig
from model_export.rankers.tower import Tower

__all__ = ["ActivationUnit", "Dice", "InterestNetwork", "touched_rows_penalty"]


class InterestNetwork(nn.Module):
    """DIN; see `RankingModel` for what a core is."""

    READS = ("behaviours", "mask", "profile", "candidates", "candidate_features")

    def __init__(self, config: RankerConfig, features: int, profile_sizes: list[int]) -> None:
        super().__init__()
        self.unit = ActivationUnit(config.dim, config.unit_hidden)
        self.user = UserVector(config.dim, profile_sizes)
        width = 3 * config.dim + features
        self.tower = Tower(width, self.user.width, config.hidden, len(config.tasks), config.dropout, Dice)

    def forward(self, inputs: RankerInputs) -> Tensor:
        """Return scores (B, N, T)."""
        weights = self.unit(inputs.behaviours, inputs.mask, inputs.candidates)  # (B, N, L)
        pooled = weights @ inputs.behaviours  # (B, N, r)
        parts = [pooled, inputs.candidates, pooled * inputs.candidates, inputs.candidate_features]
        scores: Tensor = self.tower(torch.cat(parts, 2), self.user(inputs))
        return scores


class ActivationUnit(nn.Module):
    """The local activation unit: what each behaviour says of each candidate."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.behaviour = nn.Linear(dim, width)
        self.candidate = nn.Parameter(dim**-0.5 * torch.randn(width, dim))
        self.product = nn.Parameter(dim**-0.5 * torch.randn(width, dim))
        self.dice = Dice(width)
        self.weight = nn.Linear(width, 1)

    def forward(self, behaviours: Tensor, mask: Tensor, candidates: Tensor) -> Tensor:
        """Weigh behaviours for candidates.

        Parameters
        ----------
        behaviours : float (B, L, r).
        mask : bool (B, L).
        candidates : float (B, N, r).

        Returns
        -------
        float (B, N, L), zeros at padding
        """
        factors = behaviours[:, :, None] * self.product + self.candidate  # (B, L, H, r), of the candidate
        maps = torch.cat([factors, self.behaviour(behaviours)[..., None]], 3)  # (B, L, H, r + 1)
        # The last factor is of a 1 behind each candidate: all sums that make the hidden layer are one product.
        ones = torch.cat([candidates, torch.ones_like(candidates[..., :1])], 2)  # (B, N, r + 1)
        hidden = ones @ maps.flatten(1, 2).transpose(1, 2)  # (B, N, L * H)
        hidden = hidden.unflatten(2, (-1, self.product.shape[0]))  # (B, N, L, H)
        weights: Tensor = self.weight(self.dice(hidden, mask[:, None])).squeeze(3)  # (B, N, L)
        return weights.masked_fill(~mask[:, None], 0)


class Dice(nn.Module):
    """The activation of data-adaptive shape: p x + (1 - p) alpha x, p = sigmoid of x in units of its spread.

    Mean and spread are those of the mini-batch in training, and running averages of them afterwards.
    """

    mean: Tensor
    variance: Tensor
    MOMENTUM = 0.1
    SMALLEST = 1e-5

    def __init__(self, width: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return activated values.

        Parameters
        ----------
        values : float (..., width).
        mask : bool, that broadcasts to (...): where values count in mean and spread; None: everywhere.
        """
        mean, variance = self.statistics(values, mask) if self.training else (self.mean, self.variance)
        open_ = torch.sigmoid((values - mean) * torch.rsqrt(variance + self.SMALLEST))
        return values * (open_ + self.alpha * (1 - open_))

    def statistics(self, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the mini-batch's mean and variance, each (width,).

        The running ones follow.
        """
        rows = values.reshape(-1, values.shape[-1]) if mask is None else values[mask.expand(values.shape[:-1])]
        if len(rows) < 2:
            return self.mean, self.variance
        variance, mean = torch.var_mean(rows, 0, correction=0)
        with torch.no_grad():
            self.mean.lerp_(mean, self.MOMENTUM)
            self.variance.lerp_(variance, self.MOMENTUM)
        return mean, variance


def touched_rows_penalty(vectors: Tensor, occurrences: Tensor) -> Tensor:
    """Return DIN's mini-batch aware regularisation of the rows that a mini-batch reads: ().

    The sum of |w_j|^2 / n_j over these rows, so that a rare item is held back more than a frequent one, and a step
    costs what its own rows cost.

    Parameters
    ----------
    vectors : float (n, r), each row of the item table that the mini-batch reads, once.
    occurrences : int64 (n,), how often each one occurs in all of the training's examples; at least 1 is taken.
    """
    return (vectors.square().sum(1) / occurrences.clamp_min(1)).sum()
