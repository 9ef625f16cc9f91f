"""TIN against its formula, written again as loops."""

import math
from dataclasses import replace

import numpy as np
import torch

from model_export.rankers.inputs import RankerInputs
from model_export.rankers.ranking_model import READ, RankingModel
from model_export.rankers.tin import TemporalInterestNetwork
from tests.support.rankers import in_double, inputs_of, model_of, moved


def of_tin() -> tuple[RankingModel, TemporalInterestNetwork]:
    model = moved(model_of("tin", dim=4, tasks=("click", "buy"), history_length=5)).double().eval()
    assert isinstance(model.core, TemporalInterestNetwork)
    return model, model.core


def drawn(model: RankingModel, lengths: list[int]) -> RankerInputs:
    """What the core reads: of the candidates' features those that a network may."""
    inputs = in_double(inputs_of(model, lengths, 3, 5))
    return inputs.with_features(inputs.candidate_features[..., : len(READ)])


def softmax(scores: list[float]) -> np.ndarray:
    powers = np.exp(np.array(scores) - max(scores))
    return np.asarray(powers / powers.sum())


def test_scores_are_the_formula() -> None:
    model, core = of_tin()
    inputs = drawn(model, [1, 3, 5])
    of = {name: value.detach().numpy() for name, value in core.state_dict().items()}
    with torch.no_grad():
        found = core(inputs).numpy()
    for user, n in np.ndindex(3, 3):
        places = np.flatnonzero(inputs.mask[user].numpy())
        e = {at: inputs.behaviours[user, at].numpy() for at in places}
        h = {}  # each behaviour with its temporal encoding
        for at in places:
            h[at] = e[at] + of["encoding.ages.weight"][4 - at]
            h[at] = h[at] + of["encoding.gaps.weight"][inputs.gaps[user, at]]
            h[at] = h[at] + of["encoding.types.weight"][inputs.types[user, at]]
        candidate = inputs.candidates[user, n].numpy()
        target = candidate + of["now"]
        attention = softmax([math.exp(of["log_sharpness"]) * float(target @ h[at]) for at in places])
        represented = sum(a * (target * h[at]) for a, at in zip(attention, places, strict=True))
        pooled = sum(a * h[at] for a, at in zip(attention, places, strict=True))
        profile = sum(of[f"user.tables.{f}.weight"][inputs.profile[user, f]] for f in range(2))
        reader = np.concatenate([np.mean([*e.values()], 0), profile])
        read = np.concatenate([represented, pooled, candidate, inputs.candidate_features[user, n].numpy()])
        x = of["tower.candidate.weight"] @ read + of["tower.candidate.bias"] + of["tower.user.weight"] @ reader
        x = of["tower.later.2.weight"] @ np.maximum(x, 0) + of["tower.later.2.bias"]
        x = of["tower.later.4.weight"] @ np.maximum(x, 0) + of["tower.later.4.bias"]
        np.testing.assert_allclose(found[user, n], x)


def test_the_same_items_in_another_order_score_otherwise() -> None:
    model, core = of_tin()
    inputs = drawn(model, [5])
    turned = replace(inputs, behaviours=inputs.behaviours.flip(1))
    assert (core(turned) - core(inputs)).abs().min() > 1e-6
