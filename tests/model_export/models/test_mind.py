"""The model against values worked out by hand and against the paper's algorithm 1, written again in NumPy."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model_export.models.mind import InterestExtractor, interest_mask, label_aware_attention, sampled_softmax, squash
from model_export.models.model_config import ModelConfig

INF = math.inf


def extractor(profile_sizes: tuple[int, ...] = (), seed: int = 0, **dimensions: Any) -> InterestExtractor:
    """An extractor in double precision, so that what must be equal is equal to many digits."""
    torch.manual_seed(seed)
    return InterestExtractor(ModelConfig(**dimensions), list(profile_sizes)).double().eval()


def inputs(masks: list[list[int]], dim: int, num_interests: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Random behaviours (B, L, d) and routing logits (B, K, L) for these masks (B, L)."""
    rng = np.random.default_rng(seed)
    mask = torch.tensor(masks, dtype=torch.bool)
    behaviours = torch.from_numpy(rng.normal(size=(*mask.shape, dim)))
    logits = torch.from_numpy(4 * rng.normal(size=(len(mask), num_interests, mask.shape[1])))
    return behaviours, mask, logits


# squash, and how many capsules a user has


def test_squash_by_hand() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.0, -1.0], [0.6e4, 0.8e4]])
    expected = torch.tensor([[3.0, 4.0], [0.0, -1.0], [0.6, 0.8]]) * torch.tensor([[5 / 26], [1 / 2], [1.0]])
    torch.testing.assert_close(squash(vectors), expected)


def test_squash_of_nothing_is_nothing_and_so_is_its_gradient() -> None:
    nothing = torch.zeros(2, 3, requires_grad=True)
    squashed = squash(nothing)
    squashed.sum().backward()
    assert squashed.tolist() == [[0.0] * 3] * 2
    assert nothing.grad is not None
    assert nothing.grad.tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize(
    ("behaviours", "capsules"),
    [(0, 0), (1, 1), (2, 1), (3, 1), (4, 2), (7, 2), (8, 3), (15, 3), (16, 4), (31, 4), (32, 5), (63, 5), (64, 5)],
)
def test_interest_mask_by_hand(behaviours: int, capsules: int) -> None:
    mask = torch.zeros(1, 70, dtype=torch.bool)
    mask[0, torch.randperm(70, generator=torch.Generator().manual_seed(1))[:behaviours]] = True
    assert interest_mask(mask, 5).tolist() == [[k < capsules for k in range(5)]]
    assert interest_mask(mask, 2).tolist() == [[k < capsules for k in range(2)]]
    assert interest_mask(mask, 1).tolist() == [[behaviours > 0]]


# B2I dynamic routing


def algorithm_1(
    behaviours: np.ndarray, bilinear_map: np.ndarray, b: np.ndarray, iterations: int
) -> tuple[np.ndarray, np.ndarray]:
    """The paper's algorithm 1 for one user, by its loops.

    behaviours (n, d) are the e_i, bilinear_map (d, d) is S, b (K', n) the initial logits; gives the
    capsules u_j (K', d) and the weights w_ij (K', n).
    """
    b = b.copy()
    capsules = range(len(b))
    for _ in range(iterations):
        w = np.zeros_like(b)
        for i in range(len(behaviours)):
            share = [math.exp(b[j, i] - b[:, i].max()) for j in capsules]
            w[:, i] = [s / sum(share) for s in share]
        z = [sum(w[j, i] * (bilinear_map @ e) for i, e in enumerate(behaviours)) for j in capsules]
        u = [z_j @ z_j / (1 + z_j @ z_j) * z_j / math.sqrt(z_j @ z_j) for z_j in z]
        for i, e in enumerate(behaviours):
            for j in capsules:
                b[j, i] += u[j] @ bilinear_map @ e
    return np.array(u), w


histories = st.lists(st.lists(st.integers(0, 1), min_size=18, max_size=18), min_size=1, max_size=4)


@given(
    masks=histories,
    dim=st.integers(1, 6),
    num_interests=st.integers(1, 6),
    iterations=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60)
def test_routing_is_algorithm_1(
    masks: list[list[int]], dim: int, num_interests: int, iterations: int, seed: int
) -> None:
    model = extractor(seed=seed, dim=dim, num_interests=num_interests, routing_iterations=iterations, map_gain=4.0)
    behaviours, mask, logits = inputs(masks, dim, num_interests, seed)
    with torch.no_grad():
        capsules, weights = model.route(behaviours, mask, logits, interest_mask(mask, num_interests))
    for user, real in enumerate(mask.numpy()):
        n = real.sum()
        own = 0 if n == 0 else max(1, min(num_interests, math.floor(math.log2(n))))
        u, w = algorithm_1(
            behaviours[user].numpy()[real],
            model.bilinear_map.detach().numpy().T,  # the code multiplies from the right: e S instead of S e
            logits[user].numpy()[:own, real],
            iterations,
        )
        np.testing.assert_allclose(weights[user].numpy()[:own, real], w, atol=1e-6)
        np.testing.assert_allclose(capsules[user].numpy()[:own], u.reshape(own, dim), atol=1e-6)


# 3, 8 and 20 of 20 behaviours: 1, 3 and 4 of the 4 capsules; and a user without any
MASKS = [[1] * 3 + [0] * 17, [0, 1] * 8 + [0] * 4, [1] * 20, [0] * 20]
CAPSULES = [1, 3, 4, 0]


def test_each_behaviour_shares_itself_out_among_the_capsules_of_its_user() -> None:
    model = extractor(dim=6, num_interests=4)
    behaviours, mask, logits = inputs(MASKS, 6, 4)
    capsules, active, weights = model(behaviours, mask, logits)
    assert active.sum(1).tolist() == CAPSULES
    torch.testing.assert_close(weights.sum(1), mask.double())  # 1 at behaviours, 0 at padding
    for user, own in enumerate(CAPSULES):
        assert weights[user, own:].count_nonzero() == capsules[user, own:].count_nonzero() == 0
        assert (weights[user, :own].sum(1) > 0).all()
        assert (capsules[user, :own].norm(dim=1) > 0).all()


@pytest.mark.parametrize("iterations", [1, 2, 3, 4, 5])
def test_the_bilinear_map_learns_through_the_last_iteration(iterations: int) -> None:
    model = extractor(dim=6, num_interests=4, routing_iterations=iterations).train()
    behaviours, mask, logits = inputs(MASKS, 6, 4)
    capsules, weights = model.route(behaviours, mask, logits, interest_mask(mask, 4))
    (gradient,) = torch.autograd.grad((capsules**2).sum(), model.bilinear_map)
    again = squash(weights.detach() @ (behaviours @ model.bilinear_map))
    (expected,) = torch.autograd.grad((again**2).sum(), model.bilinear_map)
    assert gradient.isfinite().all()
    assert (gradient != 0).all()
    torch.testing.assert_close(gradient, expected)


def test_training_and_serving_route_alike() -> None:
    model = extractor(dim=6, num_interests=4, map_gain=1.0).float()
    behaviours, mask, logits = (x.float() if x.is_floating_point() else x for x in inputs(MASKS, 6, 4))
    for trained, served in zip(
        model.train()(behaviours, mask, logits), model.eval()(behaviours, mask, logits), strict=True
    ):
        assert trained.dtype == served.dtype
        torch.testing.assert_close(trained, served, rtol=0, atol=1e-5)


# Profile


def test_the_profile_reaches_every_capsule() -> None:
    model = extractor((5, 3), dim=6, num_interests=4)
    behaviours, mask, logits = inputs([[1] * 20] * 3, 6, 4)
    behaviours, logits = behaviours[:1].expand(3, -1, -1), logits[:1].expand(3, -1, -1)
    capsules, _, _ = model(behaviours, mask, logits, torch.tensor([[0, 0], [4, 0], [0, 2]]))
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        assert ((capsules[one] - capsules[other]).abs().amax(1) > 1e-3).all()


def test_the_layers_see_each_capsule_beside_the_whole_profile() -> None:
    model = extractor((5, 3), dim=6, num_interests=4, profile_dim=2)
    behaviours, mask, logits = inputs([[1] * 20], 6, 4)
    capsules, _, _ = model(behaviours, mask, logits, torch.tensor([[4, 1]]))
    routed, _ = model.route(behaviours, mask, logits, interest_mask(mask, 4))
    fields = [model.layers.profile_tables[0].weight[4], model.layers.profile_tables[1].weight[1]]  # type: ignore[index]
    for capsule, through in zip(routed[0], capsules[0], strict=True):
        torch.testing.assert_close(model.layers.layers(torch.cat([capsule, *fields])), through)


# Label-aware attention: the capsules are the unit vectors, so that the scores are the label and the
# result is the weights


def attention(scores: list[float], p: float, active: list[bool] | None = None) -> list[float]:
    capsules = torch.eye(len(scores), dtype=torch.float64)[None]
    mask = torch.tensor([active or [True] * len(scores)])
    result: list[float] = label_aware_attention(capsules, mask, torch.tensor([scores], dtype=torch.float64), p)[
        0
    ].tolist()
    return result


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    ("scores", "p", "first"),
    [
        ([2, 1], 1, sigmoid(2 - 1)),
        ([2, 1], 2, sigmoid(4 - 1)),
        ([4, 1], 0.5, sigmoid(2 - 1)),
        ([1, -2], 1, sigmoid(1 + 2)),
        ([1, -2], 2, sigmoid(1 + 4)),  # the power keeps the sign: disagreeing strongly does not win
        ([-1, -3], 2, sigmoid(-1 + 9)),
        ([5, -2], 0, 0.5),
        ([1, -2], INF, 1.0),
        ([-3, -2], INF, 0.0),
    ],
)
def test_label_aware_attention_by_hand(scores: list[float], p: float, first: float) -> None:
    assert attention(scores, p) == pytest.approx([first, 1 - first])


@pytest.mark.parametrize("scores", [[1.5, 1.2, -1.6], [-0.5, 1.3, 0.9], [0.2, -4.0, 1.4]])
def test_infinite_p_is_the_limit_of_large_p(scores: list[float]) -> None:
    assert attention(scores, INF) == pytest.approx(attention(scores, 60), abs=1e-6)
    assert attention(scores, INF) == [float(score == max(scores)) for score in scores]


@pytest.mark.parametrize("p", [0, 0.5, 1, 2, INF])
def test_an_unused_capsule_has_no_weight(p: float) -> None:
    weights = attention([1.0, 0.5, 3.0], p, active=[True, True, False])
    assert weights[2] == 0
    assert weights[:2] == pytest.approx(attention([1.0, 0.5], p))


# Sampled softmax

TABLE = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])


def sampled(negatives: list[int], log_q: list[float]) -> float:
    """The loss of a user (1, 0) whose target is item 0: the scores of the three items are 1, 2 and 0."""
    arguments = torch.tensor([[1.0, 0.0]]), TABLE, torch.tensor([0]), torch.tensor(negatives), torch.tensor(log_q)
    return float(sampled_softmax(*arguments))


def test_sampled_softmax_by_hand() -> None:
    e, log_q = math.e, [math.log(0.5), 0.0, math.log(2)]
    assert sampled([1, 2], log_q) == pytest.approx(-math.log(2 * e / (2 * e + e**2 + 1 / 2)))
    assert sampled([2, 2, 1], log_q) == pytest.approx(-math.log(2 * e / (2 * e + e**2 + 2 / 2)))


def test_accidental_hits_are_removed() -> None:
    log_q = [math.log(0.5), 0.0, math.log(2)]
    assert sampled([0, 1, 0, 2], log_q) == pytest.approx(sampled([1, 2], log_q))
    assert sampled([0, 0], log_q) == 0
    user, target = (
        torch.tensor([[1.0, 0.0], [1.0, 0.0]]),
        torch.tensor([0, 1]),
    )  # a hit of one user is a negative of another
    both = sampled_softmax(user, TABLE, target, torch.tensor([0, 1]), torch.zeros(3))
    assert both.tolist() == pytest.approx([math.log(1 + math.e), math.log(1 + 1 / math.e)])


def test_with_every_item_once_it_is_the_full_softmax() -> None:
    torch.manual_seed(0)
    user, table, target = torch.randn(5, 4), torch.randn(30, 4), torch.arange(5)
    full = torch.nn.functional.cross_entropy(user @ table.T, target, reduction="none")
    torch.testing.assert_close(sampled_softmax(user, table, target, torch.arange(30), torch.zeros(30)), full)


def test_its_expected_gradient_is_about_that_of_the_full_softmax() -> None:
    generator = torch.Generator().manual_seed(0)
    items, negatives = 400, 100
    user = torch.randn(8, 6, generator=generator).requires_grad_()
    table, target = torch.randn(items, 6, generator=generator) / 3, torch.randint(items, (8,), generator=generator)
    q = 1 / torch.arange(1, items + 1)
    q = q / q.sum()  # popular items are drawn far more often

    def gradient(log_q: Tensor) -> Tensor:
        draws = [torch.multinomial(q, negatives, replacement=True, generator=generator) for _ in range(300)]
        losses = [sampled_softmax(user, table, target, drawn, log_q).mean() for drawn in draws]
        return torch.autograd.grad(torch.stack(losses).mean(), user)[0]

    (full,) = torch.autograd.grad(torch.nn.functional.cross_entropy(user @ table.T, target), user)

    def error(log_q: Tensor) -> float:
        return float((gradient(log_q) - full).norm() / full.norm())

    assert error((q * negatives).log()) < 0.05
    assert error(torch.zeros(items)) > 0.15  # without the correction popular items are pushed away too hard


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 0}, "dim is 0; it must be at least 1"),
        ({"num_interests": -1}, "num_interests is -1; it must be at least 1"),
        ({"history_length": 0}, "history_length is 0"),
        ({"routing_iterations": 0}, "routing_iterations is 0"),
        ({"hidden": 0}, "hidden is 0"),
        ({"profile_dim": 0}, "profile_dim is 0"),
        ({"routing_sigma": 0.0}, "routing_sigma is 0.0; it must be a finite number above 0"),
        ({"routing_sigma": math.inf}, "routing_sigma is inf; it must be a finite number above 0"),
        ({"map_gain": -1.0}, "map_gain is -1.0; it must be a finite number above 0"),
        ({"map_gain": math.inf}, "map_gain is inf; it must be a finite number above 0"),
        ({"pow_p": -0.5}, "pow_p is -0.5; it must be at least 0"),
        ({"pow_p": math.nan}, "pow_p is nan; it must be at least 0"),
    ],
)
def test_impossible_dimensions(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig(**settings)
