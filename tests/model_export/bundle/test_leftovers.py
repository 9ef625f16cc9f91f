"""Links, leftovers and a damaged pointer in a registry: nothing of it holds up prune and rollback."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from model_export.bundle.bundle import Bundle, BundleError
from model_export.bundle.registry import LOCK, POINTER, Registry
from testbed.bad_bundles import copy_bundle


@pytest.fixture
def five(bundle: Bundle, tmp_path: Path) -> Registry:
    """A registry in which "a" to "e" became current one after the other; "a" and "d" are links to elsewhere."""
    registry = Registry(tmp_path / "models")
    registry.folder.mkdir()
    for version in "abcde":
        if version in "ad":
            elsewhere = copy_bundle(bundle, tmp_path / "elsewhere" / version)
            (registry.folder / version).symlink_to(elsewhere)
        else:
            copy_bundle(bundle, registry.folder / version)
        registry.point_to(version)
    return registry


def names(registry: Registry) -> set[str]:
    return {file.name for file in registry.folder.iterdir()} - {LOCK}


def test_of_a_link_the_link_is_removed(five: Registry) -> None:
    assert five.prune(1) == ["a", "b", "c"]
    assert names(five) == {POINTER, "d", "e"}
    Bundle(five.folder.parent / "elsewhere" / "a").verify()  # it is whole
    assert five.rollback().version == "d"
    assert five.pointer() == ["d"]


def test_a_link_to_nothing_goes_too(five: Registry) -> None:
    shutil.rmtree(five.folder.parent / "elsewhere" / "a")
    shutil.rmtree(five.folder.parent / "elsewhere" / "d")
    assert five.prune(1) == ["a", "b", "c"]  # d is what a rollback would go to, if it comes back
    with pytest.raises(BundleError, match="d is not a bundle"):
        five.rollback()
    five.promote("e")
    (five.folder / "f").symlink_to("nowhere")  # newer than what is kept: it may be on its way here
    five.write_pointer(["e"])
    assert five.prune(1) == ["d"]
    assert names(five) == {POINTER, "e", "f"}


def link_to_a_folder(path: Path) -> None:
    path.symlink_to(path.parent / "c")


def link_to_nothing(path: Path) -> None:
    path.symlink_to("nowhere")


def a_file(path: Path) -> None:
    path.write_text("x")


def closed_folder(path: Path) -> None:
    (path / "within" / "deeper").mkdir(parents=True)
    (path / "within" / "deeper" / "file").write_text("x")
    for folder in (path / "within" / "deeper", path / "within", path):
        folder.chmod(0)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [link_to_a_folder, link_to_nothing, a_file, closed_folder, a_pipe])
@pytest.mark.parametrize("name", [".removing-x", ".copying- \n\u20ac'$(x)*", ".pointer-z"])
def test_any_leftover_goes(make: Callable[[Path], None], name: str, five: Registry) -> None:
    make(five.folder / name)
    assert five.rollback().version == "d"
    assert names(five) == {POINTER, *"abcde"}
    five.open("c").verify()


def test_a_leftover_that_stays_is_said_and_holds_nobody_up(
    five: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as where another user left it: root, as which tests may run, could remove it."""
    (five.folder / ".removing-x").mkdir()

    def refuse(path: Path) -> None:
        raise PermissionError(f"Operation not permitted: {path}")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", refuse)
        assert five.prune(1) == ["a", "b", "c"]
        assert five.rollback().version == "d"
    assert ".removing-x is a leftover that cannot be removed (Operation not permitted" in caplog.text
    assert names(five) >= {POINTER, "d", "e", ".removing-x"}
    five.promote("e")
    assert names(five) == {POINTER, "d", "e"}


def test_what_is_no_bundle_is_left_alone(five: Registry) -> None:
    (five.folder / "0-a-file").write_text("x")
    (five.folder / "0 odd \n name").mkdir()
    shutil.copytree(five.folder / "c", five.folder / "0 odd" / "deeper")
    os.mkfifo(five.folder / "c" / "pipe")
    assert five.prune(2) == ["a", "b", "c"]
    assert names(five) == {POINTER, "d", "e", "0-a-file", "0 odd \n name", "0 odd"}
    os.mkfifo(five.folder / "e" / "pipe")
    assert five.promote("e").version == "e"  # nobody waits for whoever writes to the pipe


def test_two_prunes_at_once(five: Registry) -> None:
    removed: list[str] = []
    threads = [threading.Thread(target=lambda: removed.extend(five.prune(1))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(removed) == ["a", "b", "c"]
    assert names(five) == {POINTER, "d", "e"}


def folder_instead(pointer: Path) -> None:
    pointer.unlink()
    pointer.mkdir()


def dangling(pointer: Path) -> None:
    pointer.unlink()
    pointer.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (folder_instead, "CURRENT cannot be read: Is a directory; right is"),
        (dangling, "CURRENT cannot be read: No such file"),
        (lambda pointer: pointer.unlink(), "CURRENT names no version, so that what is served is not known"),
        (lambda pointer: pointer.write_bytes(b"\xff\x00\n"), "CURRENT names no version"),
        (lambda pointer: pointer.write_text("../models/e\n"), "CURRENT names no version"),
    ],
)
def test_with_a_damaged_pointer_nothing_is_removed(spoil: Callable[[Path], object], said: str, five: Registry) -> None:
    """Nobody knows what is served then; `promote` mends it."""
    spoil(five.folder / POINTER)
    with pytest.raises(BundleError, match=said):
        five.prune(1)
    assert names(five) >= {*"abcde"}
    assert five.promote("c").version == five.current_version() == "c"
    assert five.prune(1) == ["a", "b", "d"]


def test_a_pointer_that_is_a_link_becomes_a_file(five: Registry) -> None:
    (five.folder / POINTER).rename(five.folder.parent / "pointer")
    (five.folder / POINTER).symlink_to(five.folder.parent / "pointer")
    assert five.rollback().version == "d"
    assert not (five.folder / POINTER).is_symlink()
    assert (five.folder.parent / "pointer").read_text().split() == [*"edcba"]
    assert five.prune(1) == ["a", "b"]
