"""The optimizer of a model: AdamW, row by row over large tables and over all other weights at once."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from model_export.training.row_adamw import RowAdamW

__all__ = ["ModelOptimizer"]


class ModelOptimizer:
    """AdamW over all weights of a model; weight decay is on item embeddings only.

    Parameters
    ----------
    sparse : names of the weights whose gradient is sparse.
    learning_rate : to begin with.
    weight_decay : of the weights below `items`.
    steps : the most steps that are taken.

    Attributes
    ----------
    tables : name -> optimizer of each weight whose gradient is sparse.
    """

    def __init__(
        self, model: nn.Module, sparse: Iterable[str], learning_rate: float, weight_decay: float, steps: int
    ) -> None:
        self.tables = {name: RowAdamW(model.get_parameter(name), _decay(name, weight_decay), steps) for name in sparse}
        groups: dict[float, list[Tensor]] = {}
        for name, weight in model.named_parameters():
            if name not in self.tables:
                groups.setdefault(_decay(name, weight_decay), []).append(weight)
        self.others = torch.optim.AdamW(
            [{"params": weights, "weight_decay": decay} for decay, weights in groups.items()], lr=learning_rate
        )

    def catch_up(self, read: Mapping[str, Tensor]) -> None:
        """Bring rows of tables to where all steps so far have moved them, before they are read.

        Parameters
        ----------
        read : see `InterestModel.tables_read`.
        """
        for name, rows in read.items():
            self.tables[name].catch_up(rows)

    def catch_up_all(self) -> None:
        """Bring all rows of all tables to where all steps so far have moved them."""
        for table in self.tables.values():
            table.catch_up_all()

    def step(self, learning_rate: float) -> dict[str, Tensor]:
        """Take a step with the gradients, and forget them.

        Returns
        -------
        name -> int64 rows that it touched, of each of `tables`
        """
        for group in self.others.param_groups:
            group["lr"] = learning_rate
        self.others.step()
        self.others.zero_grad(set_to_none=True)
        return {name: table.step(learning_rate) for name, table in self.tables.items()}

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs."""
        return {
            "others": self.others.state_dict(),
            "tables": {name: table.state() for name, table in self.tables.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was."""
        self.others.load_state_dict(state["others"])
        for name, table in self.tables.items():
            table.restore(state["tables"][name])


def _decay(name: str, weight_decay: float) -> float:
    """Return the weight decay of a parameter."""
    return weight_decay if name.startswith("items.") else 0.0
