"""A ranker's settings: what is refused, and that the error names the value."""

import math
from typing import Any

import pytest

from model_export.rankers.ranker_config import CORES, DEFAULT_RANKER, RANKERS, RankerConfig, ranker_preset

COUNTS = ("dim", "history_length", "unit_hidden", "channels", "proxies", "blocks", "num_interests", "layers")
WEIGHTS = ("diffusion_steps", "auxiliary_weight", "diffusion_weight", "contrast_weight", "table_penalty")
REFUSED: list[tuple[str, Any]] = [
    *((name, value) for name in (*COUNTS, "short_length") for value in (0, -3)),
    *((name, value) for name in WEIGHTS for value in (-1, math.inf, math.nan)),
    *(("dropout", value) for value in (-0.1, 1.0)),
    ("core", "tinn"),
    ("tasks", ()),
    ("tasks", ("buy", "buy")),
    ("hidden", ()),
    ("hidden", (8, 0)),
    ("channels", 40),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_the_error_names_setting_value_and_what_is_right(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"must|right|can be") as error:
        RankerConfig(**{name: value})
    assert str(error.value).startswith(name)
    assert str(value) in str(error.value)


def test_the_error_names_what_bounds_a_value() -> None:
    with pytest.raises(ValueError, match=r"channels is 9; .*8"):
        RankerConfig(dim=8, channels=9)
    with pytest.raises(ValueError, match=r"core is 'x'; .*linear.*hcn"):
        RankerConfig(core="x")


def test_the_bounds_themselves_are_right() -> None:
    least = dict.fromkeys((*COUNTS, "short_length"), 1) | dict.fromkeys(WEIGHTS, 0)
    assert RankerConfig(**least, hidden=(1,)).dim == 1  # type: ignore[arg-type]
    assert RankerConfig(dim=8, channels=8).channels == 8


def test_a_preset_by_name_has_the_tasks_asked_for() -> None:
    assert DEFAULT_RANKER in RANKERS
    for name in RANKERS:
        found = ranker_preset(name, ("view", "buy"))
        assert found.config.tasks == ("view", "buy")
        assert found.config.name == name
        assert found.config.core in CORES
        assert RANKERS[name].config.tasks == ("click",)  # it stays as it is
        assert found.source


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no ranker 'dinn'; .*tin, din"):
        ranker_preset("dinn")
