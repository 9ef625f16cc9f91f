"""The parts of the rankers against sums that are written out, by NumPy or by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model_export.rankers.dien import AttentionalGru, InterestEvolutionNetwork
from model_export.rankers.diffumin import InterestDiffusion, contrastive_loss, orthonormal
from model_export.rankers.din import ActivationUnit, Dice, touched_rows_penalty
from model_export.rankers.hcn import CoarseRanker
from model_export.rankers.history import UserVector, masked_softmax, mean_behaviour
from model_export.rankers.infnet import ProxyGatedUnit
from model_export.rankers.inputs import RankerInputs
from model_export.rankers.ranker_config import RankerConfig
from model_export.rankers.tin import TemporalInterestNetwork
from model_export.rankers.tower import Tower, relu

B, L, N, R, H = 2, 4, 3, 5, 6
MASK = torch.tensor([[True] * L, [False, False, True, True]])


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-values)))


def arrays(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: values.detach().numpy() for name, values in module.state_dict().items()}


def spread(module: nn.Module) -> nn.Module:
    """The module in double precision with weights away from zero."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.copy_(torch.randn_like(parameter))
    return module.eval()


def test_the_activation_unit_is_a_layer_over_behaviour_candidate_and_their_product() -> None:
    unit, behaviours, candidates = spread(ActivationUnit(R, H)), draw(B, L, R), draw(B, N, R, seed=1)
    weights, has = unit(behaviours, MASK, candidates), arrays(unit)
    for user, candidate, place in np.ndindex(B, N, L):
        e, t = behaviours[user, place].numpy(), candidates[user, candidate].numpy()
        hidden = has["behaviour.weight"] @ e + has["behaviour.bias"] + has["candidate"] @ t + has["product"] @ (e * t)
        open_ = sigmoid(hidden / np.sqrt(1 + Dice.SMALLEST))
        active = hidden * (open_ + has["dice.alpha"] * (1 - open_))
        expected = has["weight.weight"][0] @ active + has["weight.bias"][0] if MASK[user, place] else 0
        assert weights[user, candidate, place].item() == pytest.approx(expected)


def test_dice_takes_mean_and_spread_of_the_mini_batch_and_remembers_them() -> None:
    dice, values = Dice(1), torch.tensor([[1.0], [3.0], [100.0]])
    mask = torch.tensor([True, True, False])
    activated = dice.train()(values, mask)  # mean 2, variance 1
    np.testing.assert_allclose(activated[:2, 0].detach(), values[:2, 0] * sigmoid(np.array([-1, 1])), rtol=1e-4)
    assert [dice.mean.item(), dice.variance.item()] == pytest.approx([0.2, 1.0])  # a tenth of the way
    alone = dice.eval()(values[:1])
    np.testing.assert_allclose(alone.detach(), [[1.0 * sigmoid(np.array(0.8))]], rtol=1e-4)


def test_rare_rows_are_held_back_more() -> None:
    vectors = torch.tensor([[3.0, 4.0], [1.0, 1.0]])
    assert touched_rows_penalty(vectors, torch.tensor([5, 0])).item() == 25 / 5 + 2 / 1


def test_tin_is_the_sum_over_behaviours_of_the_fourfold_product() -> None:
    """The sum as the paper has it, with its (B, N, L, r) tensor, gives the same scores."""
    config = RankerConfig(dim=R, hidden=(H,), history_length=L)
    core = spread(TemporalInterestNetwork(config, 2, []))
    gaps = torch.tensor([[9, 5, 5, 1], [0, 0, 7, 2]])
    inputs = RankerInputs.of(
        behaviours=draw(B, L, R),
        mask=MASK,
        gaps=gaps,
        types=gaps // 3,
        candidates=draw(B, N, R, seed=1),
        candidate_features=draw(B, N, 2, seed=2),
    )
    assert isinstance(core, TemporalInterestNetwork)
    behaviours = inputs.behaviours + core.encoding(inputs)
    targets = inputs.candidates + core.now
    products = targets[:, :, None] * behaviours[:, None]  # (B, N, L, r)
    scores = (core.log_sharpness.exp() * products.sum(3)).exp() * MASK[:, None]
    shares = scores / scores.sum(2, keepdim=True)
    represented = (shares[..., None] * products).sum(2)
    pooled = (shares[..., None] * behaviours[:, None]).sum(2)
    parts = [represented, pooled, inputs.candidates, inputs.candidate_features]
    torch.testing.assert_close(core(inputs), core.tower(torch.cat(parts, 2), core.user(inputs)))


def test_a_behaviour_is_encoded_by_gap_age_and_type() -> None:
    core = spread(TemporalInterestNetwork(RankerConfig(dim=R, history_length=L), 2, []))
    assert isinstance(core, TemporalInterestNetwork)
    gaps, types = torch.tensor([[0, 0, 3, 1]]), torch.tensor([[0, 0, 2, 0]])
    encoded = core.encoding(RankerInputs.of(mask=MASK[1:], gaps=gaps, types=types))
    tables = core.encoding
    expected = tables.gaps.weight[3] + tables.ages.weight[1] + tables.types.weight[2]
    torch.testing.assert_close(encoded[0, 2], expected)


def test_the_gru_with_attention_goes_step_by_step() -> None:
    gru, steps, attention = spread(AttentionalGru(R)), draw(B, L, R), draw(B, N, L, seed=1).sigmoid()
    states, has = gru(steps, attention), arrays(gru)
    for user, candidate in np.ndindex(B, N):
        state = np.zeros(R)
        for place in range(L):
            read = has["read.weight"] @ steps[user, place].numpy() + has["read.bias"]
            reset, update = np.split(sigmoid(read[: 2 * R] + state @ has["gates"]), 2)
            new = np.tanh(read[2 * R :] + (reset * state) @ has["state"])
            share = update * attention[user, candidate, place].item()
            state = (1 - share) * state + share * new
            np.testing.assert_allclose(states[place][user, candidate].detach(), state)


def test_a_step_without_attention_keeps_the_state() -> None:
    gru, attention = spread(AttentionalGru(R)), torch.ones(B, N, L, dtype=torch.float64)
    attention[:, :, 2] = 0
    states = gru(draw(B, L, R), attention)
    assert torch.equal(states[1], states[2])
    assert not torch.equal(states[2], states[3])


def test_dien_s_auxiliary_loss_asks_for_the_next_behaviour_and_not_for_another_user_s() -> None:
    core = InterestEvolutionNetwork(RankerConfig(core="dien", dim=R, history_length=L), 2, [])
    behaviours = torch.nn.functional.one_hot(torch.tensor([[0, 1, 0, 1], [2, 3, 2, 3]]), R).float()
    inputs = RankerInputs.of(behaviours=4 * behaviours, mask=torch.ones(B, L, dtype=torch.bool))
    taken = torch.zeros(B, dtype=torch.int64)
    optimizer = torch.optim.Adam(core.extraction.parameters(), lr=3e-2)
    before = core.auxiliary_loss(inputs, taken).item()
    for _ in range(60):
        optimizer.zero_grad()
        core.auxiliary_loss(inputs, taken).backward()
        optimizer.step()
    assert core.auxiliary_loss(inputs, taken).item() < before / 2
    likes = core.extract(inputs) @ torch.eye(R)
    assert likes[0, 0].argmax() == 1  # after a first 0 comes 1
    assert likes[1, 0].argmax() == 3
    alone = replace(inputs, mask=torch.tensor([[True] * L, [False] * L]))
    assert core.auxiliary_loss(alone, taken).item() == 0  # nobody to tell it from


def test_channels_are_orthonormal_and_span_the_same() -> None:
    vectors = draw(B, N, 3, R)
    found = orthonormal(vectors)
    torch.testing.assert_close(found @ found.transpose(2, 3), torch.eye(3).double().expand(B, N, 3, 3))
    torch.testing.assert_close((vectors @ found.transpose(2, 3)) @ found, vectors)


def test_generated_interests_are_drawn_of_nothing_and_follow_their_guides() -> None:
    diffusion, interests = spread(InterestDiffusion(R, 3)), draw(B, N, 2, R)
    channels = orthonormal(draw(B, N, 2, R, seed=1))
    assert isinstance(diffusion, InterestDiffusion)
    found = diffusion.generate(interests, channels)
    assert torch.equal(found, diffusion.generate(interests, channels))
    assert not torch.allclose(found, diffusion.generate(interests, -channels))  # the channel
    other = interests.clone()
    other[:, :, 1] += 1
    assert not torch.allclose(found[:, :, 0], diffusion.generate(other, channels)[:, :, 0])  # the context


def test_a_diffusion_learns_to_take_noise_off() -> None:
    """All interests of a channel are the same here: behind any noise it is this one, and the chain ends there."""
    torch.manual_seed(0)
    diffusion, channels = InterestDiffusion(R, 3), orthonormal(draw(1, 1, 2, R)).float()
    interests = 3 * channels.flip(2).expand(8, 1, 2, R)
    guides = channels.expand(8, 1, 2, R)
    optimizer = torch.optim.Adam(diffusion.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        diffusion.denoising_loss(interests, guides).backward()
        optimizer.step()
    torch.testing.assert_close(diffusion.generate(interests, guides), guides.flip(2), rtol=0, atol=0.1)


def test_contrast_is_least_where_each_generated_interest_is_like_its_own_user_s() -> None:
    interests = torch.eye(4)[:, None].expand(4, 2, 4)  # (B, C, r)
    assert contrastive_loss(interests, 2 * interests).item() < 1e-6
    assert contrastive_loss(interests, interests.roll(1, 0)).item() == pytest.approx(20, rel=1e-3)  # 1 / temperature


def test_a_proxy_gated_unit_adds_a_layer_through_the_gate_of_its_proxy() -> None:
    unit, tokens, proxy = spread(ProxyGatedUnit(R)), draw(B, N, 3, R), draw(B, N, 1, R, seed=1)
    has, at = arrays(unit), (1, 2, 0)
    gate = sigmoid(has["gate.weight"] @ proxy[1, 2, 0].numpy() + has["gate.bias"])
    inner = np.maximum(has["inner.weight"] @ tokens[at].numpy() + has["inner.bias"], 0)
    expected = tokens[at].numpy() + has["outer.weight"] @ (gate * inner) + has["outer.bias"]
    np.testing.assert_allclose(unit(tokens, proxy)[at].detach(), expected)


def test_the_coarse_ranker_matches_the_interest_that_speaks_for_a_candidate() -> None:
    config = RankerConfig(core="hcn", dim=R, history_length=L, num_interests=3, tasks=("click", "purchase"))
    core = spread(CoarseRanker(config, 2, []))
    assert isinstance(core, CoarseRanker)
    inputs = RankerInputs.of(
        behaviours=draw(B, L, R), mask=MASK, candidates=draw(B, N, R, seed=1), candidate_features=draw(B, N, 2, seed=2)
    )
    interests = core.interests(inputs.behaviours, MASK, inputs.behaviours)[0][1].detach().numpy()  # (K, r)
    has, item = arrays(core), inputs.candidates[1, 2].numpy()
    alike = np.exp(np.exp(has["log_sharpness"]) * (interests @ item))
    matched = alike / alike.sum() @ interests * item
    own = np.concatenate([item, inputs.candidate_features[1, 2].numpy()])
    expected = has["match.weight"] @ matched + has["candidate.weight"] @ own + has["candidate.bias"]
    np.testing.assert_allclose(core(inputs)[1, 2].detach(), expected)


def test_a_mean_a_softmax_and_a_user_without_behaviours() -> None:
    behaviours = torch.tensor([[[2.0], [4.0], [9.0]], [[1.0], [1.0], [1.0]]])
    mask = torch.tensor([[True, True, False], [False] * 3])
    assert mean_behaviour(behaviours, mask).tolist() == [[3.0], [0.0]]
    assert masked_softmax(torch.zeros(2, 3), mask).tolist() == [[0.5, 0.5, 0.0], [0.0] * 3]
    user = UserVector(1, [3])
    assert user(RankerInputs.of(behaviours=behaviours, mask=mask, profile=torch.tensor([[2], [0]]))).tolist() == [
        [3.0, 0.0],
        [0.0, 0.0],
    ]


def test_a_tower_adds_the_user_s_part_to_each_candidate_s() -> None:
    tower = spread(Tower(2, 3, (4, 5), 1, 0.5, relu))
    candidate, user = draw(B, N, 2), draw(B, 3, seed=1)
    has = arrays(tower)
    first = (
        has["candidate.weight"] @ candidate[1, 2].numpy() + has["candidate.bias"] + has["user.weight"] @ user[1].numpy()
    )
    second = has["later.2.weight"] @ np.maximum(first, 0) + has["later.2.bias"]
    expected = has["later.4.weight"] @ np.maximum(second, 0) + has["later.4.bias"]
    np.testing.assert_allclose(tower(candidate, user)[1, 2].detach(), expected)
