"""The optimizer of a model: AdamW, row by row over large tables and over all other weights at once."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from model_export.models.interest_model import InterestModel
from model_export.models.training_config import TrainingConfig
from model_export.training.row_adamw import RowAdamW

__all__ = ["ModelOptimizer"]


class ModelOptimizer:
    """AdamW over all weights of a model; weight decay is on item embeddings only.

    Attributes
    ----------
    tables : name -> optimizer of each weight whose gradient is sparse.
    """

    def __init__(self, model: InterestModel, training: TrainingConfig, steps: int) -> None:
        sparse = model.tables_read(torch.zeros(1, dtype=torch.int64, device=model.item_features.device))
        self.tables = {
            name: RowAdamW(model.get_parameter(name), _weight_decay(name, training), steps) for name in sparse
        }
        groups: dict[float, list[Tensor]] = {}
        for name, weight in model.named_parameters():
            if name not in sparse:
                groups.setdefault(_weight_decay(name, training), []).append(weight)
        self.others = torch.optim.AdamW(
            [{"params": weights, "weight_decay": decay} for decay, weights in groups.items()], lr=training.learning_rate
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


def _weight_decay(name: str, training: TrainingConfig) -> float:
    """Return the weight decay of a parameter."""
    return training.weight_decay if name.startswith("items.") else 0.0
