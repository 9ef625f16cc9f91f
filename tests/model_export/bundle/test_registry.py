"""Publishing: whole or not at all, and the pointer never leads to anything else."""

import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mindstream.commands.model import app
from model_export.bundle.bundle import (
    GOLDEN,
    ITEM_EMBEDDINGS,
    Bundle,
    BundleError,
    describe_file,
    write_manifest,
)
from model_export.bundle.check import check
from model_export.bundle.items.arrow_files import FILES
from model_export.bundle.lock import locked
from model_export.bundle.registry import LOCK, POINTER, Registry

ROOT = Path(__file__).parents[3]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def another_version(bundle: Bundle, path: Path) -> Path:
    """The same bundle under the version that is the folder's name."""
    shutil.copytree(bundle.path, path)
    write_manifest(path, replace(bundle.manifest, version=path.name))
    return path


def contents(registry: Registry) -> set[str]:
    """What is in the folder, the lock apart."""
    return {entry.name for entry in registry.folder.iterdir()} - {LOCK}


def test_before_the_first_publish_it_says_what_to_do(registry: Registry) -> None:
    assert registry.current_version() is None
    with pytest.raises(
        BundleError, match=r"no model was published in .*models; `make demo` or `mindstream model publish`"
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
    (bad / FILES.items).write_text("{}")
    with pytest.raises(BundleError, match=re.escape(f"{bad / FILES.items} has 2 bytes")):
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
    copyfile = shutil.copyfile

    def fail(source: Path, destination: Path) -> None:
        copyfile(source, destination)
        if source.name != GOLDEN:
            return
        if fault == "the disk is full":
            raise OSError("no space left on device")
        if fault == "killed":
            raise Killed
        destination.write_bytes(destination.read_bytes()[:-1])

    later = another_version(bundle, tmp_path / "later")
    monkeypatch.setattr("model_export.bundle.homes.folder.shutil.copyfile", fail)
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

    monkeypatch.setattr("model_export.bundle.homes.folder.os.replace", fail)
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


@pytest.mark.parametrize("name", ["item_embeddings.npy", *FILES, "features.npz"])
def test_a_damaged_bundle_is_not_served(name: str, registry: Registry, bundle: Bundle) -> None:
    published = registry.publish(bundle.path)
    (published.path / name).write_bytes(b"")
    with pytest.raises(BundleError, match=rf"{name} has 0 bytes; the manifest says \d+"):
        registry.current()


def test_files_that_the_manifest_does_not_list_stay_behind(registry: Registry, bundle: Bundle, tmp_path: Path) -> None:
    exported = another_version(bundle, tmp_path / "own")
    (exported / "notes.txt").write_text("not for serving")
    published = registry.publish(exported)
    assert {file.name for file in published.path.iterdir()} == {*bundle.manifest.files, "manifest.json"}


# Back and forth


@pytest.fixture
def three(registry: Registry, bundle: Bundle, tmp_path: Path) -> Registry:
    """A registry in which "a", "b" and "c" were published one after the other."""
    for version in "abc":
        registry.publish(another_version(bundle, tmp_path / version))
    return registry


def test_rollback_goes_to_what_was_current_before(three: Registry) -> None:
    assert three.rollback().version == three.current_version() == "b"
    assert three.rollback().version == "a"
    with pytest.raises(BundleError, match="CURRENT names no bundle that was current before a"):
        three.rollback()
    assert three.current_version() == "a"


def test_promote_makes_current_what_is_there(three: Registry) -> None:
    assert three.promote("a").version == three.current_version() == "a"
    assert three.promote("a").path == three.folder / "a"  # once more changes nothing
    assert three.pointer() == ["a", "c", "b"]
    assert three.rollback().version == "c"


def test_what_was_brought_by_any_means_is_promoted(three: Registry, bundle: Bundle) -> None:
    another_version(bundle, three.folder / "d")
    assert three.current_version() == "c"
    assert three.promote("d").version == three.current_version() == "d"


def test_a_rollback_to_a_damaged_bundle_is_refused(three: Registry) -> None:
    (three.folder / "b" / GOLDEN).write_text("[]")
    with pytest.raises(BundleError, match=r"b/golden\.json has 2 bytes"):
        three.rollback()
    assert three.pointer() == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("version", "fault"),
    [
        *((name, "is no version: right are letters") for name in ("../a", "", ".", "..", ".hidden", "a/b", POINTER)),
        ("none", "is not a bundle: there is no such folder; `mindstream model list` shows"),
        ("nothing", "is not a bundle: it is a link to gone, where nothing is"),
        ("half", r"half/golden\.json is missing"),
        ("moved", r"moved holds bundle a; a folder is called as the version in it"),
    ],
)
def test_what_cannot_be_promoted_is_refused(version: str, fault: str, three: Registry) -> None:
    shutil.copytree(three.folder / "a", three.folder / "half", ignore=shutil.ignore_patterns(GOLDEN))
    half = Bundle(three.folder / "half")
    write_manifest(half.path, replace(half.manifest, version="half"))
    shutil.copytree(three.folder / "a", three.folder / "moved")
    (three.folder / "nothing").symlink_to("gone")
    (three.folder.parent / "a").mkdir(exist_ok=True)
    with pytest.raises(BundleError, match=fault):
        three.promote(version)
    with pytest.raises(BundleError, match=fault):
        three.promote(str(three.folder / "a") if version == "" else version)
    assert three.pointer() == ["c", "b", "a"]


def test_a_bundle_whose_version_is_a_path_is_not_published(registry: Registry, bundle: Bundle, tmp_path: Path) -> None:
    path = shutil.copytree(bundle.path, tmp_path / "path")
    write_manifest(path, replace(bundle.manifest, version="../outside"))
    with pytest.raises(BundleError, match=r"manifest\.json: version is '\.\./outside'; right is 1 to 128 letters"):
        registry.publish(path)
    assert not registry.folder.exists()


def test_a_pointer_that_leads_elsewhere_is_not_followed(three: Registry) -> None:
    (three.folder / POINTER).write_bytes(b"../models/a\n\xff\n")
    with pytest.raises(BundleError, match=r"'\.\./models/a' is no version"):
        three.current()


def test_a_wrong_number_is_refused_by_the_full_check(three: Registry, bundle: Bundle, tmp_path: Path) -> None:
    """Its files are as the manifest lists them, so that only the full check sees it."""
    path = another_version(bundle, tmp_path / "d")
    items = np.load(path / ITEM_EMBEDDINGS)
    items[5, 5] = np.nan
    np.save(path / ITEM_EMBEDDINGS, items)
    files = {**bundle.manifest.files, ITEM_EMBEDDINGS: describe_file(path / ITEM_EMBEDDINGS)}
    write_manifest(path, replace(Bundle(path).manifest, files=files))
    with pytest.raises(BundleError, match=r"item_embeddings\.npy holds NaN"):
        Registry(three.folder, check).publish(path)
    assert three.current_version() == "c"


# Pruning


def test_prune_keeps_the_newest_the_current_and_the_one_before(three: Registry, bundle: Bundle, tmp_path: Path) -> None:
    for version in "defg":
        three.publish(another_version(bundle, tmp_path / version))
    three.promote("a")
    three.promote("b")
    assert three.prune(2) == ["c", "d", "e"]
    assert three.versions() == ["a", "b", "f", "g"]
    assert three.pointer() == ["b", "a", "g", "f"]
    assert three.prune(2) == []
    assert three.prune(1) == ["f"]
    assert contents(three) == {POINTER, "a", "b", "g"}


def test_prune_leaves_alone_what_is_not_whole(three: Registry, bundle: Bundle) -> None:
    coming = another_version(bundle, three.folder / "0-coming")
    content = (coming / GOLDEN).read_bytes()
    (coming / GOLDEN).write_bytes(content[:100])
    assert three.prune(1) == ["a"]
    (coming / GOLDEN).write_bytes(content)
    assert three.prune(1) == ["0-coming"]


def test_a_change_removes_what_was_cut_off(three: Registry, bundle: Bundle, tmp_path: Path) -> None:
    for leftover in (".copying-x", ".removing-y"):
        shutil.copytree(bundle.path, three.folder / leftover)
    (three.folder / ".pointer-z").write_text("a")
    three.prune(3)
    assert contents(three) == {POINTER, "a", "b", "c"}


# Several at once, and the worst that can happen to one


PUBLISH = """
import sys
from pathlib import Path
from model_export.bundle.registry import Registry

sys.stdin.readline()
print(Registry(Path(sys.argv[1])).publish(Path(sys.argv[2])).version)
"""


def test_several_publish_at_once(registry: Registry, bundle: Bundle, tmp_path: Path) -> None:
    paths = [another_version(bundle, tmp_path / version) for version in ("a", "b", "c")]
    with ExitStack() as stack:
        processes = [stack.enter_context(publishing_process(registry, path)) for path in [*paths, paths[0]]]
        for process in processes:  # they are all started by now
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=240) for process in processes]
    assert sorted(out for out, _ in said) == ["", "a\n", "b\n", "c\n"]
    [twice] = [error for out, error in said if not out]
    assert "a exists already; a version is published once" in twice
    assert sorted(registry.pointer()) == ["a", "b", "c"]
    assert contents(registry) == {POINTER, "a", "b", "c"}
    for version in "abc":
        registry.open(version).verify()


def publishing_process(registry: Registry, path: Path) -> subprocess.Popen[str]:
    """A process that publishes a bundle once it is told to."""
    command, pipe = [sys.executable, "-c", PUBLISH, str(registry.folder), str(path)], subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_whoever_waits_says_so(three: Registry, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="model_export")
    waiting = threading.Thread(target=three.promote, args=("a",))
    with locked(three.folder / LOCK, lambda: None):
        waiting.start()
        while "waiting: another process is changing" not in caplog.text:
            assert waiting.is_alive()
        assert three.current_version() == "c"
    waiting.join()
    assert three.current_version() == "a"


KILLED = """
import os, signal, sys
from pathlib import Path
from model_export.bundle.registry import Registry

folder, path, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
seen = 0

def count(event, arguments):
    global seen
    if event.split(".")[0] in ("open", "os", "shutil", "tempfile") and folder in str(arguments):
        seen += 1
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)

registry = Registry(Path(folder))
sys.addaudithook(count)
registry.publish(Path(path))
print(seen)
"""


def publish_until(registry: Registry, path: Path, last: int) -> subprocess.CompletedProcess[str]:
    """Publish in a process of its own, killed at the nth time that it touches something in the registry."""
    command = [sys.executable, "-c", KILLED, str(registry.folder), str(path), str(last)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)


def test_killed_at_any_moment_the_current_bundle_is_whole(registry: Registry, bundle: Bundle, tmp_path: Path) -> None:
    registry.publish(another_version(bundle, tmp_path / "v0"))
    whole = publish_until(registry, another_version(bundle, tmp_path / "v1"), 0)
    moments = int(whole.stdout)
    assert moments > 30, whole.stderr
    seen = set()
    for number, last in enumerate([*range(1, moments, moments // 8), moments - 2, moments - 1, moments], start=2):
        before, path = registry.current_version(), another_version(bundle, tmp_path / f"v{number}")
        done = publish_until(registry, path, last)
        assert done.returncode == -signal.SIGKILL, done.stderr
        now = registry.current_version()
        assert now in (before, path.name)
        registry.current()  # compares all checksums
        seen.add((now == path.name, path.name in registry.versions()))
    assert seen == {(False, False), (False, True), (True, True)}  # before, between and after the two renames
    registry.prune(keep=1)
    assert contents(registry) == {POINTER, *registry.versions()}
    assert registry.publish(another_version(bundle, tmp_path / "w")).version == registry.current_version() == "w"


# The command line


def say(registry: Registry, *arguments: str) -> str:
    done = CliRunner().invoke(app, [*arguments, "--models", str(registry.folder)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_the_commands(three: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    header, _, *rows = say(three, "list").splitlines()
    assert header.split()[:2] == ["version", "model"]
    assert [row.split()[:2] for row in rows] == [["c", "current"], ["b", "before"], ["a", "steady"]]
    (three.folder / "b" / "manifest.json").write_text("{")
    assert say(three, "list").splitlines()[3].split() == ["b", "before,", "damaged"]
    assert say(three, "promote", "a") == "current model: a\n"
    assert say(three, "rollback") == "current model: c\n"
    assert say(three, "show").startswith(
        f"{three.folder / 'c'}\nindex: exact\nbehaviours: not recorded\n\n# steady, version "
    )
    assert say(three, "show", "a").startswith(f"{three.folder / 'a'}\n")
    assert say(three, "prune", "--keep", "1") == "removed: a\n"
    assert say(Registry(three.folder / "none"), "list") == ""
