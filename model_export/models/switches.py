"""Changes to a model's settings, one by one, as a command line names them: time_gaps=false."""

from collections.abc import Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from model_export.models.model_config import ModelConfig
from model_export.models.presets import Preset
from model_export.models.training_config import TrainingConfig

__all__ = ["apply_settings"]

NEARLY = 0.7  # of difflib: one or two letters of a name are wrong
NOT_SET_HERE = ("name", "seed")  # the first is the model's, and the second has an option of its own
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word", NoneType: "null"}

Config = TypeVar("Config", ModelConfig, TrainingConfig)


def apply_settings(base: Preset, settings: Sequence[str]) -> Preset:
    """Return a preset with other settings, each given as NAME=VALUE.

    Names are those of ModelConfig and TrainingConfig.

    Raises
    ------
    ValueError
        If there is no setting of that name, or it cannot have that value; names the setting as it was given.
    """
    model: dict[str, Any] = {}
    training: dict[str, Any] = {}
    for setting in settings:
        name, is_given, text = setting.partition("=")
        if name not in NAMES:
            raise ValueError(f"--set {setting}: there is no setting {name!r}; {_nearest(name)}")
        if not is_given:
            raise ValueError(f"--set {setting}: it has no value; right is {name}=VALUE, VALUE {_words(NAMES[name])}")
        (model if name in _setting_types(ModelConfig) else training)[name] = _parse_value(setting, NAMES[name], text)
    # All at once: some settings go together only when each has its new value, in whatever order they were given.
    return replace(
        base, model=_changed(base.model, model, settings), training=_changed(base.training, training, settings)
    )


def _changed(config: Config, values: dict[str, Any], settings: Sequence[str]) -> Config:
    """Return a config with other values; an error names the settings as they were given."""
    try:
        return replace(config, **values)
    except ValueError as error:
        named = [one for one in settings if str(error).startswith(f"{one.partition('=')[0]} ")]
        ours = [one for one in settings if one.partition("=")[0] in values]
        given = " ".join(f"--set {one}" for one in named[-1:] or ours)
        raise ValueError(f"{given}: {error}") from error


def _nearest(name: str) -> str:
    """Say which settings a name may be meant for: those nearly called so, or else all."""
    near = get_close_matches(name, NAMES, 3, NEARLY)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"right is NAME=VALUE, NAME one of {', '.join(NAMES)}"


def _setting_types(config: type[ModelConfig] | type[TrainingConfig]) -> dict[str, Any]:
    """Return the settings that can be set, with their types."""
    types = get_type_hints(config)
    return {field.name: types[field.name] for field in fields(config) if field.name not in NOT_SET_HERE}


def _words(kind: Any) -> str:
    """Say of a type which values are right."""
    return " or ".join(WORDS[one] for one in get_args(kind) or (kind,))


def _parse_value(setting: str, kind: Any, text: str) -> Any:
    """Return the value of a text: a number, true or false, null, or the text itself."""
    number = f"0{text}" if text.startswith(".") else text  # .5 is no number to msgspec
    try:
        return msgspec.convert(number, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"--set {setting}: expected {_words(kind)}, got {text!r}") from error


NAMES = _setting_types(ModelConfig) | _setting_types(TrainingConfig)
