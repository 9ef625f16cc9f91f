"""The places of things in the home of the demo. Imports little: every start asks whether they are there."""

from pathlib import Path

from mindstream.settings import Settings
from model_export.bundle.homes.open_registry import open_registry

__all__ = ["has_model", "is_prepared", "log_file", "one_interest_models"]


def log_file(settings: Settings) -> Path:
    """Return the file of the log behind the demo, in Mindstream's own format."""
    return settings.home / "log.parquet"


def one_interest_models(settings: Settings) -> Path:
    """Return the folder of the model with one interest, which the page compares with.

    No pointer of the other models names it.
    """
    return settings.home / "models-one"


def is_prepared(settings: Settings) -> bool:
    """Tell whether there is a model to serve and the log that it came from."""
    return has_model(settings) and log_file(settings).exists()


def has_model(settings: Settings) -> bool:
    """Tell whether a model was published."""
    return open_registry(settings.published, settings.cache).current_version() is not None
