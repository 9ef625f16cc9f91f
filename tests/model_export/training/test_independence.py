"""Weights that make interests independent: HSIC against its definition, and planted users whose dependence goes."""

import numpy as np
import pytest
import torch
from torch import Tensor

from model_export.training.independence import dependence, fourier_features, independent_weights


def by_loops(features: np.ndarray, active: np.ndarray, weights: np.ndarray) -> float:
    """HSIC by the cross-covariance of each pair of interests, user by user."""
    users, slots, size = features.shape
    total = 0.0
    for k in range(slots):
        for j in range(k + 1, slots):
            means = {i: np.average(features[active[:, i], i], axis=0, weights=weights[active[:, i]]) for i in (k, j)}
            covariance, weight = np.zeros((size, size)), 0.0
            for user in range(users):
                if active[user, k] and active[user, j]:
                    parts = features[user, k] - means[k], features[user, j] - means[j]
                    covariance += weights[user] * np.outer(*parts)
                    weight += weights[user]
            total += ((covariance / weight) ** 2).sum()
    return total


def test_dependence_is_the_weighted_cross_covariance() -> None:
    rng = np.random.default_rng(0)
    features, weights = rng.normal(size=(9, 3, 4)), rng.random(9) * 2
    active = np.ones((9, 3), dtype=bool)
    active[[1, 4, 5], 2] = False
    found = dependence(torch.from_numpy(features), torch.from_numpy(active), torch.from_numpy(weights))
    assert float(found) == pytest.approx(by_loops(features, active, weights))


def test_features_give_the_gaussian_kernel() -> None:
    """On the mean of many draws, with the mean squared distance of the users as s^2."""
    torch.manual_seed(0)
    capsules = 50 * torch.randn(6, 1, 3, dtype=torch.float64)
    there = torch.ones(6, 1, dtype=torch.bool)
    squared = torch.cdist(capsules[:, 0], capsules[:, 0]) ** 2
    expected = torch.exp(-squared / (2 * squared.mean()))
    drawn = [fourier_features(capsules, there)[:, 0] for _ in range(2_000)]
    found = torch.stack([features @ features.T for features in drawn]).mean(0)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)


def planted(strange: int) -> tuple[Tensor, Tensor]:
    """Two interests, each near one of two points; in 60 users they go together, in some others they do not."""
    same, other = torch.tensor([[0, 0], [1, 1]] * 30), torch.tensor([[0, 1], [1, 0]] * (strange // 2))
    kinds = torch.cat([same, other])  # (B, 2)
    points = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    capsules = points[kinds] + 0.05 * torch.randn(len(kinds), 2, 2)
    return capsules, torch.ones(kinds.shape, dtype=torch.bool)


def test_who_is_against_the_coincidence_weighs_more() -> None:
    """With as much weight on either kind of users the interests are independent: 20 of 80 have to weigh three times."""
    torch.manual_seed(0)
    capsules, active = planted(20)
    weights = independent_weights(capsules, active, 60)
    assert weights.min() > 0
    assert weights.mean().item() == pytest.approx(1, abs=1e-6)
    assert weights[60:].min() > weights[:60].max()
    assert (weights[60:].mean() / weights[:60].mean()).item() == pytest.approx(3, rel=0.2)
    features = fourier_features(capsules, active)
    assert dependence(features, active, weights) < 0.1 * dependence(features, active, torch.ones(80))


def test_independent_interests_and_a_single_one_leave_the_weights_alone() -> None:
    torch.manual_seed(0)
    capsules, active = planted(60)
    assert independent_weights(capsules, active, 60).std() < 0.2
    assert independent_weights(capsules[:, :1], active[:, :1], 5).tolist() == [1.0] * 120
    assert independent_weights(capsules, active, 0).tolist() == [1.0] * 120


def test_no_gradient_goes_back_to_the_capsules_and_the_number_of_users_changes_nothing() -> None:
    torch.manual_seed(0)
    capsules, active = planted(20)
    capsules.requires_grad_()
    with torch.no_grad():  # it learns all the same
        assert independent_weights(capsules, active, 5).std() > 0
    weights = independent_weights(capsules, active, 5)
    assert not weights.requires_grad
    assert capsules.grad is None
