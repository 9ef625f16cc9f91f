"""A registry over HTTP, and folders of schemas; what reads by them needs the extra `registry`."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.schema_registry import RegistryServer
from testbed.system_packages import PartMissing
from tests.stream.events.registry.opened import opened

if TYPE_CHECKING:  # the module needs the extra
    from stream.events.registry.reader import RegistryReader


@pytest.fixture(autouse=True)
def extra() -> None:
    if find_spec("fastavro") is None:
        raise PartMissing("the extra `registry` is not installed")


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer().serving() as served:
        yield served


@pytest.fixture
def reader(registry: RegistryServer) -> "RegistryReader":
    return opened(registry.url)


@pytest.fixture
def reader_of(tmp_path: Path) -> "Callable[[dict[str, str]], RegistryReader]":
    """Makes a reader of a folder with these files: path -> text."""

    def made(files: dict[str, str]) -> "RegistryReader":
        for name, text in files.items():
            file = tmp_path / "schemas" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return opened(str(tmp_path / "schemas"))

    return made
