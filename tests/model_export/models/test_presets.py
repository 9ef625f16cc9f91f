"""Models by name, and settings that cannot be."""

import math
from typing import Any

import pytest

from model_export.models.interest_model import EXTRACTOR_CLASSES
from model_export.models.model_config import ModelConfig
from model_export.models.presets import DEFAULT, PRESETS, one_interest, preset
from model_export.models.training_config import TrainingConfig

FINITE = (
    *("learning_rate", "recency_half_life", "max_seconds", "weight_decay"),
    *("hard_negatives", "routing_penalty", "stability", "separation", "latent_penalty"),
)


def test_every_model_says_where_it_comes_from_and_is_called_by_its_name() -> None:
    for name, one in PRESETS.items():
        assert one.source.strip()
        assert one.model.name == name
        assert one.model.extractor in EXTRACTOR_CLASSES
        assert preset(name) is one
    assert DEFAULT in PRESETS


def test_an_unknown_model_is_told_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"there is no model 'bert'; it must be one of steady, mind, .*idnp"):
        preset("bert")


def test_one_interest_changes_nothing_else() -> None:
    for one in PRESETS.values():
        single = one_interest(one)
        assert single.model.num_interests == 1
        assert single.training == one.training
        assert single.model.extractor == one.model.extractor


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"extractor": "bert"}, "extractor is 'bert'; it must be one of mind, mean, .*idnp"),
        ({"short_length": 0}, "short_length is 0; it must be at least 1"),
        ({"time_gaps": True}, "time_gaps is True for extractor 'mind'; only steady and idnp read them"),
        ({"behaviour_dropout": 1.0}, "behaviour_dropout is 1.0; it must be from 0 to below 1"),
        ({"behaviour_dropout": -0.1}, "behaviour_dropout is -0.1"),
        ({"behaviour_dropout": 0.2}, "behaviour_dropout is 0.2 for extractor .mind., which has none; it must be 0"),
        ({"embedding_noise": -1.0}, "embedding_noise is -1.0; it must be a finite number, at least 0"),
        ({"embedding_noise": math.nan}, "embedding_noise is nan; it must be a finite"),
        ({"embedding_noise": math.inf}, "embedding_noise is inf; it must be a finite"),
    ],
)
def test_impossible_models(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "hinge"}, "loss is 'hinge'; it must be one of label-aware, joint$"),
        ({"negative_sampling": "hard"}, "negative_sampling is 'hard'; it must be one of popularity, uniform"),
        ({"start": "zeros"}, "start is 'zeros'; it must be one of random, co-occurrence"),
        ({"independence_steps": -1}, "independence_steps is -1; it must be at least 0"),
        ({"steps": 0}, "steps is 0; it must be at least 1"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"negatives": 0}, "negatives is 0; it must be at least 1"),
        ({"validate_every": 0}, "validate_every is 0; it must be at least 1"),
        ({"patience": 0}, "patience is 0; it must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be a finite number above 0"),
        ({"recency_half_life": 0.0}, "recency_half_life is 0.0; it must be a finite number above 0"),
        ({"max_seconds": 0.0}, "max_seconds is 0.0; it must be a finite number above 0"),
        *(({name: math.inf}, f"^{name} is inf; it must be a finite number") for name in FINITE),
        ({"weight_decay": -1.0}, "weight_decay is -1.0; it must be a finite number, at least 0"),
        ({"stability": math.nan}, "stability is nan; it must be a finite number, at least 0"),
        ({"substitution": 1.5}, "substitution is 1.5; it must be from 0 to 1"),
        ({"valid_share": -0.1}, "valid_share is -0.1; it must be from 0 to 1"),
        *(({"sharpness": beta}, "sharpness is .*; it must be from 0.1 to 1000") for beta in (0.0, 1e4, math.nan)),
        ({"averaging": 1.0}, "averaging is 1.0; it must be from 0 to below 1"),
        (
            {"valid_share": 0.5, "test_share": 0.5},
            "valid_share is 0.5 and test_share 0.5; together they must be below 1",
        ),
    ],
)
def test_impossible_trainings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**settings)
