"""A model as a ranker: all items by max-sim, as retrieval with exact search would rank them."""

import numpy as np
import torch

from model_export.bundle.scoring.neighbours import NeighbourScores
from model_export.bundle.time_gaps import time_gaps
from model_export.evaluation.cases import Cases
from model_export.evaluation.rankers import pad_columns
from model_export.models.interest_model import InterestModel

__all__ = ["BATCH", "ModelRanker", "capsules_of", "interests_of", "rank_by_model"]

BATCH = 256  # cases ranked at a time, at most
SCORES = 1 << 25  # scores of their capsules at a time, or one case's


class ModelRanker:
    """A trained model as a ranker.

    Parameters
    ----------
    name : what people call it.
    neighbours : that count beside max-sim; None: there are none.
    fresh_logits : draw routing logits anew for each behaviour, as in training, instead of those that serving looks up.
    """

    def __init__(
        self, name: str, model: InterestModel, neighbours: NeighbourScores | None = None, fresh_logits: bool = False
    ) -> None:
        self.name, self.model, self.neighbours, self.fresh_logits = name, model, neighbours, fresh_logits

    def top(self, cases: Cases, n: int, unseen_only: bool) -> np.ndarray:
        """Return the n best item rows of each case; see Ranker.top."""
        return rank_by_model(self.model, cases, n, unseen_only, self.neighbours, self.fresh_logits)


@torch.no_grad()
def rank_by_model(
    model: InterestModel,
    cases: Cases,
    n: int,
    unseen_only: bool = False,
    neighbours: NeighbourScores | None = None,
    fresh_logits: bool = False,
) -> np.ndarray:
    """Return the n best item rows of each case by max-sim plus what the history adds.

    Best first: int64 (C, n). The bonus of the history's items is InterestModel.repeat_scores, that of their neighbours
    NeighbourScores.raised.

    -1 stands at the end if there are fewer than n items, or with `unseen_only` fewer that are not in the history.
    """
    model.eval()
    table = model.item_table()
    found = [np.zeros((0, n), dtype=np.int64)]
    scores_of_one = max(1, model.config.num_interests * len(table))
    for some in cases.batches(min(BATCH, max(1, SCORES // scores_of_one))):
        capsules, active = capsules_of(model, table, some, fresh_logits)
        scores = (capsules @ table.T).masked_fill(~active[:, :, None], -torch.inf).amax(1)  # (B, items)
        history, mask = (torch.from_numpy(array).to(table.device) for array in (some.history, some.mask))
        repeats = model.repeat_scores(history, mask, len(table))
        scores = scores if repeats is None else scores + repeats
        if neighbours is not None:
            raised = [neighbours.raised(rows[real]) for rows, real in zip(some.history, some.mask, strict=True)]
            scores += torch.from_numpy(np.stack([one.spread(len(table)) for one in raised])).to(table.device)
        if unseen_only:
            rows, places = np.nonzero(some.mask)
            scores[rows, some.history[rows, places]] = -torch.inf
        values, best = scores.topk(min(n, scores.shape[1]), dim=1)
        found.append(pad_columns(best.masked_fill(values.isneginf(), -1).cpu().numpy(), n))
    return np.concatenate(found)


def capsules_of(
    model: InterestModel, table: torch.Tensor, cases: Cases, fresh_logits: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the capsules (C, K, d) and interest mask (C, K) of the cases' histories.

    See `interests_of`.
    """
    return interests_of(model, table, cases, fresh_logits)[:2]


def interests_of(
    model: InterestModel, table: torch.Tensor, cases: Cases, fresh_logits: bool = False
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what the model makes of the cases' histories.

    Capsules (C, K, d), interest mask (C, K) and routing weights (C, K, L).

    Parameters
    ----------
    table : (items, d), the item embeddings.
    fresh_logits : see ModelRanker.
    """
    arrays = cases.history, cases.mask, cases.profiles, time_gaps(cases.times, cases.mask), np.array(cases.types)
    history, mask, profile, gaps, types = (torch.from_numpy(array).to(table.device) for array in arrays)
    logits = model.training_logits(history) if fresh_logits else model.routing_logits[history].transpose(1, 2)
    return model.extract(table[history], mask, logits, profile, gaps, types)
