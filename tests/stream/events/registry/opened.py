"""A reader by settings, as every process opens it."""

from typing import TYPE_CHECKING

from mindstream.settings import Settings
from stream.events.registry.open_registry import open_registry

if TYPE_CHECKING:  # the module needs the extra `registry`
    from stream.events.registry.reader import RegistryReader


def opened(where: str, **settings: object) -> "RegistryReader":
    found = open_registry(Settings.model_validate({"schema_registry": where, **settings}))
    assert found is not None
    return found
