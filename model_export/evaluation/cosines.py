"""Cosines between a user's capsules, and between a slot's capsules before and after one event."""

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
    """Mean cosines over users; NaN if no user has the capsules to compare.

    Attributes
    ----------
    slot : cosine between two capsules of one user.
    event : cosine between a slot's capsules before and after the last behaviour of the history.
    """

    slot: float
    event: float


@torch.no_grad()
def measure_cosines(model: InterestModel, cases: Cases) -> Cosines:
    """Measure the cosines of the capsules that a model gives the cases' histories."""
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
    """Return the cosines between each user's capsules; NaN of a capsule with itself.

    Parameters
    ----------
    capsules : float (B, K, d).

    Returns
    -------
    float (B, K, K)
    """
    cosine = torch.cosine_similarity(capsules[:, :, None], capsules[:, None, :], dim=-1)
    itself = torch.eye(capsules.shape[1], dtype=torch.bool, device=capsules.device)
    return cosine.masked_fill(itself, torch.nan)


def mean_of_chosen(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean of each user's chosen values that are not NaN, or NaN without any.

    Parameters
    ----------
    values : float (B, ...).
    chosen : bool, of the same shape.

    Returns
    -------
    float (B,)
    """
    return values.masked_fill(~chosen, torch.nan).flatten(1).nanmean(1)
