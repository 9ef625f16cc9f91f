"""How alike a user's capsules are to each other, and how still they keep from one event to the next."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model_export.data.dataset import mask_without_last
from model_export.evaluation.cases import Cases
from model_export.evaluation.model_ranker import BATCH, capsules_of
from model_export.models.interest_model import InterestModel

__all__ = ["Cosines", "mean_of_chosen", "measure_cosines", "pairwise_cosines"]


@dataclass(frozen=True)
class Cosines:
    """Means over users; NaN where no user has what is compared.

    Attributes
    ----------
    slot : cosine between two capsules of one user.
    event : cosine between a slot's capsules before and after the last behaviour of the history.
    """

    slot: float
    event: float


@torch.no_grad()
def measure_cosines(model: InterestModel, cases: Cases) -> Cosines:
    """Compare the capsules of the cases' histories."""
    model.eval()
    table = model.item_table()
    slot, event = [], []
    for some in cases.batches(BATCH):
        capsules, active = capsules_of(model, table, some)
        earlier, was_active = capsules_of(model, table, replace(some, mask=mask_without_last(some.mask)))
        slot.append(mean_of_chosen(pairwise_cosines(capsules), active[:, :, None] & active[:, None, :]))
        event.append(mean_of_chosen(torch.cosine_similarity(capsules, earlier, dim=-1), active & was_active))
    return Cosines(float(torch.cat(slot).nanmean()), float(torch.cat(event).nanmean()))


def pairwise_cosines(capsules: Tensor) -> Tensor:
    """Cosines between the capsules of each user (B, K, K); NaN between a capsule and itself."""
    cosine = torch.cosine_similarity(capsules[:, :, None], capsules[:, None, :], dim=-1)
    itself = torch.eye(capsules.shape[1], dtype=torch.bool, device=capsules.device)
    return cosine.masked_fill(itself, torch.nan)


def mean_of_chosen(values: Tensor, chosen: Tensor) -> Tensor:
    """The mean of each user's chosen values that are numbers (B,), NaN where there are none."""
    return values.masked_fill(~chosen, torch.nan).flatten(1).nanmean(1)
