"""AdamW for embedding tables: a step costs what its rows cost, and ends where AdamW over the whole table would.

In AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019) a row that a step does not touch
moves all the same: by what is left of its momentum, and by weight decay. Both go on without news in a known way, so
they can wait until the row is asked for again. With rate a_t, weight decay l, momenta b1 and b2, and

    c_t = a_t sqrt(1 - b2^t) / (1 - b1^t)       what a step's momentum is multiplied by

a row that was touched last at step s, with momentum m and squares v, is at step t

    w_t = w_s prod(1 - a_j l) - m / sqrt(v) sum_j c_j (b1 / sqrt b2)^(j - s) prod_(i > j) (1 - a_i l)       s < j <= t

The products and the sum depend on s and t alone: they are kept for each past step, as `kept` and `moved`.
"""

from typing import Any

import torch
from torch import Tensor

__all__ = ["RowAdamW"]

MOMENTA = (0.9, 0.999)
LEAST = 1e-8  # what AdamW adds to the root of the squares
PARTS = ("mean", "square", "last", "kept", "moved")


class RowAdamW:
    """AdamW over one table, whose gradient is sparse.

    Parameters
    ----------
    table : float (rows, n), a leaf; `step` takes its gradient.
    weight_decay : l.
    steps : the most steps that are taken.

    Attributes
    ----------
    taken : the steps that were taken, t.
    """

    def __init__(self, table: Tensor, weight_decay: float, steps: int) -> None:
        self.table, self.weight_decay, self.taken = table, weight_decay, 0
        self.mean, self.square = torch.zeros_like(table), torch.zeros_like(table)
        self.last = torch.zeros(len(table), dtype=torch.int64, device=table.device)  # s of each row
        # Of each past step s what came after it up to now.
        self.kept = torch.ones(steps + 1, dtype=torch.float64, device=table.device)
        self.moved = torch.zeros(steps + 1, dtype=torch.float64, device=table.device)
        self.fade = MOMENTA[0] / MOMENTA[1] ** 0.5
        # c_(j) of a step counts for step s by fade^(j - s): nothing is left of it after these.
        self.fading = self.fade ** torch.arange(400, 0, -1, dtype=torch.float64, device=table.device)

    @torch.no_grad()
    def catch_up(self, rows: Tensor) -> None:
        """Bring rows to where all steps so far have moved them, before they are read.

        Parameters
        ----------
        rows : int64 (n,), each once.
        """
        rows = rows[self.last[rows] < self.taken]
        last = self.last[rows]
        missed = (self.taken - last).to(self.table.dtype)[:, None]
        mean, square = self.mean[rows], self.square[rows]
        direction = mean / (square.sqrt() + LEAST)
        kept, moved = (one[last].to(self.table.dtype)[:, None] for one in (self.kept, self.moved))
        self.table[rows] = self.table[rows] * kept - moved * direction
        self.mean[rows], self.square[rows] = mean * MOMENTA[0] ** missed, square * MOMENTA[1] ** missed
        self.last[rows] = self.taken

    def catch_up_all(self) -> None:
        """Bring all rows to where all steps so far have moved them."""
        self.catch_up(torch.arange(len(self.table), device=self.table.device))

    @torch.no_grad()
    def step(self, learning_rate: float) -> Tensor:
        """Take a step with the table's gradient, and forget the gradient.

        Returns
        -------
        int64 (n,), the rows that it touched
        """
        assert self.table.grad is not None
        gradient = self.table.grad.coalesce()
        rows, values = gradient.indices()[0], gradient.values()
        self.table.grad = None
        self.catch_up(rows)
        self._count(learning_rate)
        mean = self.mean[rows].lerp_(values, 1 - MOMENTA[0])
        square = self.square[rows].mul_(MOMENTA[1]).addcmul_(values, values, value=1 - MOMENTA[1])
        self.mean[rows], self.square[rows], self.last[rows] = mean, square, self.taken
        root = (square / (1 - MOMENTA[1] ** self.taken)).sqrt_().add_(LEAST)
        moved = learning_rate / (1 - MOMENTA[0] ** self.taken) * mean / root
        self.table[rows] = self.table[rows] * (1 - learning_rate * self.weight_decay) - moved
        return rows

    def _count(self, learning_rate: float) -> None:
        """Count a step, and what it does to the rows that it does not touch."""
        t = self.taken = self.taken + 1
        stays = 1 - learning_rate * self.weight_decay
        share = learning_rate * (1 - MOMENTA[1] ** t) ** 0.5 / (1 - MOMENTA[0] ** t)
        self.kept[:t] *= stays
        self.moved[:t] *= stays
        some = min(t, len(self.fading))
        self.moved[t - some : t] += share * self.fading[-some:]

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs."""
        return {"taken": self.taken, **{name: getattr(self, name) for name in PARTS}}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was."""
        self.taken = state["taken"]
        for name in PARTS:
            setattr(self, name, state[name].to(self.table.device))
