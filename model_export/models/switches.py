"""Changes to a model's settings, one by one, as a command line names them: time_gaps=false."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, get_type_hints

import msgspec

from model_export.models.model_config import ModelConfig
from model_export.models.presets import Preset
from model_export.models.training_config import TrainingConfig

__all__ = ["apply_settings"]

NOT_SET_HERE = ("name", "seed")  # the first is the model's, and the second has an option of its own


def apply_settings(base: Preset, settings: Sequence[str]) -> Preset:
    """Return a preset with other settings, each given as NAME=VALUE.

    Names are those of ModelConfig and TrainingConfig.

    Raises
    ------
    ValueError
        If there is no setting of that name, or it cannot have that value.
    """
    model: dict[str, Any] = {}
    training: dict[str, Any] = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        if name in _setting_names(ModelConfig):
            model[name] = _parse_value(ModelConfig, name, text)
        elif name in _setting_names(TrainingConfig):
            training[name] = _parse_value(TrainingConfig, name, text)
        else:
            known = ", ".join(_setting_names(ModelConfig) + _setting_names(TrainingConfig))
            raise ValueError(f"--set {setting}: there is no setting {name!r}; right is NAME=VALUE, NAME one of {known}")
    # All at once: some settings go together only when each has its new value, in whatever order they were given.
    return replace(base, model=replace(base.model, **model), training=replace(base.training, **training))


def _setting_names(config: type[ModelConfig] | type[TrainingConfig]) -> list[str]:
    """Return the names of the settings that can be set."""
    return [field.name for field in fields(config) if field.name not in NOT_SET_HERE]


def _parse_value(config: type[ModelConfig] | type[TrainingConfig], name: str, text: str) -> Any:
    """Return the value of a text: a number, true or false, null, or the text itself."""
    number = f"0{text}" if text.startswith(".") else text  # .5 is no number to msgspec
    try:
        return msgspec.convert(number, get_type_hints(config)[name], strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"--set {name}={text}: {str(error).lower()}") from error
