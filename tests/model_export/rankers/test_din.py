"""DIN against its formula, written again as loops: the activation unit, Dice, and the penalty of rows."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from model_export.rankers.din import Dice, InterestNetwork, touched_rows_penalty
from model_export.rankers.ranking_model import READ, RankingModel
from tests.support.rankers import in_double, inputs_of, model_of, moved


def of_din() -> tuple[RankingModel, InterestNetwork]:
    model = moved(model_of("din", dim=4, unit_hidden=3, profile_sizes=[])).double().eval()
    assert isinstance(model.core, InterestNetwork)
    return model, model.core


def numbers(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy() for name, value in module.state_dict().items()}


def dice(x: np.ndarray, of: dict[str, np.ndarray], name: str) -> np.ndarray:
    share = 1 / (1 + np.exp(-(x - of[f"{name}.mean"]) / np.sqrt(of[f"{name}.variance"] + 1e-5)))
    return np.asarray(share * x + (1 - share) * of[f"{name}.alpha"] * x)


def unit_weight(of: dict[str, np.ndarray], behaviour: np.ndarray, candidate: np.ndarray) -> float:
    """The weight of one behaviour for one candidate."""
    hidden = of["behaviour.weight"] @ behaviour + of["behaviour.bias"]
    hidden = hidden + of["candidate"] @ candidate + of["product"] @ (behaviour * candidate)
    return float((of["weight.weight"] @ dice(hidden, of, "dice") + of["weight.bias"])[0])


def test_the_unit_weighs_each_behaviour_for_each_candidate() -> None:
    model, core = of_din()
    inputs = in_double(inputs_of(model, [0, 2, 5], 3, 5))
    with torch.no_grad():
        found = core.unit(inputs.behaviours, inputs.mask, inputs.candidates).numpy()
    for user, n, place in np.ndindex(3, 3, 5):
        expected = 0.0
        if inputs.mask[user, place]:
            behaviour, candidate = inputs.behaviours[user, place].numpy(), inputs.candidates[user, n].numpy()
            expected = unit_weight(numbers(core.unit), behaviour, candidate)
        assert found[user, n, place] == pytest.approx(expected)


def test_scores_are_the_formula() -> None:
    model, core = of_din()
    inputs, of = in_double(inputs_of(model, [1, 4], 3, 5)), numbers(core.tower)
    inputs = inputs.with_features(inputs.candidate_features[..., : len(READ)])
    with torch.no_grad():
        found = core(inputs).numpy()
    for user, n in np.ndindex(2, 3):
        behaviours, e = inputs.behaviours[user, inputs.mask[user]].numpy(), inputs.candidates[user, n].numpy()
        pooled = sum(unit_weight(numbers(core.unit), one, e) * one for one in behaviours)
        read = np.concatenate([pooled, e, pooled * e, inputs.candidate_features[user, n].numpy()])
        x = of["candidate.weight"] @ read + of["candidate.bias"] + of["user.weight"] @ behaviours.mean(0)
        x = of["later.2.weight"] @ dice(x, of, "later.0") + of["later.2.bias"]
        x = of["later.4.weight"] @ dice(x, of, "later.3") + of["later.4.bias"]
        np.testing.assert_allclose(found[user, n], x)


def test_weights_are_not_normalised() -> None:
    """The same behaviour twice weighs twice: intensity is kept."""
    model, core = of_din()
    inputs = in_double(inputs_of(model, [4], 3, 4))
    behaviours = inputs.behaviours[:, [0, 0, 0, 0]]
    weights = core.unit(behaviours, inputs.mask, inputs.candidates)
    torch.testing.assert_close(weights, weights[:, :, :1].expand(-1, -1, 4))
    assert weights[0, :, 0].std() > 0


class TestDice:
    def of(self, values: list[float], mask: list[bool] | None = None, **of: Any) -> tuple[Dice, Tensor]:
        layer = Dice(1).double().train(of.get("training", True))
        with torch.no_grad():
            layer.alpha.fill_(0.25)
        return layer, layer(torch.tensor(values).double()[:, None], None if mask is None else torch.tensor(mask))[:, 0]

    def test_by_hand_in_training(self) -> None:
        layer, found = self.of([1.0, 3.0])  # mean 2, variance 1
        opened = 1 / (1 + math.exp(1 / math.sqrt(1 + 1e-5)))
        low, high = opened + 0.25 * (1 - opened), 3 * ((1 - opened) + 0.25 * opened)
        assert found.tolist() == pytest.approx([low, high])
        assert layer.mean.item() == pytest.approx(0.2)  # a tenth of the way from 0 to 2
        assert layer.variance.item() == pytest.approx(1.0)

    def test_running_statistics_afterwards(self) -> None:
        layer, found = self.of([1.0, 3.0], training=False)
        opened = 1 / (1 + math.exp(-1 / math.sqrt(1 + 1e-5)))  # mean 0, variance 1
        assert found[0].item() == pytest.approx(opened + 0.25 * (1 - opened))
        assert (layer.mean.item(), layer.variance.item()) == (0, 1)

    def test_padding_does_not_count(self) -> None:
        _, alone = self.of([1.0, 3.0])
        layer, found = self.of([1.0, 100.0, 3.0], [True, False, True])
        assert found[[0, 2]].tolist() == pytest.approx(alone.tolist())
        assert layer.mean.item() == pytest.approx(0.2)


def test_the_penalty_of_touched_rows_by_hand() -> None:
    vectors = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0]], requires_grad=True)
    penalty = touched_rows_penalty(vectors, torch.tensor([5, 1, 0]))
    assert penalty.item() == pytest.approx(25 / 5 + 1 / 1 + 4 / 1)
    penalty.backward()
    assert vectors.grad is not None
    assert vectors.grad.tolist() == [pytest.approx(row) for row in [[1.2, 1.6], [2.0, 0.0], [0.0, 4.0]]]
