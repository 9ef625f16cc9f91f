"""IDNP: its parts by hand, and interests that follow the time that is asked for."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from model_export.models.idnp import NeuralProcess
from model_export.models.model_config import ModelConfig

MASK = torch.ones(1, 6, dtype=torch.bool)
LOGITS = torch.zeros(1, 3, 6)


def process(**settings: Any) -> NeuralProcess:
    """A model in double precision whose every parameter was moved away from its start."""
    torch.manual_seed(0)
    small = {"dim": 4, "num_interests": 3, "history_length": 8, "short_length": 1, "time_gaps": True}
    config = ModelConfig(**{"extractor": "idnp", "adaptive_interests": False, **small, **settings})
    model = NeuralProcess(config, []).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def behaviours() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(1, 6, 4, dtype=torch.float64)


def capsules(model: NeuralProcess, gaps: list[int], asked: int) -> Tensor:
    found: Tensor = model(behaviours(), MASK, LOGITS, None, torch.tensor([gaps]), torch.tensor([asked]))[0]
    return found


def test_the_context_is_the_sum_over_scales_of_means() -> None:
    """The scales are the last behaviour, the last four, and all six."""
    model, x = process(), behaviours()
    ages = torch.tensor([[5, 4, 3, 2, 1, 0]])
    maps = model.scales.weight.T.reshape(3, 4, 4)  # one beneath the other
    expected = x[:, 5] @ maps[0] + x[:, 2:].mean(1) @ maps[1] + x.mean(1) @ maps[2]
    torch.testing.assert_close(model.context(x, ages, MASK), expected)


def test_attention_by_hand() -> None:
    """With all else zero, two slots differ by how what they read fades."""
    model = process(num_interests=2, dim=2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.fading[0, 4] = math.log(3)
    e = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).double()
    mask, logits = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2, 2)
    found, _, shares = model(e, mask, logits, None, torch.tensor([[4, 0]]), torch.tensor([0]))
    torch.testing.assert_close(found[0], torch.tensor([[0.75, 0.25], [0.5, 0.5]]).double())
    # Of the first behaviour .75 and .5 of the attention, of the second .25 and .5.
    torch.testing.assert_close(shares[0], torch.tensor([[0.6, 1 / 3], [0.4, 2 / 3]]).double())
    later, _, _ = model(e, mask, logits, None, torch.tensor([[4, 0]]), torch.tensor([4]))  # both are as far away now
    torch.testing.assert_close(later[0], torch.full((2, 2), 0.5).double())


def test_interests_follow_the_time_that_is_asked_for() -> None:
    model = process()
    now, later = (capsules(model, [9, 7, 5, 3, 1, 0], asked) for asked in (0, 6))
    assert ((now - later).abs().amax(2) > 1e-3).all()
    without: Tensor = model(behaviours(), MASK, LOGITS, None, torch.tensor([[9, 7, 5, 3, 1, 0]]))[0]
    assert torch.equal(without, now)  # nobody said when: now
    # What is much longer ago than the question is later stays as far away as it was, and all else is as far as that.
    assert torch.equal(capsules(model, [9, 7, 5, 3, 1, 0], 6), capsules(model, [9, 7, 6, 6, 0, 2], 6))


def test_without_times_nothing_is_asked() -> None:
    model = process(time_gaps=False)
    assert not model.config.reads_asked_gap
    assert {"fading", "elapsed_vectors", "asked_vectors"}.isdisjoint(dict(model.named_parameters()))
    assert model(behaviours(), MASK, LOGITS)[0].isfinite().all()


def test_the_latent_is_drawn_in_training_and_its_mean_in_serving() -> None:
    latent, many = process().latent, behaviours().expand(20_000, -1, -1)
    mask = MASK.expand(20_000, -1)
    mean, deviation = latent(many[:1], mask[:1])
    assert torch.equal(latent.draw(many[:1], mask[:1]), mean)
    drawn = latent.train().draw(many, mask)
    torch.testing.assert_close(drawn.mean(0), mean[0], rtol=0, atol=0.05)
    torch.testing.assert_close(drawn.std(0), deviation[0], rtol=0, atol=0.05)


def test_training_asks_for_now_half_the_time() -> None:
    model, mask = process().train(), MASK.expand(4_000, -1)
    asked = model.asked_now_and_then(mask, torch.full((4_000,), 7))
    assert set(asked.tolist()) == {0, 7}
    assert (asked == 7).double().mean().item() == pytest.approx(0.5, abs=0.04)
