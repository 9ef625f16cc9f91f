"""The running average of the weights, which is what a training keeps: it has less of the noise of the last steps.

Its decay grows with the steps, as in the power-function average of Karras et al., "Analyzing and Improving the
Training Dynamics of Diffusion Models", CVPR 2024: at step t it is (1 - 1/t)^POWER, up to the decay of the settings. So
it forgets the first steps soon, there is an average to keep from the first step on, and a training may end at any time.
"""

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from model_export.models.interest_model import InterestModel

__all__ = ["RunningAverage"]

POWER = 8  # it reaches back over about an eighth of the steps so far
LEAST = 1e-30  # a decay, to take the logarithm of: the first is 0
PARTS = ("step", "last", "log_decay")


class RunningAverage:
    """The running average of a model's weights.

    Parameters
    ----------
    decay : that the average comes to.
    steps : the most steps that are taken.
    tables : names of the weights of which only some rows change at a step; the others' averages wait until they are
        asked for.

    Attributes
    ----------
    model : the same model with the averages as weights.
    """

    def __init__(self, model: InterestModel, decay: float, steps: int, tables: list[str]) -> None:
        self.of, self.decay, self.step = model, decay, 0
        self.model = copy.deepcopy(model)
        device = model.item_features.device
        self.log_decay = torch.zeros(steps + 1, dtype=torch.float64, device=device)  # of each step, the sum up to it
        self.last = {  # step up to which the average of each row counts
            name: torch.zeros(len(model.get_parameter(name)), dtype=torch.int64, device=device) for name in tables
        }

    @torch.no_grad()
    def catch_up(self, name: str, rows: Tensor) -> None:
        """Bring the averages of a table's rows to the steps so far.

        The rows themselves must be there. What a row moved since it was touched, by momentum and weight decay, counts
        as if it had been at once.

        Parameters
        ----------
        rows : int64 (n,), each once.
        """
        last = self.last[name]
        since = self.log_decay[self.step] - self.log_decay[last[rows]]
        weights, averages = self.of.get_parameter(name), self.model.get_parameter(name)
        faded = since.exp().to(weights.dtype)[:, None]
        averages[rows] = weights[rows].lerp(averages[rows], faded)
        last[rows] = self.step

    def catch_up_all(self) -> None:
        """Bring all averages to the steps so far."""
        for name, last in self.last.items():
            self.catch_up(name, torch.arange(len(last), device=last.device))

    @torch.no_grad()
    def update(self, touched: Mapping[str, Tensor]) -> None:
        """Count the weights after a step.

        Parameters
        ----------
        touched : the rows of each table that the step changed, int64 (n,), each once; `catch_up` was asked of them
            before it.
        """
        self.step += 1
        decay = min(self.decay, (1 - 1 / self.step) ** POWER)
        self.log_decay[self.step] = self.log_decay[self.step - 1] + math.log(max(decay, LEAST))
        averages = dict(self.model.named_parameters())
        for name, weights in self.of.named_parameters():
            if name not in self.last:
                averages[name].lerp_(weights, 1 - decay)
            elif name in touched:
                rows = touched[name]
                averages[name][rows] = averages[name][rows].lerp_(weights[rows], 1 - decay)
                self.last[name][rows] = self.step

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs."""
        return {name: getattr(self, name) for name in PARTS} | {"weights": self.model.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was."""
        self.model.load_state_dict(state["weights"])
        self.step, self.log_decay = state["step"], state["log_decay"].to(self.log_decay)
        self.last = {name: last.to(self.log_decay.device) for name, last in state["last"].items()}
