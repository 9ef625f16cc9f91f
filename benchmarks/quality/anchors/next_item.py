"""A model that predicts the next item at every position, and how it ranks.

An encoder turns behaviours into a state at each position (sasrec.py, hstu.py). What is around it is the same for all of
them and ours, not the papers': items and states are of unit length and compared by cosine.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_export.evaluation.cases import Cases
from model_export.evaluation.rankers import rank_by_scores

__all__ = ["NextItemModel", "NextItemRanker", "NextItemSettings", "may_read"]


@dataclass(frozen=True)
class NextItemSettings:
    """Settings of a model and of its training.

    Attributes
    ----------
    dim : d, dimensions of items and states.
    dropout : share of values that a training step leaves out.
    scale : what cosines are multiplied by in the softmax.
    learning_rate : of AdamW.
    weight_decay : of AdamW, on the items alone.
    batch_size : windows a step.
    negatives : items that each step draws where the catalogue is too large for a softmax over all.
    least_steps : least steps between two looks at the validation users, which else follow each pass over the windows.
    looks : most looks.
    patience : looks without a better recall before training stops.
    seed : of everything that is drawn.
    """

    dim: int = 64
    dropout: float = 0.2
    scale: float = 20.0
    learning_rate: float = 2e-3
    weight_decay: float = 0.0
    batch_size: int = 128
    negatives: int = 1_024
    least_steps: int = 50
    looks: int = 100
    patience: int = 5
    seed: int = 7


class NextItemModel(nn.Module):
    """Items and an encoder of behaviours, compared by cosine.

    Parameters
    ----------
    num_items : number of items.
    encoder : module of behaviours (B, L, d), what each may read (`may_read`) and times (B, L) to states (B, L, d).
    dim : d.
    """

    def __init__(self, num_items: int, encoder: nn.Module, dim: int) -> None:
        super().__init__()
        self.items, self.encoder, self.dim = nn.Embedding(num_items, dim), encoder, dim
        nn.init.normal_(self.items.weight, std=dim**-0.5)  # of about unit length: the longer, the less a step turns it

    def table(self) -> Tensor:
        """Return the items, float (items, d), of unit length."""
        return F.normalize(self.items.weight, dim=-1)

    def forward(self, history: Tensor, mask: Tensor, times: Tensor) -> Tensor:
        """Return the state after each behaviour, float (B, L, d), of unit length.

        Parameters
        ----------
        history : int64 (B, L), item rows, most recent last.
        mask : bool (B, L), True at behaviours.
        times : int64 (B, L), Unix time in milliseconds.
        """
        behaviours = F.normalize(self.items(history), dim=-1) * self.dim**0.5  # (B, L, d), values of about 1
        return F.normalize(self.encoder(behaviours, may_read(mask), times), dim=-1)


def may_read(mask: Tensor) -> Tensor:
    """Return what each position may read: behaviours up to its own, and itself.

    Parameters
    ----------
    mask : bool (B, L), True at behaviours.

    Returns
    -------
    bool (B, L, L), of each position (second) which others (third)
    """
    square = torch.ones(mask.shape[1], mask.shape[1], dtype=torch.bool, device=mask.device)
    return (mask[:, None, :] & square.tril()) | torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)


class NextItemRanker:
    """A trained model as a ranker: an item's score is its cosine with the state after the last behaviour.

    Parameters
    ----------
    name : what people call it.
    model : a trained model.
    """

    def __init__(self, name: str, model: NextItemModel) -> None:
        self.name, self.model = name, model

    def top(self, cases: Cases, n: int, unseen_only: bool) -> np.ndarray:
        """Return the n best item rows of each case; see Ranker.top."""
        return rank_by_scores(self.scores, self.model.items.num_embeddings, cases, n, unseen_only)

    @torch.no_grad()
    def scores(self, cases: Cases) -> np.ndarray:
        """Score all items for each case: float32 (C, items)."""
        self.model.eval()
        states = self.model(*(torch.from_numpy(array) for array in (cases.history, cases.mask, cases.times)))
        found: np.ndarray = (states[:, -1] @ self.model.table().T).numpy()
        return found
