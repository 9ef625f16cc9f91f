"""The matching stage as a ranker meets it: what it brings for a history, and what it knows of each candidate."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model_export.bundle.scoring.neighbours import NeighbourScores
from model_export.evaluation.cases import Cases
from model_export.evaluation.model_ranker import BATCH, interests_of
from model_export.evaluation.rankers import pad_columns
from model_export.models.interest_model import InterestModel

__all__ = ["Brought", "Matching", "brought_together"]

SCORES = 1 << 25  # scores of capsules at a time, or one case's

Choose = Callable[[slice, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Brought:
    """The candidates of C histories with what the matching stage says of them.

    Attributes
    ----------
    candidates : int64 (C, N), item rows, each once in a row; -1 behind the last.
    bonus : float32 (C, N), what the history adds to the max-sim of each: own items and neighbours.
    capsules : float32 (C, K, d); active : bool (C, K), which of them a user has.
    importance : float32 (C, K), the share of the behaviours that flowed into each interest, as serving has it.
    """

    candidates: np.ndarray
    bonus: np.ndarray
    capsules: np.ndarray
    active: np.ndarray
    importance: np.ndarray

    def take(self, rows: np.ndarray | slice) -> "Brought":
        """Return those of some histories."""
        return Brought(*(part[rows] for part in vars(self).values()))


class Matching:
    """A trained matching model over its own items.

    Parameters
    ----------
    model : on the device that computes.
    neighbours : that count beside max-sim; None: there are none.
    """

    def __init__(self, model: InterestModel, neighbours: NeighbourScores | None = None) -> None:
        self.model, self.neighbours = model.eval(), neighbours
        with torch.no_grad():
            self.table = model.item_table()

    @property
    def item_vectors(self) -> np.ndarray:
        """Return the item table, float32 (items, d)."""
        found: np.ndarray = self.table.cpu().numpy()
        return found

    def bring(self, cases: Cases, n: int, choose: Choose | None = None) -> Brought:
        """Return the n best candidates of each history, by max-sim and what the history adds.

        Parameters
        ----------
        choose : what becomes of the best of some histories, int64 (B, n): it is called with which of the cases they
            are, and returns their candidates int64 (B, N) in any order. None: they stay as they are, the best first.
        """
        return brought_together(list(self._parts(cases, n, choose)))

    @torch.no_grad()
    def _parts(self, cases: Cases, n: int, choose: Choose | None) -> Iterator[Brought]:
        """Yield what is brought for some cases at a time; for none of them, something empty."""
        size = min(BATCH, max(1, SCORES // max(1, self.model.config.num_interests * len(self.table))))
        for at in range(0, max(1, len(cases)), size):
            some = cases.take(slice(at, at + size))
            capsules, active, weights = interests_of(self.model, self.table, some)
            bonus = self._bonus(some)
            maxima = (capsules @ self.table.T).masked_fill(~active[:, :, None], -torch.inf).amax(1)  # (B, items)
            values, best = (maxima + bonus).topk(min(n, len(self.table)), dim=1)
            candidates = pad_columns(best.masked_fill(values.isneginf(), -1).cpu().numpy(), n)
            if choose is not None:
                candidates = choose(slice(at, at + size), candidates)
            places = torch.from_numpy(candidates.clip(0)).to(bonus.device)
            behaviours = torch.from_numpy(some.mask.sum(1).clip(1)).to(weights)
            importance = weights.sum(2) / behaviours[:, None]  # (B, K), as Extractor.encode has it
            parts = bonus.gather(1, places), capsules, active, importance * active
            yield Brought(candidates, *(part.cpu().numpy() for part in parts))

    def _bonus(self, cases: Cases) -> Tensor:
        """Return what each history adds to each item's max-sim, float (B, items)."""
        items, device = len(self.table), self.table.device
        history, mask = (torch.from_numpy(array).to(device) for array in (cases.history, cases.mask))
        repeats = self.model.repeat_scores(history, mask, items)
        bonus = torch.zeros(len(cases), items, device=device) if repeats is None else repeats
        if self.neighbours is None or not len(cases):
            return bonus
        raised = [self.neighbours.raised(rows[real]) for rows, real in zip(cases.history, cases.mask, strict=True)]
        return bonus + torch.from_numpy(np.stack([one.spread(items) for one in raised])).to(device)


def brought_together(parts: list[Brought]) -> Brought:
    """Return what was brought for some histories after the other; at least one part."""
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return Brought(*(np.concatenate(column) for column in columns))
