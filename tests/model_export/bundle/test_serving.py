"""Serving: what the pointer names is served once it is found good, and nothing else ever changes what is served."""

import gc
import logging
import os
import shutil
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from index.api.server import warm
from index.catalogue.lmdb_overlay import LmdbOverlayStore
from index.catalogue.overlay import Overlay
from index.recommend.recommender import Recommender
from index.search.hnsw import HnswSettings
from index.search.index_files import build_index
from model_export.bundle import serving as following
from model_export.bundle.bundle import MODEL_CARD, Bundle, BundleError
from model_export.bundle.check.child import check_in_child
from model_export.bundle.extractor import Extractor
from model_export.bundle.registry import POINTER, Registry
from model_export.bundle.serving import Serving
from stream.store.lmdb_store import LmdbStore
from testbed.bad_bundles import BAD_BUNDLES, copy_bundle
from testbed.stream_process import wait_until


class Followed:
    """A registry with a good current bundle, what is served of it, and what was refused."""

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        self.bundle, self.folder = bundle, folder
        self.registry = Registry(folder)
        self.registry.publish(copy_bundle(bundle, folder.parent / "first"))
        self.refused: list[tuple[str, str]] = []
        self.made: list[str] = []
        self.serving = Serving(
            self.registry, self.make, lambda version, error: self.refused.append((version, str(error)))
        )

    def make(self, bundle: Bundle) -> Extractor:
        self.made.append(bundle.version)
        return Extractor(bundle)

    def bring(self, version: str) -> Path:
        """A good bundle among the published ones, which nothing points to yet."""
        return copy_bundle(self.bundle, self.folder / version)

    def point_to(self, version: str) -> None:
        self.registry.point_to(version)

    def still_serves(self, version: str) -> None:
        assert self.serving.version == self.serving.current.bundle.version == version
        self.serving.current.encode([self.bundle.item_ids[:3]])


@pytest.fixture
def followed(bundle: Bundle, tmp_path: Path) -> Followed:
    return Followed(bundle, tmp_path / "models")


def test_it_follows_the_pointer_forth_and_back(followed: Followed, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "model_export")
    followed.bring("second")
    assert not followed.serving.look()  # brought, but not current
    followed.point_to("second")
    assert followed.serving.look()
    followed.still_serves("second")
    assert not followed.serving.look()
    followed.point_to("first")  # a rollback
    assert followed.serving.look()
    followed.still_serves("first")
    assert followed.made == ["first", "second", "first"]
    assert "bundle second is served now" in caplog.text
    assert followed.refused == []


def test_a_rollback_checks_only_what_was_written_since(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that leaves size and time of change as they were is noticed too: the time of the inode tells."""
    checked: list[str] = []

    def noted(bundle: Bundle, stopping: Callable[[], bool]) -> None:
        checked.append(bundle.version)
        check_in_child(bundle, stopping)

    monkeypatch.setattr(following, "check_in_child", noted)
    followed.bring("second")
    for version in ("second", "first", "second"):
        followed.point_to(version)
        assert followed.serving.look()
        followed.still_serves(version)
    assert checked == ["second"]  # the first one was at the start
    card = followed.folder / "first" / MODEL_CARD
    before, content = card.stat(), card.read_bytes()
    card.write_bytes(content[::-1])
    os.utime(card, ns=(before.st_atime_ns, before.st_mtime_ns))
    followed.point_to("first")
    assert not followed.serving.look()
    followed.still_serves("second")
    assert checked == ["second", "first"]
    assert "model_card.md was changed" in followed.refused[-1][1]


def test_a_bundle_that_is_written_while_it_is_checked_is_checked_again(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, checked = followed.bring("second"), []

    def written_meanwhile(bundle: Bundle, _: Callable[[], bool]) -> None:
        checked.append(bundle.version)
        (path / MODEL_CARD).touch()

    monkeypatch.setattr(following, "check_in_child", written_meanwhile)
    for version in ("second", "first", "second"):
        followed.point_to(version)
        assert followed.serving.look()
    assert checked == ["second", "second"]


def test_every_bad_bundle_is_refused_by_name(followed: Followed, caplog: pytest.LogCaptureFixture) -> None:
    served = followed.serving.current
    for number, bad in enumerate(BAD_BUNDLES.values()):
        version = f"bad-{number}"
        bad.spoil(followed.bring(version))
        followed.point_to(version)
        for _ in range(3):
            assert not followed.serving.look()
        assert followed.serving.current is served
        followed.still_serves("first")
        refused, fault = followed.refused[-1]
        assert refused == version
        assert bad.said in fault
        assert caplog.text.count(f"bundle {version} is refused, first goes on: ") == 1
    assert len(followed.refused) == len(BAD_BUNDLES)


@pytest.mark.parametrize("kind", ["not there", "half-written", "with a graph of another item table"])
def test_a_refused_bundle_is_served_once_it_is_whole(kind: str, followed: Followed) -> None:
    BAD_BUNDLES[kind].spoil(followed.bring("second"))
    followed.point_to("second")
    assert not followed.serving.look()
    shutil.rmtree(followed.folder / "second", ignore_errors=True)
    followed.bring("second")
    assert [followed.serving.look() for _ in range(3)] == [False, True, False]  # first it is seen to have changed
    followed.still_serves("second")


@pytest.mark.parametrize("kind", ["tampered with", "failing its golden histories", "of another version"])
def test_a_bad_bundle_is_not_served_at_the_start_either(kind: str, followed: Followed) -> None:
    BAD_BUNDLES[kind].spoil(followed.folder / "first")
    with pytest.raises(BundleError, match=BAD_BUNDLES[kind].said):
        Serving(followed.registry, Extractor)


def write_pointer(content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / POINTER).write_bytes(content)


def pointer_is_a_folder(folder: Path) -> None:
    (folder / POINTER).unlink()
    (folder / POINTER).mkdir()


BAD_POINTERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (write_pointer(b"\n"), "names no version; right is the name of a folder beside it"),
    "above": (write_pointer(b"../second"), "says '../second'; right is"),
    "absolute": (write_pointer(b"/tmp/second"), "says '/tmp/second'; right is"),
    "below": (write_pointer(b"first/second"), "says 'first/second'; right is"),
    "itself": (write_pointer(b"."), "says '.'; right is"),
    "a copy that is not whole": (write_pointer(b".copying-second"), "says '.copying-second'; right is"),
    "a null": (write_pointer(b"sec\0nd"), r"says 'sec\x00nd'; right is"),
    "long": (write_pointer(b"x" * 5_000), "says 'xxxxxxxxxxxxxxxxxxxx"),
    "no text": (write_pointer(b"\xff\xfe"), "right is the name of a folder"),
    "a folder": (pointer_is_a_folder, "Is a directory"),
    "gone": (lambda folder: (folder / POINTER).unlink(), "names no version"),
    "all gone": (lambda folder: folder.rename(folder.with_name("away")), "names no version"),
}


@pytest.mark.parametrize(("spoil", "said"), BAD_POINTERS.values(), ids=list(BAD_POINTERS))
def test_a_pointer_to_nothing_changes_nothing(spoil: Callable[[Path], object], said: str, followed: Followed) -> None:
    spoil(followed.folder)
    for _ in range(3):
        assert not followed.serving.look()
    followed.still_serves("first")
    [(_, fault)] = followed.refused
    assert said in fault
    mend(followed.folder)
    followed.bring("second")
    followed.point_to("second")
    assert followed.serving.look()


def mend(folder: Path) -> None:
    """Let there be a folder with a pointer again."""
    folder.mkdir(exist_ok=True)
    if (folder / POINTER).is_dir():
        (folder / POINTER).rmdir()
    Registry(folder).point_to("first")


@pytest.mark.parametrize("error", [MemoryError("no room"), RuntimeError("broken"), BundleError("no index")])
def test_whatever_making_raises_is_a_refusal(error: Exception, followed: Followed) -> None:
    def fail(bundle: Bundle) -> Extractor:
        raise error

    followed.bring("second")
    followed.point_to("second")
    followed.serving.make = fail
    assert not followed.serving.look()
    followed.still_serves("first")
    [(version, fault)] = followed.refused
    assert version == "second"
    assert str(error) in fault


def test_files_may_come_behind_the_pointer(followed: Followed, tmp_path: Path) -> None:
    """While they come nothing is read; that they are all there is found when they keep still."""
    whole = copy_bundle(followed.bundle, tmp_path / "second")
    tried: list[str] = []
    checked = followed.serving.check_and_make

    def made_of(bundle: Bundle) -> Extractor:
        tried.append(bundle.version)
        return checked(bundle)

    followed.serving.check_and_make = made_of  # type: ignore[method-assign]
    followed.point_to("second")
    (followed.folder / "second").mkdir()
    shutil.copy(whole / "manifest.json", followed.folder / "second")
    assert not followed.serving.look()
    assert tried == ["second"]
    for file in sorted(whole.iterdir()):
        shutil.copy(file, followed.folder / "second")
        assert not followed.serving.look()
    assert tried == ["second"]
    assert followed.serving.look()
    assert tried == ["second"] * 2
    assert len(followed.refused) == 1


def test_after_a_time_it_is_tried_again_though_no_file_looks_changed(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as where the memory was short."""
    followed.bring("second")
    followed.point_to("second")
    making = followed.serving.make

    def fail(bundle: Bundle) -> Extractor:
        raise MemoryError("no room")

    followed.serving.make = fail
    assert not followed.serving.look()
    followed.serving.make = making
    assert not followed.serving.look()
    monkeypatch.setattr(following, "TRY_AGAIN_S", 0.0)
    assert followed.serving.look()


@pytest.mark.parametrize(("moved_to", "served"), [("third", "third"), ("first", "first")])
def test_a_pointer_that_moves_on_while_a_bundle_is_loaded(moved_to: str, served: str, followed: Followed) -> None:
    followed.bring("second")
    followed.bring("third")
    followed.point_to("second")
    making = followed.serving.make

    def make(bundle: Bundle) -> Extractor:
        if bundle.version == "second":
            followed.point_to(moved_to)
        return making(bundle)

    followed.serving.make = make
    assert not followed.serving.look()
    followed.still_serves("first")
    followed.serving.look()
    followed.still_serves(served)


def test_the_old_one_is_dropped_at_once_without_looking_for_garbage(bundle: Bundle, tmp_path: Path) -> None:
    """Nothing that is served holds itself: an updater looks for cycles seldom, and the files would stay mapped."""
    registry = Registry(tmp_path / "models")
    first = build_index(Bundle(copy_bundle(bundle, tmp_path / "first")), "hnsw", HnswSettings(ef=40), progress=False)
    registry.publish(first.path)
    with LmdbStore(tmp_path / "state") as store, LmdbOverlayStore(tmp_path / "items") as items:
        overlay = Overlay(items)
        serving = Serving(registry, lambda bundle: warm(Recommender(bundle, store, overlay)))
        served = serving.current
        served.catalogue.put(served.catalogue.base.item(3))
        served.recommend("ann", 5, where={"category": {served.bundle.catalogue.category[3]}})
        parts = (served, served.bundle, served.bundle.items, served.extractor, served.index, served.catalogue.current)
        old = [weakref.ref(one) for one in parts]
        del served, parts
        with without_garbage_collection():
            registry.publish(copy_bundle(bundle, tmp_path / "second"))
            assert serving.look()
            assert [one() for one in old] == [None] * 6


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """As in an updater, which looks for cycles seldom."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_the_thread_lives_on(followed: Followed) -> None:
    def shout(version: str, error: BundleError) -> None:
        raise RuntimeError("whoever wants to know of refusals is broken")

    followed.serving.refused = shout
    with followed.serving as serving:
        for spoil, _ in BAD_POINTERS.values():
            spoil(followed.folder)
            serving.stop.wait(0.01)
            mend(followed.folder)
        followed.point_to("nowhere")
        wait_until(lambda: serving.refusal and serving.refusal.version == "nowhere", "nowhere is refused")
        followed.bring("second")
        followed.point_to("second")
        wait_until(lambda: serving.version == "second", "the second is served")
    assert not serving.thread.is_alive()
