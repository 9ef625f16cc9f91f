"""Where the demo keeps things in its home, and whether they are there. Imports little: every start asks."""

from pathlib import Path

from mindstream.settings import Settings
from model_export.bundle.registry import Registry

__all__ = ["is_prepared", "log_file", "one_interest_models"]


def log_file(settings: Settings) -> Path:
    """The log behind the demo, in Mindstream's own format."""
    return settings.home / "log.parquet"


def one_interest_models(settings: Settings) -> Path:
    """The folder of the model with one interest, which the page compares with; no pointer of the others names it."""
    return settings.home / "models-one"


def is_prepared(settings: Settings) -> bool:
    """Whether there is a model to serve and the log that it came from."""
    return Registry(settings.models).current_version() is not None and log_file(settings).exists()
