"""Homes of all kinds: a folder, a bucket in memory, and one behind a server that speaks S3."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from model_export.bundle import serving as following
from model_export.bundle.bundle import Bundle
from tests.support.s3_server import new_bucket, s3_server


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    with s3_server() as address:
        yield address


def empty_home(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    if kind == "folder":
        return str(folder / "models")
    if kind == "memory":
        return f"memory://{uuid.uuid4().hex[:8]}/bundles"
    return new_bucket(request.getfixturevalue("s3_address"), request.getfixturevalue("monkeypatch"))


@pytest.fixture(params=["folder", "memory", "s3"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty home of each kind."""
    return empty_home(request.param, request, tmp_path)


@pytest.fixture(params=["memory", "s3"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty home of each kind that is a url."""
    yield empty_home(request.param, request, tmp_path)
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def s3(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty home behind a server that speaks S3."""
    return empty_home("s3", request, tmp_path)


@pytest.fixture
def cache(tmp_path: Path) -> Callable[[str], Path]:
    """The cache folder of a host."""
    return lambda host: tmp_path / "caches" / host


@pytest.fixture
def quick_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever follows compare checksums alone: the full check, of which others are the tests, takes seconds."""

    def verify(bundle: Bundle, *_: Any) -> None:
        bundle.verify()

    monkeypatch.setattr(following, "check_in_child", verify)
