"""Objectives beyond the paper's, by hand and against what they estimate."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from model_export.models.mind import sampled_softmax, weigh_hard_negatives
from model_export.training.losses import (
    capsule_scores,
    joint_softmax,
    routing_penalty,
    separation_penalty,
    stability_penalty,
)

Loss = Callable[[Tensor, Tensor], Tensor]
SHARP = partial(joint_softmax, sharpness=4)
LOSSES = pytest.mark.parametrize("loss", [joint_softmax, SHARP], ids=["joint", "sharp"])
BOTH = torch.tensor([[True, True]])
# The capsules of one user, and three items; the scores are 1, 2, 0 for the first capsule and 0, 0, 3 for the second.
CAPSULES = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
TABLE = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
LOG_Q = [math.log(0.5), 0.0, math.log(2)]


def lost(loss: Loss, negatives: list[int], target: int = 0, active: Tensor = BOTH, log_q: list[float] = LOG_Q) -> float:
    """The loss of this user and its target."""
    rows = torch.tensor([target]), torch.tensor(negatives), torch.tensor(log_q)
    return float(loss(*capsule_scores(CAPSULES, active, TABLE, *rows)))


def test_joint_softmax_by_hand() -> None:
    e = math.e
    right = e + 1  # of item 0 by either capsule
    wrong = (e**2 + 1) / 1 + (1 + e**3) / 2  # items 1 and 2 by either, over their expected counts
    assert lost(joint_softmax, [1, 2]) == pytest.approx(-math.log(right / (right + wrong)))
    assert lost(joint_softmax, [2, 2, 1]) == pytest.approx(-math.log(right / (right + wrong + (1 + e**3) / 2)))


def test_a_sharp_joint_softmax_by_hand() -> None:
    """What capsules say of an item is summed up in the fourth power, of which the root is taken."""
    e = math.e
    right = (e**4 + 1) ** 0.25  # of item 0
    wrong = (e**8 + 1) ** 0.25 / 1 + (1 + e**12) ** 0.25 / 2  # of items 1 and 2, over their expected counts
    assert lost(SHARP, [1, 2]) == pytest.approx(-math.log(right / (right + wrong)))
    assert lost(SHARP, [2, 2, 1]) == pytest.approx(-math.log(right / (right + wrong + (1 + e**12) ** 0.25 / 2)))


def test_the_sharpest_softmax_is_that_of_max_sim() -> None:
    e = math.e
    wrong = e**2 / 1 + e**3 / 2  # by the capsule that is nearest
    assert lost(partial(joint_softmax, sharpness=1_000), [1, 2]) == pytest.approx(-math.log(e / (e + wrong)), rel=1e-3)


def test_what_repeats_are_worth_is_added_to_what_every_capsule_says() -> None:
    rows = torch.tensor([0]), torch.tensor([1, 2]), torch.zeros(3)
    plain = capsule_scores(CAPSULES, BOTH, TABLE, *rows)
    positive, sampled = capsule_scores(CAPSULES, BOTH, TABLE, *rows, repeats=torch.tensor([[0.5, 0.25, 0.125]]))
    torch.testing.assert_close(positive, plain[0] + 0.5)
    torch.testing.assert_close(sampled, plain[1] + torch.tensor([0.25, 0.125]))


@LOSSES
def test_accidental_hits_are_left_out(loss: Loss) -> None:
    assert lost(loss, [0, 1, 0, 2]) == pytest.approx(lost(loss, [1, 2]))
    assert lost(loss, [0, 0]) == pytest.approx(0, abs=1e-6)
    users = CAPSULES.expand(2, -1, -1), BOTH.expand(2, -1), TABLE, torch.tensor([0, 1])
    both = loss(*capsule_scores(*users, torch.tensor([0, 1]), torch.zeros(3)))  # the hit of one is the other's negative
    apart = [lost(loss, [1], target=0, log_q=[0.0] * 3), lost(loss, [0], target=1, log_q=[0.0] * 3)]
    assert both.tolist() == pytest.approx(apart)


@LOSSES
def test_a_capsule_that_the_user_has_not_takes_no_part(loss: Loss) -> None:
    first = torch.tensor([[True, False]])
    assert lost(loss, [1, 2], active=first) == pytest.approx(-math.log(math.e / (math.e + math.e**2 + 1 / 2)))


def drawn(users: int, items: int, slots: int = 3, dim: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random capsules, all of which but one are active, a table and targets."""
    generator = torch.Generator().manual_seed(0)
    capsules, table = torch.randn(users, slots, dim, generator=generator), torch.randn(items, dim, generator=generator)
    active = torch.ones(users, slots, dtype=torch.bool)
    active[0, -1] = False
    return capsules, active, table, torch.randint(items, (users,), generator=generator)


def full_softmax(loss: Loss, capsules: Tensor, active: Tensor, table: Tensor, target: Tensor) -> Tensor:
    """The loss of each user with one softmax over all items, by its definition."""
    losses = []
    for user, item in enumerate(target.tolist()):
        power = 4 if loss is SHARP else 1
        scores = (power * capsules[user][active[user]] @ table.T).exp().sum(0) ** (1 / power)
        losses.append(-torch.log(scores[item] / scores.sum()))
    return torch.stack(losses)


@LOSSES
def test_with_every_item_once_it_is_the_full_softmax(loss: Loss) -> None:
    parts = drawn(users=5, items=30)
    found = loss(*capsule_scores(*parts, torch.arange(30), torch.zeros(30)))
    torch.testing.assert_close(found, full_softmax(loss, *parts))


@LOSSES
@pytest.mark.parametrize("uniform", [True, False])
def test_its_denominator_is_expected_to_be_that_of_the_full_softmax(loss: Loss, uniform: bool) -> None:
    capsules, active, table, target = drawn(users=1, items=100)
    parts = capsules, active, table / 2, target
    q = torch.full((100,), 0.01) if uniform else 1 / torch.arange(5.0, 105.0)
    q = q / q.sum()
    generator = torch.Generator().manual_seed(1)
    draws = [torch.multinomial(q, 50, replacement=True, generator=generator) for _ in range(2_000)]
    losses = torch.stack([loss(*capsule_scores(*parts, negatives, (50 * q).log())) for negatives in draws])
    assert float(losses.exp().mean()) == pytest.approx(float(full_softmax(loss, *parts).exp()), rel=0.02)


def test_instability_by_hand() -> None:
    now = torch.tensor([[[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [1.0, 1.0]]])
    then = torch.tensor([[[5.0, 0.0], [0.0, -1.0]], [[0.0, 1.0], [7.0, 7.0]]])
    both = torch.tensor([[True, True], [True, False]])
    assert float(stability_penalty(now, then, both)) == pytest.approx((0 + 2 + 1) / 3)  # 1 - cosines 1, -1, 0
    assert float(stability_penalty(now, then, torch.zeros_like(both))) == 0


def test_a_capsule_that_is_not_there_gives_no_gradient() -> None:
    now = torch.zeros(1, 2, 3, requires_grad=True)
    none = torch.tensor([[False, False]])
    (stability_penalty(now, torch.zeros(1, 2, 3), none) + separation_penalty(now, none)).backward()
    assert now.grad is not None
    assert now.grad.tolist() == [[[0.0] * 3] * 2]


def test_overlap_by_hand() -> None:
    # Cosines: 1st and 2nd 0.6, 1st and 3rd 0, 2nd and 3rd 0.8.
    capsules = torch.tensor([[[2.0, 0.0], [0.6, 0.8], [0.0, 1.0]]])
    three = torch.tensor([[True, True, True]])
    assert float(separation_penalty(capsules, three)) == pytest.approx((0.4**2 + 0 + 0.6**2) / 3)
    assert float(separation_penalty(capsules, three, margin=0.7)) == pytest.approx(0.1**2 / 3)
    assert float(separation_penalty(capsules, torch.tensor([[True, True, False]]))) == pytest.approx(0.4**2)
    assert float(separation_penalty(capsules, torch.tensor([[True, False, False]]))) == 0  # not like itself
    assert float(
        separation_penalty(-capsules[:, :1].repeat(1, 3, 1) * torch.tensor([1, -1, 1])[:, None], three)
    ) == pytest.approx(0.8**2 / 3)  # opposite capsules are as far apart as can be


def test_routing_penalty_by_hand() -> None:
    # First capsule: mean 0.5, variance (0.25 + 0.25) / 2 = 0.25; second: no variance.
    weights, mask = torch.tensor([[[0.0, 1.0], [0.3, 0.3]]]), torch.tensor([[True, True]])
    assert float(routing_penalty(weights, mask)) == pytest.approx(0.25**2)
    padded = torch.tensor([[[0.0, 0.0, 1.0, 0.0], [0.0, 0.3, 0.3, 0.0]]])
    real = torch.tensor([[False, True, True, False]])
    assert float(routing_penalty(padded, real)) == pytest.approx(0.25**2)
    two = torch.cat([padded, torch.zeros_like(padded)]), torch.cat([real, torch.zeros_like(real)])
    assert float(routing_penalty(*two)) == pytest.approx(0.25**2 / 2)  # the mean over users, one of them without any


def test_harder_by_hand() -> None:
    scores, beta = torch.tensor([[0.0, 1.0, 2.0], [5.0, 5.0, 5.0]]), 0.5
    first = [math.exp(beta * s) for s in (0, 1, 2)]
    mean = sum(first) / 3
    expected = [[s + math.log(w / mean) for s, w in zip((0, 1, 2), first, strict=True)], [5.0] * 3]
    torch.testing.assert_close(weigh_hard_negatives(scores, beta), torch.tensor(expected))
    assert weigh_hard_negatives(scores, 0.0) is scores


def test_harder_negatives_in_the_sampled_softmax_by_hand() -> None:
    user, target, negatives = torch.tensor([[1.0, 0.0]]), torch.tensor([0]), torch.tensor([1, 2])
    loss = float(sampled_softmax(user, TABLE, target, negatives, torch.zeros(3), hardness=2.0))
    e = math.e
    mean = (e**4 + 1) / 2  # of exp(2 s) for the scores 2 and 0
    assert loss == pytest.approx(-math.log(e / (e + e**2 * e**4 / mean + 1 / mean)))
