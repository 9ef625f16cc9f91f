"""From lists to what a ranking model reads."""

import numpy as np
import torch
from torch import Tensor

from model_export.bundle.time_gaps import gaps_until
from model_export.rankers.inputs import RankerInputs
from model_export.rankers.ranking_model import RankingModel
from model_export.ranking.ranked_lists import RankedLists

__all__ = ["inputs_of", "score_lists"]

BATCH = 64  # lists scored at a time


def inputs_of(
    model: RankingModel, lists: RankedLists, vectors: Tensor | None = None
) -> tuple[RankerInputs, Tensor, Tensor]:
    """Return what a model reads of some lists, and the item vectors that it took.

    Parameters
    ----------
    vectors : float (items, r), the whole item table, to look up; None: the rows of these lists are embedded, each once,
        for a step of training.

    Returns
    -------
    inputs; rows int64 (n,), each once; vectors float (n, r)
    """
    cases, candidates = lists.cases, lists.brought.candidates.clip(0)
    device, length = model.item_features.device, model.config.history_length
    history, mask = cases.history[:, -length:], cases.mask[:, -length:]
    asked = torch.from_numpy(np.concatenate([history.ravel(), candidates.ravel()])).to(device)
    if vectors is None:
        rows, places = torch.unique(asked, return_inverse=True)
        vectors = model.embed(rows)
    else:
        rows, places = torch.arange(len(vectors), device=device), asked
    behaviours, found = vectors[places].split([history.size, candidates.size])
    arrays = {
        "mask": mask,
        "gaps": gaps_until(cases.times, cases.mask, cases.asked_ms)[:, -length:],
        "types": cases.types[:, -length:],
        "profile": cases.profiles,
        "candidate_features": lists.features,
        "capsules": lists.brought.capsules,
    }
    inputs = RankerInputs.of(
        behaviours=behaviours.view(*history.shape, -1),
        candidates=found.view(*candidates.shape, -1),
        **{name: torch.from_numpy(np.array(array)).to(device) for name, array in arrays.items()},
    )
    return inputs, rows, vectors


@torch.no_grad()
def score_lists(model: RankingModel, lists: RankedLists, network_only: bool = False) -> np.ndarray:
    """Return the scores of all candidates by task: float32 (C, N, T).

    Parameters
    ----------
    network_only : without the held-out features, and not scaled.
    """
    model.eval()
    table = model.item_table()
    found = [np.zeros((0, *lists.labels.shape[1:]), dtype=np.float32)]
    for at in range(0, len(lists), BATCH):
        inputs, _, _ = inputs_of(model, lists.take(slice(at, at + BATCH)), table)
        scores = model.network_scores(inputs) if network_only else model(inputs)
        found.append(scores.float().cpu().numpy())
    return np.concatenate(found)
