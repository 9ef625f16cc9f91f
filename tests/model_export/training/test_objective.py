"""What a step minimises: its parts, put together as the settings say."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from model_export.bundle.time_gaps import time_gaps
from model_export.data.dataset import mask_without_last
from model_export.models.interest_model import InterestModel
from model_export.models.mind import label_aware_attention, sampled_softmax
from model_export.models.presets import PRESETS
from model_export.models.training_config import TrainingConfig
from model_export.training.independence import independent_weights
from model_export.training.losses import (
    capsule_scores,
    joint_softmax,
    routing_penalty,
    separation_penalty,
    stability_penalty,
)
from model_export.training.objective import TrainingBatch, objective
from tests.support.bundles.untrained import ITEMS, untrained

PLAIN = TrainingConfig()
JOINT = TrainingConfig(loss="joint")
SHARP = TrainingConfig(loss="joint", sharpness=4.0)


def small(name: str, **settings: Any) -> InterestModel:
    """A model by name, in training, without what it draws at random."""
    still = {"behaviour_dropout": 0.0, "embedding_noise": 0.0, "learned_logits": True, **settings}
    config = replace(PRESETS[name].model, dim=6, history_length=5, hidden=5, profile_dim=2, **still)
    model = untrained(config).model.train()
    if model.log_repeat_bonus is not None:
        torch.nn.init.normal_(model.log_repeat_bonus)
    return model


def batch_of(model: InterestModel) -> TrainingBatch:
    """Histories of 5, 3 and 1 behaviours, and four negatives, one of which is a target and one twice there."""
    rng = np.random.default_rng(1)
    mask = torch.arange(5)[None] >= 5 - torch.tensor([5, 3, 1])[:, None]
    history = torch.from_numpy(rng.integers(1, ITEMS, (3, 5))) * mask
    profile = torch.tensor([[0, 1], [1, 0], [2, 1]]) if model.config.reads_profile else torch.zeros(3, 0)
    log_q = torch.from_numpy(rng.normal(size=ITEMS)).float()
    pairs = history, mask, torch.tensor([3, 8, 9]), profile.long()
    # Each four times: stability looks at the first quarter alone, and means stay what they are.
    histories, masks, targets, profiles = (torch.cat([part] * 4) for part in pairs)
    times = rng.integers(10**10, size=masks.shape).cumsum(1)  # up to four months apart
    earlier = mask_without_last(masks.numpy())
    real = histories.clone()
    real[:, -1] = 8  # was substituted; 8 is a target and a negative too
    return TrainingBatch(
        history=histories,
        real_history=real,
        mask=masks,
        earlier_mask=torch.from_numpy(earlier),
        gaps=torch.from_numpy(time_gaps(times, masks.numpy())),
        earlier_gaps=torch.from_numpy(time_gaps(times, earlier)),
        types=torch.from_numpy(rng.integers(4, size=masks.shape)) * masks,
        asked_gap=torch.arange(12),
        target=targets,
        profile=profiles,
        negatives=torch.tensor([8, 2, 7, 2]),
        log_q=log_q,
    )


def encode(model: InterestModel, batch: TrainingBatch, mask: Tensor, gaps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Capsules, interest mask and routing weights, with the vectors of all items."""
    logits = model.routing_logits[batch.history].transpose(1, 2)
    torch.manual_seed(1)  # IDNP draws
    read = mask, logits, batch.profile, gaps, batch.types, batch.asked_gap
    return model.extract(model.item_table()[batch.history], *read)


def repeats_by_hand(model: InterestModel, batch: TrainingBatch) -> Tensor | None:
    """What each item of the table gets for each time that it is in a history, times the scale; the last has age 0."""
    if model.repeat_bonus is None:
        return None
    found = torch.zeros(len(batch.history), ITEMS)
    for user, (rows, mask) in enumerate(zip(batch.real_history, batch.mask, strict=True)):
        for age, row in enumerate(reversed(rows[mask].tolist())):
            found[user, row] += model.scale.item() * model.repeat_bonus[age].item()
    assert found[:, 8].count_nonzero() == len(found)
    return found


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(
    "loss",
    [PLAIN, replace(PLAIN, hard_negatives=0.5), JOINT, SHARP],
    ids=["plain", "hard", "joint", "sharp"],
)
def test_the_loss_is_that_of_the_whole_item_table(name: str, loss: TrainingConfig) -> None:
    model = small(name)
    batch, table = batch_of(model), model.item_table()
    capsules, active, _ = encode(model, batch, batch.mask, batch.gaps)
    if loss.loss != "label-aware":
        drawn = batch.target, batch.negatives, batch.log_q
        scores = capsule_scores(model.scale * capsules, active, table, *drawn, repeats_by_hand(model, batch))
        expected = joint_softmax(*scores, loss.sharpness).mean()
    else:
        user = model.scale * label_aware_attention(capsules, active, table[batch.target], model.config.pow_p)
        parts = user, table, batch.target, batch.negatives, batch.log_q
        expected = sampled_softmax(*parts, loss.hard_negatives).mean()
    torch.manual_seed(1)
    torch.testing.assert_close(objective(model, batch, loss), expected)


@pytest.mark.parametrize("name", ["mind", "steady", "comirec-sa"])
def test_penalties_are_added_with_their_weights(name: str) -> None:
    model = small(name)
    batch = batch_of(model)
    capsules, active, weights = encode(model, batch, batch.mask, batch.gaps)
    before, was_active, _ = encode(model, batch, batch.earlier_mask, batch.earlier_gaps)
    penalties = {
        "routing_penalty": routing_penalty(weights, batch.mask),
        "separation": separation_penalty(capsules, active),
        "stability": stability_penalty(capsules, before, active & was_active),
    }
    plain = objective(model, batch, JOINT)
    for setting, penalty in penalties.items():
        alone: dict[str, Any] = {setting: 0.7 / penalty.item()}  # some are tiny
        torch.testing.assert_close(objective(model, batch, replace(JOINT, **alone)), plain + 0.7)
    together = objective(model, batch, replace(JOINT, routing_penalty=2.0, separation=3.0, stability=4.0))
    parts = penalties["routing_penalty"], penalties["separation"], penalties["stability"]
    torch.testing.assert_close(together, plain + 2 * parts[0] + 3 * parts[1] + 4 * parts[2])


def test_a_users_loss_weighs_as_much_as_makes_interests_independent() -> None:
    model = small("desmil")
    batch, table = batch_of(model), model.item_table()
    capsules, active, _ = encode(model, batch, batch.mask, batch.gaps)
    torch.manual_seed(2)
    weights = independent_weights(capsules, active, 5)
    assert weights.std() > 0.01
    scores = capsule_scores(capsules, active, table, batch.target, batch.negatives, batch.log_q)
    torch.manual_seed(2)
    found = objective(model, batch, replace(JOINT, independence_steps=5))
    torch.testing.assert_close(found, (weights * joint_softmax(*scores)).mean())


def test_the_latent_of_idnp_is_kept_near_the_standard_normal_one_and_nobody_elses() -> None:
    model = small("idnp")
    batch = batch_of(model)
    latent = model.get_submodule("extractor.latent")
    mean, deviation = latent(model.item_table()[batch.history], batch.mask)
    normal = torch.distributions.Normal
    divergence = torch.distributions.kl_divergence(normal(mean, deviation), normal(0.0, 1.0)).sum(1).mean()
    found = []
    for training in (PLAIN, replace(PLAIN, latent_penalty=0.5)):
        torch.manual_seed(1)
        found.append(objective(model, batch, training))
    torch.testing.assert_close(found[1] - found[0], 0.5 * divergence)
    with pytest.raises(ValueError, match="extractor is 'mind', which has no latent; right is idnp"):
        objective(small("mind"), batch_of(small("mind")), replace(PLAIN, latent_penalty=0.5))


def test_stability_compares_with_the_history_before_its_last_event() -> None:
    model = small("steady")
    batch = batch_of(model)
    now, _, _ = encode(model, batch, batch.mask, batch.gaps)
    logits, table = model.routing_logits, model.item_table()
    lost = []
    for user, length in ((0, 5), (1, 3)):  # the third had nothing before
        one, before_last = slice(user, user + 1), slice(5 - length, 4)
        rows, *beside = (part[one, before_last] for part in (batch.history, batch.earlier_gaps, batch.types))
        mask = torch.ones_like(rows, dtype=torch.bool)
        before, _, _ = model.extract(table[rows], mask, logits[rows].transpose(1, 2), batch.profile[one], *beside)
        lost.append(1 - torch.cosine_similarity(before[0], now[user], dim=-1))
    found = objective(model, batch, replace(JOINT, stability=1.0)) - objective(model, batch, JOINT)
    torch.testing.assert_close(found, torch.cat(lost).mean(), rtol=1e-4, atol=1e-6)


def test_mind_draws_its_routing_logits_anew_at_each_step() -> None:
    model = small("mind", learned_logits=False)
    batch = batch_of(model)
    torch.manual_seed(1)
    one, other = objective(model, batch, PLAIN), objective(model, batch, PLAIN)
    torch.manual_seed(1)
    assert torch.equal(objective(model, batch, PLAIN), one)
    assert not torch.equal(one, other)
    wide = untrained(replace(model.config, routing_sigma=3.0)).model
    logits = wide.training_logits(torch.zeros(200, 50, dtype=torch.int64))
    assert logits.shape == (200, model.config.num_interests, 50)
    assert logits.std().item() == pytest.approx(3.0, rel=0.02)


@pytest.mark.parametrize("name", PRESETS)
def test_a_step_reaches_every_parameter(name: str) -> None:
    model = small(name, learned_logits=PRESETS[name].model.learned_logits)
    everything = replace(PRESETS[name].training, stability=1.0, separation=1.0, routing_penalty=1.0)
    objective(model, batch_of(model), everything).backward()
    for part, parameter in model.named_parameters():
        assert parameter.grad is not None, part
        assert parameter.grad.isfinite().all(), part
        assert parameter.grad.count_nonzero() > 0, part


# Items as the model embeds them


def test_unit_length_items_and_their_scale() -> None:
    model = small("steady", unit_length=True)
    torch.testing.assert_close(model.item_table().norm(dim=1), torch.ones(ITEMS))
    assert model.log_scale is not None
    torch.testing.assert_close(model.scale, model.log_scale.exp())
    other = small("mind", unit_length=False)
    assert other.scale.item() == 1
    everything = other.items(torch.arange(ITEMS), other.item_features)
    assert torch.equal(other.item_table(), everything)


def test_noise_is_as_long_as_the_settings_say_and_in_training_only() -> None:
    model = small("mind", embedding_noise=0.2)
    noisy, model = model.item_table(), model.eval()
    clean = model.item_table()
    assert torch.equal(model.item_table(), clean)
    relative = (noisy - clean).norm(dim=1) / clean.norm(dim=1)
    assert relative.square().mean().sqrt().item() == pytest.approx(0.2, rel=0.2)
    model.scale_noise(torch.full((ITEMS,), 99))
    often = (model.train().item_table() - clean).norm(dim=1) / clean.norm(dim=1)
    assert often.square().mean().sqrt().item() == pytest.approx(0.02, rel=0.2)  # a tenth at 99 + 1 behaviours
