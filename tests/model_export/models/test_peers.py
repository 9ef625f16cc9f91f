"""The peers of MIND by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from model_export.models.mind import behaviour_ages
from model_export.models.model_config import ModelConfig
from model_export.models.peers import MaxMf, MeanPooling, SelfAttention, UnsharedRouting, order_by_age

# The mean


def test_mean_pooling_by_hand() -> None:
    model = MeanPooling(ModelConfig(extractor="mean", dim=2, num_interests=1, history_length=3, hidden=2), [])
    first, second = model.layers.layers[0], model.layers.layers[2]
    with torch.no_grad():
        for layer in (first, second):
            layer.get_parameter("weight").copy_(torch.eye(2))
            layer.get_parameter("bias").zero_()
    behaviours = torch.tensor([[[9.0, 9.0], [1.0, 2.0], [3.0, -8.0]]])
    mask = torch.tensor([[False, True, True]])
    capsules, active, weights = model(behaviours, mask, torch.zeros(1, 1, 3))
    assert capsules.tolist() == [[[2.0, 0.0]]]  # the mean (2, -3) through ReLU
    assert active.tolist() == [[True]]
    assert weights.tolist() == [[[0, 1, 1]]]


def test_a_mean_is_one_interest() -> None:
    with pytest.raises(ValueError, match="num_interests is 3; the mean of all behaviours is 1 interest"):
        MeanPooling(ModelConfig(extractor="mean", num_interests=3), [])


# MaxMF


def max_mf(iterations: int, slots: int = 2) -> MaxMf:
    return MaxMf(ModelConfig(extractor="maxmf", dim=2, num_interests=slots, routing_iterations=iterations), [])


def test_max_mf_finds_two_planted_clusters() -> None:
    east, north = [[1.0, 0.1], [0.9, 0.0], [1.1, 0.0]], [[0.0, 1.0], [0.1, 0.9], [0.0, 1.1]]
    behaviours = torch.tensor([east + north])
    mask = torch.ones(1, 6, dtype=torch.bool)
    logits = torch.zeros(1, 2, 6)
    logits[0, 0, [0, 1, 3]] = 1.0  # two of the east and one of the north in the first, the others in the second
    logits[0, 1, [2, 4, 5]] = 1.0
    capsules, active, taken = max_mf(1)(behaviours, mask, logits)
    assert active.tolist() == [[True, True]]
    assert taken.tolist() == [[[1, 1, 0, 1, 0, 0], [0, 0, 1, 0, 1, 1]]]
    np.testing.assert_allclose(capsules[0], [[1.9 / 3, 1.1 / 3], [1.2 / 3, 2.0 / 3]], rtol=1e-6)
    capsules, _, taken = max_mf(3)(behaviours, mask, logits)
    assert taken.tolist() == [[[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]]
    np.testing.assert_allclose(capsules[0], [np.mean(east, 0), np.mean(north, 0)], rtol=1e-6)


def test_a_vector_that_takes_nothing_is_zero() -> None:
    scores = torch.tensor([[[1.0, 1.0, 9.0], [0.0, 0.0, 0.0], [5.0, 5.0, 5.0]]])
    active, mask = torch.tensor([[True, True, False]]), torch.tensor([[True, True, False]])
    taken = MaxMf.assign(scores, active, mask)
    assert taken.tolist() == [[[1, 1, 0], [0, 0, 0], [0, 0, 0]]]
    behaviours = torch.tensor([[[2.0, 4.0], [4.0, 0.0], [7.0, 7.0]]])
    assert MaxMf.average(taken, behaviours).tolist() == [[[3, 2], [0, 0], [0, 0]]]


# Self-attention


def test_self_attention_is_a_softmax_over_the_real_behaviours() -> None:
    torch.manual_seed(0)
    config = ModelConfig(
        extractor="self-attention", adaptive_interests=False, dim=3, num_interests=2, history_length=4, hidden=5
    )
    model = SelfAttention(config, []).double()
    behaviours = torch.randn(1, 4, 3, dtype=torch.float64)
    mask = torch.tensor([[False, True, True, True]])
    with torch.no_grad():
        capsules, _, attention = model(behaviours, mask, torch.zeros(1, 2, 4))
    e, places = behaviours[0].numpy(), model.places.detach().numpy()
    first, second = model.first.weight.detach().numpy(), model.second.weight.detach().numpy()
    for k in range(2):
        scores = {i: float(second[k] @ np.tanh(first @ (e[i] + places[3 - i]))) for i in (1, 2, 3)}  # age 3 - i
        total = sum(map(math.exp, scores.values()))
        expected = [0.0, *(math.exp(scores[i]) / total for i in (1, 2, 3))]
        np.testing.assert_allclose(attention[0, k], expected)
        np.testing.assert_allclose(capsules[0, k], sum(expected[i] * e[i] for i in (1, 2, 3)))


# Unshared routing


def squashed(z: np.ndarray) -> np.ndarray:
    length = math.sqrt(z @ z)
    return z * length / (1 + length**2)


def routed_by_loops(maps: np.ndarray, behaviours: np.ndarray, iterations: int) -> tuple[np.ndarray, np.ndarray]:
    """Capsules (K, d) and weights (K, n) of one user's behaviours (n, d), oldest first; maps (L, K, d, d)."""
    slots, n = maps.shape[1], len(behaviours)
    votes = [[behaviours[i] @ maps[n - 1 - i, k] for i in range(n)] for k in range(slots)]
    b = np.zeros((slots, n))
    for _ in range(iterations):
        w = np.exp(b) / np.exp(b).sum(0)
        capsules = [squashed(np.sum([w[k, i] * votes[k][i] for i in range(n)], 0)) for k in range(slots)]
        b = b + np.array([[capsules[k] @ votes[k][i] for i in range(n)] for k in range(slots)])
    return np.array(capsules), w


@pytest.mark.parametrize("iterations", [1, 2, 3])
@pytest.mark.parametrize("in_front", [True, False])
def test_unshared_routing_is_what_loops_give(iterations: int, in_front: bool) -> None:
    torch.manual_seed(0)
    dimensions: dict[str, Any] = {"dim": 4, "num_interests": 3, "history_length": 6, "routing_iterations": iterations}
    config = ModelConfig(extractor="unshared-routing", adaptive_interests=False, **dimensions)
    model = UnsharedRouting(config, []).double()
    behaviours = 2 * torch.randn(3, 6, 4, dtype=torch.float64)
    lengths = torch.tensor([6, 4, 1])[:, None]
    places = torch.arange(6)[None]
    mask = places >= 6 - lengths if in_front else places < lengths
    with torch.no_grad():
        capsules, _, weights = model(behaviours, mask, torch.randn(3, 3, 6, dtype=torch.float64))
    for user, real in enumerate(mask.numpy()):
        expected = routed_by_loops(model.maps.detach().numpy(), behaviours[user].numpy()[real], iterations)
        np.testing.assert_allclose(capsules[user], expected[0], atol=1e-12)
        np.testing.assert_allclose(weights[user].numpy()[:, real], expected[1], atol=1e-12)


def test_order_and_ages_by_hand() -> None:
    behaviours = torch.tensor([[[1.0], [2.0], [3.0], [4.0]]]).expand(4, -1, -1)
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]]).bool()
    newest_first, real = order_by_age(behaviours, mask)
    found = [rows[there].flatten().tolist() for rows, there in zip(newest_first, real, strict=True)]
    assert found == [[4, 3], [3, 2, 1], [4, 3, 2, 1], []]
    assert real.tolist() == [[True, True, False, False], [True] * 3 + [False], [True] * 4, [False] * 4]
    ages = behaviour_ages(mask, 3)
    assert [row[there].tolist() for row, there in zip(ages, mask, strict=True)] == [[1, 0], [2, 1, 0], [2, 2, 1, 0], []]
    nothing, none = order_by_age(torch.zeros(2, 0, 3), torch.zeros(2, 0, dtype=torch.bool))
    assert (nothing.shape, none.shape) == ((2, 0, 3), (2, 0))
