"""Settings that a command line changes one by one: what they become, and what is refused."""

import math
import re
from dataclasses import replace

import pytest

from model_export.models.presets import preset
from model_export.models.switches import apply_settings

STEADY = preset("steady")


def test_each_goes_to_where_it_belongs_and_the_rest_stays() -> None:
    found = apply_settings(STEADY, ["time_gaps=false", "stability=0", "steps=100"])
    assert found.model == replace(STEADY.model, time_gaps=False)
    assert found.training == replace(STEADY.training, stability=0.0, steps=100)
    assert apply_settings(STEADY, []) == STEADY


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("steady", ["extractor=mind", "time_gaps=false", "types=false", "behaviour_dropout=0"]),
        ("remi", ["loss=joint", "hard_negatives=0"]),
    ],
)
def test_the_order_does_not_matter(model: str, settings: list[str]) -> None:
    """The first of them alone would be refused."""
    with pytest.raises(ValueError, match=r"must be 0 there|only steady (and idnp read|reads) them"):
        apply_settings(preset(model), settings[:1])
    assert apply_settings(preset(model), settings) == apply_settings(preset(model), settings[::-1])


def test_numbers_words_and_nothing_are_read_as_their_settings_need_them() -> None:
    found = apply_settings(
        STEADY, ["recency_half_life=null", "pow_p=inf", "loss=label-aware", "dim=32", "stability=.5"]
    )
    assert found.training.recency_half_life is None
    assert found.training.stability == 0.5
    assert math.isinf(found.model.pow_p)
    assert (found.training.loss, found.model.dim) == ("label-aware", 32)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("stabilty=1", "--set stabilty=1: there is no setting 'stabilty'; right is NAME=VALUE, NAME one of extractor,"),
        ("seed=1", "--set seed=1: there is no setting 'seed'"),
        ("stability", "--set stability=: expected `float`, got `str`"),
        ("steps=1.5", "--set steps=1.5: expected `int | null`"),
        ("time_gaps=maybe", "--set time_gaps=maybe: expected `bool`"),
        ("stability=-1", "stability is -1.0; it must be "),
    ],
)
def test_what_cannot_be_set_is_one_sentence(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        apply_settings(STEADY, [setting])
