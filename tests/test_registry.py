"""Publishing: whole or not at all, and the pointer never leads to anything else."""

import re
import shutil
import stat
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_export import registry as publishing
from model_export.bundle import (
    CATALOGUE,
    GOLDEN,
    Bundle,
    BundleError,
    write_manifest,
)
from model_export.check import check
from model_export.registry import POINTER, Registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def another_version(bundle: Bundle, path: Path) -> Path:
    """The same bundle under the version that is the folder's name."""
    shutil.copytree(bundle.path, path)
    write_manifest(path, replace(bundle.manifest, version=path.name))
    return path


def contents(registry: Registry) -> set[str]:
    return {entry.name for entry in registry.folder.iterdir()}


def test_before_the_first_publish_it_says_what_to_do(registry: Registry) -> None:
    assert registry.current_version() is None
    with pytest.raises(
        BundleError, match=r"no model was published in .*models; `make demo` or `python -m model_export publish`"
    ):
        registry.current()


def test_publishing_copies_a_bundle_and_points_to_it(registry: Registry, bundle: Bundle, tmp_path: Path) -> None:
    exported = another_version(bundle, tmp_path / bundle.version)
    exported.chmod(0o700)
    published = registry.publish(exported)
    assert published.path == registry.current().path == registry.folder / bundle.version
    assert (registry.folder / POINTER).read_text() == f"{bundle.version}\n"
    check(registry.current())
    assert stat.S_IMODE(published.path.stat().st_mode) == 0o755  # an updater may run as another user
    assert stat.S_IMODE((registry.folder / POINTER).stat().st_mode) == 0o644
    later = another_version(bundle, tmp_path / "21000101T000000Z-0001")
    assert registry.publish(later).version == registry.current_version() == later.name
    assert contents(registry) == {POINTER, bundle.version, later.name}


def test_a_version_is_published_once(registry: Registry, bundle: Bundle, tmp_path: Path) -> None:
    registry.publish(bundle.path)
    with pytest.raises(BundleError, match=f"{bundle.version} exists already; a version is published once"):
        registry.publish(another_version(bundle, tmp_path / bundle.version))
    check(registry.current())


def test_a_published_version_can_be_pointed_to_again(registry: Registry, bundle: Bundle, tmp_path: Path) -> None:
    first = registry.publish(bundle.path)
    registry.publish(another_version(bundle, tmp_path / "later"))
    registry.publish(first.path)
    assert registry.current_version() == bundle.version


def test_a_bad_bundle_leaves_the_old_one_current(registry: Registry, bundle: Bundle, tmp_path: Path) -> None:
    registry.publish(bundle.path)
    bad = another_version(bundle, tmp_path / "bad")
    (bad / CATALOGUE).write_text("{}")
    with pytest.raises(BundleError, match=re.escape(f"{bad / CATALOGUE} has 2 bytes")):
        registry.publish(bad)
    assert registry.current_version() == bundle.version
    assert contents(registry) == {POINTER, bundle.version}


class Killed(BaseException):
    """What no `except Exception` catches."""


@pytest.mark.parametrize("fault", ["the disk is full", "a byte is lost", "killed"])
def test_a_copy_that_fails_is_never_seen(
    fault: str, registry: Registry, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.publish(bundle.path)
    copytree = shutil.copytree

    def fail(source: Path, destination: Path, **options: Any) -> None:
        copytree(source, destination, **options)
        if fault == "the disk is full":
            raise OSError("no space left on device")
        if fault == "killed":
            raise Killed
        (destination / GOLDEN).write_bytes((destination / GOLDEN).read_bytes()[:-1])

    later = another_version(bundle, tmp_path / "later")
    monkeypatch.setattr(publishing.shutil, "copytree", fail)
    with pytest.raises((OSError, Killed, BundleError)):
        registry.publish(later)
    assert contents(registry) == {POINTER, bundle.version}
    assert registry.current_version() == bundle.version
    monkeypatch.undo()
    assert registry.publish(later).version == registry.current_version() == "later"


def test_leftovers_of_an_interrupted_copy_are_no_version(registry: Registry, bundle: Bundle) -> None:
    shutil.copytree(bundle.path, registry.folder / ".copying-abc", ignore=shutil.ignore_patterns(GOLDEN))
    assert registry.current_version() is None
    assert registry.publish(bundle.path).path == registry.folder / bundle.version
    check(registry.current())


def test_the_pointer_is_replaced_whole(registry: Registry, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.publish(bundle.path)

    def fail(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(publishing.os, "replace", fail)
    with pytest.raises(Killed):
        registry.point_to("another version that is longer")
    assert registry.current_version() == bundle.version


def test_readers_see_the_old_or_the_new_version(registry: Registry) -> None:
    registry.folder.mkdir()
    versions = ["short", "a version of many letters"]
    registry.point_to(versions[0])
    seen: set[str | None] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(registry.current_version())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(200):
        registry.point_to(versions[turn % 2])
    done.set()
    reader.join()
    assert seen <= set(versions)
    assert len(seen) == 2


@pytest.mark.parametrize("name", ["item_embeddings.npy", "item_ids.json", "catalogue.json", "features.npz"])
def test_a_damaged_bundle_is_not_served(name: str, registry: Registry, bundle: Bundle) -> None:
    published = registry.publish(bundle.path)
    (published.path / name).write_bytes(b"")
    with pytest.raises(BundleError, match=rf"{name} has 0 bytes; the manifest says \d+"):
        registry.current()
