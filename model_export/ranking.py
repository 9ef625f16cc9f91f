"""All items ranked for a history by max-sim, as retrieval with exact search would."""

import numpy as np
import torch

from model_export.cases import Cases
from model_export.model import InterestModel

BATCH = 256


@torch.no_grad()
def top_n(model: InterestModel, cases: Cases, n: int, unseen_only: bool = False) -> np.ndarray:
    """The n best item rows of each case by max over capsules of the inner product, best first: int64 (C, n).

    Item table and routing logits are those that serving uses. With `unseen_only` the items of the input history are
    left out. Where fewer than n items exist, n is their number; users without capsules are ranked arbitrarily.
    """
    model.eval()
    table = model.item_table()
    found = [np.zeros((0, n), dtype=np.int64)]
    for at in range(0, len(cases), BATCH):
        history, mask, profile = (
            torch.from_numpy(array[at : at + BATCH]).to(table.device)
            for array in (cases.history, cases.mask, cases.profiles)
        )
        logits = model.routing_logits[history].transpose(1, 2)  # (B, K, L)
        capsules, active, _ = model.extractor(table[history], mask, logits, profile if profile.shape[1] else None)
        scores = (capsules @ table.T).masked_fill(~active[:, :, None], -torch.inf).amax(1)  # (B, items)
        if unseen_only:
            scores[torch.arange(len(scores))[:, None].expand_as(history)[mask], history[mask]] = -torch.inf
        found.append(scores.topk(min(n, scores.shape[1]), dim=1).indices.cpu().numpy())
    return np.concatenate(found[1:]) if len(found) > 1 else found[0]
