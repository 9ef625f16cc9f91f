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
        ("stabilty=1", "--set stabilty=1: there is no setting 'stabilty'; did you mean stability?"),
        ("routing_sgma=1", "--set routing_sgma=1: there is no setting 'routing_sgma'; did you mean routing_sigma?"),
        ("seed=1", "--set seed=1: there is no setting 'seed'"),
        ("xyzzy=1", "--set xyzzy=1: there is no setting 'xyzzy'; right is NAME=VALUE, NAME one of extractor, dim,"),
        ("stability", "--set stability: it has no value; right is stability=VALUE, VALUE a number"),
        ("stability=", "--set stability=: expected a number, got ''"),
        ("steps=1.5", "--set steps=1.5: expected a whole number or null, got '1.5'"),
        ("types=maybe", "--set types=maybe: expected true or false, got 'maybe'"),
        ("recency_half_life=old", "--set recency_half_life=old: expected a number or null, got 'old'"),
        ("stability=-1", "--set stability=-1: stability is -1.0; it must be a finite number, at least 0"),
        ("loss=hinge", "--set loss=hinge: loss is 'hinge'; it must be one of label-aware, joint"),
        ("extractor=mind", "--set extractor=mind: types is True for extractor 'mind'; only steady reads them"),
    ],
)
def test_what_cannot_be_set_is_one_sentence(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        apply_settings(STEADY, [setting])


def test_what_is_refused_together_is_said_of_all_that_were_given() -> None:
    with pytest.raises(ValueError, match=r"^--set extractor=mind --set dim=8: types is True for extractor 'mind'"):
        apply_settings(STEADY, ["extractor=mind", "stability=1", "dim=8"])
    with pytest.raises(ValueError, match=r"^--set dim=-1: dim is -1; it must be at least 1"):  # the last one counts
        apply_settings(STEADY, ["dim=8", "hidden=4", "dim=-1"])
