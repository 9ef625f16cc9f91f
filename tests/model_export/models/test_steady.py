"""Steady against its formula, written again as loops, and by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model_export.bundle.time_gaps import BUCKETS
from model_export.data.event_types import MOST_TYPES
from model_export.models.model_config import ModelConfig
from model_export.models.steady import SteadyExtractor, unit_length


def extractor(profile_sizes: tuple[int, ...] = (), seed: int = 0, **dimensions: Any) -> SteadyExtractor:
    """An extractor in double precision whose every parameter was moved away from its start."""
    torch.manual_seed(seed)
    config = ModelConfig(**{"extractor": "steady", "adaptive_interests": False, **dimensions})
    model = SteadyExtractor(config, list(profile_sizes)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return model


def inputs(mask: Tensor, dim: int, slots: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Random behaviours (B, L, d), the mask and random routing logits (B, K, L)."""
    rng = np.random.default_rng(seed)
    behaviours = torch.from_numpy(rng.normal(size=(*mask.shape, dim)))
    return behaviours, mask, torch.from_numpy(2 * rng.normal(size=(len(mask), slots, mask.shape[1])))


def padded(lengths: list[int], width: int, in_front: bool) -> Tensor:
    """bool (B, L), as many behaviours as `lengths` says."""
    places, counts = torch.arange(width)[None], torch.tensor(lengths)[:, None]
    return places >= width - counts if in_front else places < counts


def by_loops(
    model: SteadyExtractor,
    behaviours: np.ndarray,
    logits: np.ndarray,
    gaps: np.ndarray,
    types: np.ndarray,
    profile: list[int],
) -> np.ndarray:
    """The capsules (K, d) of one user with behaviours (n, d), oldest first, logits (K, n), gaps and types (n,)."""
    by_gap, by_type = (model.get_parameter(name).detach().numpy() for name in ("gap_weights", "type_weights"))
    recency, prior, maps = (p.detach().numpy() for p in (model.recency, model.prior, model.maps))
    moved = sum(model.get_parameter(f"profile_tables.{i}.weight")[v].detach().numpy() for i, v in enumerate(profile))
    capsules = []
    for k in range(len(logits)):
        total, weight = np.zeros(behaviours.shape[1]), 0.0
        for i, e in enumerate(behaviours):
            c_ki = math.exp(logits[k, i]) / sum(math.exp(logits[j, i]) for j in range(len(logits)))
            age = min(len(behaviours) - 1 - i, recency.shape[1] - 1)
            w_ki = c_ki * math.exp(recency[k, age] + by_gap[k, gaps[i]] + by_type[k, types[i]])
            total, weight = total + w_ki * e, weight + w_ki
        v = (total / weight + prior[k] + moved) @ maps[k]
        capsules.append(v / math.sqrt(v @ v))
    return np.array(capsules)


@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    in_front=st.booleans(),
    dim=st.integers(1, 6),
    slots=st.integers(1, 5),
    history_length=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60)
def test_capsules_are_the_formula(
    lengths: list[int], in_front: bool, dim: int, slots: int, history_length: int, seed: int
) -> None:
    shape = {"dim": dim, "num_interests": slots, "history_length": history_length}
    model = extractor((3, 2), seed, time_gaps=True, types=True, **shape)
    behaviours, mask, logits = inputs(padded(lengths, 9, in_front), dim, slots, seed)
    gaps, types = torch.randint(BUCKETS, mask.shape), torch.randint(MOST_TYPES, mask.shape)
    profile = torch.stack([torch.arange(len(mask)) % 3, torch.arange(len(mask)) % 2], 1)
    with torch.no_grad():
        capsules, active, routing = model(behaviours, mask, logits, profile, gaps, types)
    for user, real in enumerate(mask.numpy()):
        assert active[user].tolist() == [bool(real.any())] * slots
        np.testing.assert_allclose(routing[user].sum(0), real, atol=1e-12)
        expected = np.zeros((slots, dim))
        if real.any():
            own = behaviours[user].numpy()[real], logits[user].numpy()[:, real]
            beside = gaps[user].numpy()[real], types[user].numpy()[real]
            expected = by_loops(model, *own, *beside, profile[user].tolist())
        np.testing.assert_allclose(capsules[user], expected, atol=1e-5 if dim == 1 else 1e-7)


LENGTHS = [0, 1, 2, 5, 7]


def test_capsules_have_length_one_and_all_are_there_from_the_first_behaviour_on() -> None:
    model = extractor(dim=4, num_interests=3, history_length=7)
    capsules, active, _ = model(*inputs(padded(LENGTHS, 7, False), 4, 3))
    assert active.tolist() == [[False] * 3, *([[True] * 3] * 4)]
    torch.testing.assert_close(capsules.norm(dim=2), active.double())


def test_recency_by_hand() -> None:
    """Two orthogonal behaviours of one slot without prior: the newer one counts e^0, the older one e^recency."""
    model = SteadyExtractor(ModelConfig(extractor="steady", dim=2, num_interests=1, history_length=3), [])
    with torch.no_grad():
        model.prior.zero_()
        model.recency.copy_(torch.tensor([[0.0, math.log(3), math.log(0.5)]]))
    e = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    mask, logits = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 1, 2)
    capsules, _, _ = model.eval()(e, mask, logits)
    assert capsules[0, 0].tolist() == pytest.approx([3 / math.sqrt(10), 1 / math.sqrt(10)])
    third = torch.cat([e, torch.tensor([[[0.0, 0.0]]])], 1)  # one event later: the weights are 1/2, 3 and 1
    capsules, _, _ = model(third, torch.ones(1, 3, dtype=torch.bool), torch.zeros(1, 1, 3))
    assert capsules[0, 0].tolist() == pytest.approx([0.5 / math.sqrt(9.25), 3 / math.sqrt(9.25)])


def test_older_behaviours_than_there_are_weights_for_count_as_the_oldest() -> None:
    model = extractor(dim=4, num_interests=2, history_length=3)
    weights = model.pooling_weights(torch.ones(1, 5, dtype=torch.bool), None)[0]
    torch.testing.assert_close(weights, model.recency.exp()[:, [2, 2, 2, 1, 0]])


def test_a_profile_moves_nothing_at_first_and_then_every_capsule() -> None:
    torch.manual_seed(0)
    model = SteadyExtractor(
        ModelConfig(extractor="steady", adaptive_interests=False, dim=4, num_interests=3, history_length=7), [3, 2]
    ).double()
    model.eval()
    parts = inputs(padded([5, 5], 7, True), 4, 3)
    someone, nobody = torch.tensor([[1, 1], [1, 1]]), torch.zeros(2, 2, dtype=torch.int64)
    assert torch.equal(model(*parts, someone)[0], model(*parts, nobody)[0])
    assert torch.equal(model(*parts, someone)[0], model(*parts)[0])
    with torch.no_grad():
        model.get_parameter("profile_tables.1.weight")[1] = 1.0
    assert ((model(*parts, someone)[0] - model(*parts, nobody)[0]).abs().amax(2) > 1e-3).all()


def test_behaviours_are_dropped_in_training_only() -> None:
    model = extractor(dim=4, num_interests=3, history_length=7, behaviour_dropout=0.5)
    parts = inputs(padded([7] * 4, 7, True), 4, 3)
    assert torch.equal(model(*parts)[0], model(*parts)[0])
    model.train()
    assert not torch.equal(model(*parts)[0], model(*parts)[0])
    torch.testing.assert_close(model(*parts)[2], model.eval()(*parts)[2])  # routing is told whole


def test_a_user_all_of_whose_behaviours_are_dropped_has_the_priors() -> None:
    model = extractor(dim=4, num_interests=3, history_length=7, behaviour_dropout=0.999)
    model.train()
    capsules, _, _ = model(*inputs(padded([2], 7, True), 4, 3))
    expected = unit_length((model.prior[:, None] @ model.maps)[:, 0])
    torch.testing.assert_close(capsules[0], expected)


def test_every_parameter_learns() -> None:
    model = extractor((3, 2), dim=4, num_interests=3, history_length=7).train()
    behaviours, mask, logits = inputs(padded([7, 7, 7], 7, True), 4, 3)
    behaviours.requires_grad_()
    logits.requires_grad_()
    profile = torch.tensor([[0, 0], [1, 1], [2, 0]])
    capsules, _, _ = model(behaviours, mask, logits, profile)
    (capsules * torch.randn_like(capsules)).sum().backward()
    for name, tensor in [*model.named_parameters(), ("behaviours", behaviours), ("logits", logits)]:
        assert tensor.grad is not None, name
        assert tensor.grad.isfinite().all(), name
        assert (tensor.grad != 0).all(), name
