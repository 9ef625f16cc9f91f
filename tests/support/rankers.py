"""Ranking models in small dimensions, and inputs that are drawn at random."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from model_export.bundle.ranking.features import FEATURES
from model_export.bundle.time_gaps import BUCKETS
from model_export.data.event_types import MOST_TYPES
from model_export.rankers.inputs import INPUT_NAMES, RankerInputs
from model_export.rankers.ranker_config import RANKERS
from model_export.rankers.ranking_model import RankingModel

__all__ = ["PROFILE", "in_double", "inputs_of", "model_of", "moved"]

PROFILE = [3, 2]  # rows of the profile fields' tables
SMALL: dict[str, Any] = {"dim": 8, "hidden": (6, 5), "history_length": 6, "num_interests": 3, "short_length": 2}


def model_of(name: str, items: int = 20, profile_sizes: list[int] = PROFILE, **settings: Any) -> RankingModel:
    """A ranker by name, untrained, of items without side features."""
    torch.manual_seed(0)
    config = replace(RANKERS[name].config, **{**SMALL, **settings})
    return RankingModel(config, torch.zeros(items, 0, dtype=torch.int64), 0, profile_sizes)


def moved(model: RankingModel) -> RankingModel:
    """The same model with everything away from its start: what begins as zeros makes no difference."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        for name, values in model.named_buffers():
            if values.is_floating_point() and not name.endswith("kept"):  # the shares of a diffusion stay as they are
                values.add_(0.3 * torch.rand(values.shape, generator=generator))
    return model


def inputs_of(model: RankingModel, lengths: list[int], number: int, width: int, seed: int = 0) -> RankerInputs:
    """Inputs at random: histories of such lengths, padded in front to `width` places, and `number` candidates.

    What stands at padding is at random too, since it has no influence.
    """
    generator, dim, users = torch.Generator().manual_seed(seed), model.config.dim, len(lengths)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def rows(limit: int, *shape: int) -> Tensor:
        return torch.randint(limit, shape, generator=generator)

    profile = [rows(size, users) for size in model.profile_sizes]
    return RankerInputs(
        behaviours=normal(users, width, dim),
        mask=torch.arange(width)[None] >= width - torch.tensor(lengths)[:, None],
        gaps=rows(BUCKETS, users, width),
        types=rows(MOST_TYPES, users, width),
        profile=torch.stack(profile, 1) if profile else torch.zeros(users, 0, dtype=torch.int64),
        candidates=normal(users, number, dim),
        candidate_features=normal(users, number, len(FEATURES)),
        capsules=torch.empty(users, 0, dim),
    )


def in_double(inputs: RankerInputs) -> RankerInputs:
    """The same inputs in double precision."""
    values = {name: getattr(inputs, name) for name in INPUT_NAMES}
    return RankerInputs(**{name: one.double() if one.is_floating_point() else one for name, one in values.items()})
