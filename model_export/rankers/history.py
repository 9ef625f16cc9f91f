"""What all cores read of a history alike: its mean, the profile, and when and what each behaviour was."""

import torch
from torch import Tensor, nn

from model_export.bundle.time_gaps import BUCKETS
from model_export.data.event_types import MOST_TYPES
from model_export.models.mind import behaviour_ages
from model_export.rankers.inputs import RankerInputs
from model_export.rankers.ranker_config import RankerConfig

__all__ = ["BehaviourEncoding", "UserVector", "masked_softmax", "mean_behaviour"]


def mean_behaviour(behaviours: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of each user's behaviours (B, r), zeros without any.

    Parameters
    ----------
    behaviours : float (B, L, r).
    mask : bool (B, L).
    """
    shares = mask.to(behaviours.dtype)[:, None]  # (B, 1, L)
    total = (shares @ behaviours).squeeze(1)  # (B, 1, L) @ (B, L, r) -> (B, r)
    return total / shares.sum(2).clamp_min(1)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Return a softmax over behaviours, with zeros at padding.

    A user without behaviours has zeros everywhere.

    Parameters
    ----------
    scores : float (B, ..., L).
    mask : bool, of a shape that broadcasts to that of scores.
    """
    return torch.softmax(scores.masked_fill(~mask, -1e9), -1) * mask


class UserVector(nn.Module):
    """The mean of a user's behaviours beside the profile, in 2r numbers; a profile says nothing before training."""

    def __init__(self, dim: int, profile_sizes: list[int]) -> None:
        super().__init__()
        self.tables = nn.ModuleList(
            nn.Embedding.from_pretrained(torch.zeros(size, dim), freeze=False) for size in profile_sizes
        )
        self.width = 2 * dim if profile_sizes else dim

    def forward(self, inputs: RankerInputs) -> Tensor:
        """Return float (B, width), width r without profile fields."""
        mean = mean_behaviour(inputs.behaviours, inputs.mask)  # (B, r)
        if not self.tables:
            return mean
        fields = [table(inputs.profile[:, at]) for at, table in enumerate(self.tables)]  # P times (B, r)
        return torch.cat([mean, torch.stack(fields).sum(0)], 1)  # (B, 2r)


class BehaviourEncoding(nn.Module):
    """One vector for when and what a behaviour was: by its time before the question, its age, and its event type."""

    def __init__(self, config: RankerConfig) -> None:
        super().__init__()
        self.gaps = nn.Embedding(BUCKETS, config.dim)
        self.ages = nn.Embedding(config.history_length, config.dim)  # age 0 the last behaviour
        self.types = nn.Embedding(MOST_TYPES, config.dim)
        for table in (self.gaps, self.ages, self.types):
            nn.init.normal_(table.weight, std=0.3 * config.dim**-0.5)  # items begin with length 1

    def forward(self, inputs: RankerInputs) -> Tensor:
        """Return float (B, L, r)."""
        ages = behaviour_ages(inputs.mask, self.ages.num_embeddings)  # (B, L)
        encoded: Tensor = self.gaps(inputs.gaps) + self.ages(ages) + self.types(inputs.types)
        return encoded
