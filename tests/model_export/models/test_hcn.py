"""HCN against its formula, written again as loops, and what the short history is."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from model_export.models.hcn import CoInterest, HierarchicalCoNetwork
from model_export.models.model_config import ModelConfig


def network(**settings: Any) -> HierarchicalCoNetwork:
    """A network in double precision whose every parameter was moved away from its start."""
    torch.manual_seed(0)
    small = {"dim": 4, "num_interests": 3, "history_length": 8, "routing_iterations": 2, "short_length": 3}
    config = ModelConfig(**{"extractor": "hcn", "adaptive_interests": False, **small, **settings})
    model = HierarchicalCoNetwork(config, []).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum())


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / math.sqrt((one @ one) * (other @ other)))


def interests(model: HierarchicalCoNetwork, behaviours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interests (K, d) and the last layer's weights (K, n) of behaviours (n, d), oldest first."""
    numbers = {name: value.detach().numpy() for name, value in model.named_parameters()}
    centres, n = numbers["centres"].copy(), len(behaviours)
    for layer in range(len(model.layers)):
        of = {name: numbers[f"layers.{layer}.{name}"] for name in ("queries", "keys", "moves", "log_sharpness")}
        scores = np.zeros((len(centres), n))
        for i, e in enumerate(behaviours):
            key = (e + numbers["places"][n - 1 - i]) @ of["keys"]
            for k, centre in enumerate(centres):
                scores[k, i] = math.exp(of["log_sharpness"]) * cosine(centre @ of["queries"], key)
        weights = np.stack([softmax(column) for column in scores.T], 1)
        for k, row in enumerate(weights):
            centres[k] += sum(w * e for w, e in zip(row, behaviours, strict=True)) / row.sum() @ of["moves"]
    return centres, weights


@pytest.mark.parametrize("length", [1, 3, 4, 8])
def test_capsules_are_the_formula(length: int) -> None:
    model = network()
    behaviours = torch.randn(1, length, 4, dtype=torch.float64)
    with torch.no_grad():
        capsules, _, found = model(behaviours, torch.ones(1, length, dtype=torch.bool), torch.zeros(1, 3, length))
    e = behaviours[0].numpy()
    long, weights = interests(model, e)
    short, _ = interests(model, e[-3:])
    likeness, gate = (model.co_interest.get_parameter(name).detach().numpy() for name in ("likeness", "gate.weight"))
    for k in range(3):
        partner = softmax(np.array([long[k] @ likeness @ short[j] / 2 for j in range(3)])) @ short  # sqrt of d is 2
        score = float(gate[0] @ np.concatenate([long[k], partner])) + float(model.co_interest.gate.bias.item())
        share = 1 / (1 + math.exp(-score))
        np.testing.assert_allclose(capsules[0, k], share * long[k] + (1 - share) * partner, atol=1e-9)
    np.testing.assert_allclose(found[0], weights, atol=1e-9)


def test_only_the_short_history_is_read_again() -> None:
    """With a gate that takes the short interests alone, what is older than three behaviours has no influence."""
    model = network()
    with torch.no_grad():
        model.co_interest.gate.weight.zero_()
        model.co_interest.gate.bias.fill_(-1e3)
        model.co_interest.likeness.zero_()  # all short interests alike, however the long ones are
    behaviours = torch.randn(1, 6, 4, dtype=torch.float64)
    mask, logits = torch.ones(1, 6, dtype=torch.bool), torch.zeros(1, 3, 6)
    changed = behaviours.clone()
    changed[:, :3] += 1
    assert torch.equal(model(behaviours, mask, logits)[0], model(changed, mask, logits)[0])
    changed[:, 3] += 1
    assert not torch.allclose(model(behaviours, mask, logits)[0], model(changed, mask, logits)[0])


def test_what_one_centre_takes_the_others_do_not() -> None:
    weights = network()(torch.randn(2, 5, 4).double(), torch.ones(2, 5, dtype=torch.bool), torch.zeros(2, 3, 5))[2]
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 5, dtype=torch.float64))


def test_an_unused_interest_is_nobodys_partner() -> None:
    torch.manual_seed(0)
    joined, long, short = CoInterest(4), torch.randn(1, 3, 4), torch.randn(1, 3, 4)
    active = torch.tensor([[True, True, False]])
    spoilt = short.clone()
    spoilt[:, 2] = 100
    assert torch.equal(joined(long, short, active), joined(long, spoilt, active))


def test_capsules_have_length_one_if_the_settings_say_so() -> None:
    model = network(unit_length=True)
    capsules, _, _ = model(torch.randn(2, 5, 4).double(), torch.ones(2, 5, dtype=torch.bool), torch.zeros(2, 3, 5))
    torch.testing.assert_close(capsules.norm(dim=2), torch.ones(2, 3, dtype=torch.float64))
