"""What every home of bundles does alike, be it a folder or a url; hosts share nothing but that."""

import mmap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mindstream import settings
from mindstream.commands.model import app
from model_export.bundle.bundle import Bundle, BundleError
from model_export.bundle.check import check
from model_export.bundle.extractor import Extractor
from model_export.bundle.homes.open_registry import open_registry
from model_export.bundle.registry import Registry
from model_export.bundle.serving import Serving
from testbed.bad_bundles import copy_bundle

Cache = Callable[[str], Path]


@pytest.fixture
def publisher(home: str, cache: Cache) -> Registry:
    return open_registry(home, cache("publisher"))


@pytest.fixture
def server(home: str, cache: Cache) -> Registry:
    """The same home, as another host sees it."""
    return open_registry(home, cache("server"))


@pytest.fixture
def three(publisher: Registry, bundle: Bundle, tmp_path: Path) -> Registry:
    """A home in which "a", "b" and "c" were published one after the other."""
    for version in "abc":
        publisher.publish(copy_bundle(bundle, tmp_path / version))
    return publisher


def test_before_the_first_publish_it_says_what_to_do(home: str, server: Registry) -> None:
    assert (server.pointer(), server.current_version(), server.versions()) == ([], None, [])
    with pytest.raises(BundleError, match=f"no model was published in {home}; `make demo`"):
        server.current()


def test_what_is_published_is_served_elsewhere_as_it_was(three: Registry, server: Registry, bundle: Bundle) -> None:
    assert (server.current_version(), server.versions()) == ("c", ["a", "b", "c"])
    opened = server.current()
    check(opened)
    assert opened.version == "c"
    for name in bundle.manifest.files:
        assert (opened.path / name).read_bytes() == (bundle.path / name).read_bytes()
    opened.map_files()
    assert isinstance(opened.item_embeddings.base, np.memmap | mmap.mmap)  # processes of a host share it


def test_rollback_promote_and_back(three: Registry, server: Registry) -> None:
    assert three.rollback().version == server.current_version() == "b"
    assert three.promote("a").version == server.current_version() == "a"
    assert server.pointer() == ["a", "b"]
    assert three.rollback().version == "b"
    with pytest.raises(BundleError, match=r"CURRENT names no bundle that was current before b; .* promote VERSION"):
        three.rollback()
    assert server.pointer() == ["b"]


@pytest.mark.parametrize("version", ["../a", "", ".hidden", "a/b", "CURRENT", "none"])
def test_what_is_no_bundle_is_not_promoted(version: str, three: Registry) -> None:
    with pytest.raises(BundleError, match=r"is no version: right are letters|none is not a bundle: "):
        three.promote(version)
    assert three.pointer() == ["c", "b", "a"]


def test_a_version_is_published_once(three: Registry, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="c exists already; a version is published once"):
        three.publish(copy_bundle(bundle, tmp_path / "again" / "c"))
    three.current()


def test_prune_keeps_the_newest_the_current_and_the_one_before(
    three: Registry, server: Registry, bundle: Bundle, tmp_path: Path
) -> None:
    for version in "de":
        three.publish(copy_bundle(bundle, tmp_path / version))
    three.promote("a")
    assert three.prune(1) == ["b", "c", "d"]
    assert server.pointer() == ["a", "e"]
    assert server.versions() == ["a", "e"]
    assert three.prune(1) == []


def test_a_bad_bundle_leaves_the_old_one_current(
    three: Registry, server: Registry, bundle: Bundle, tmp_path: Path
) -> None:
    bad = copy_bundle(bundle, tmp_path / "d")
    (bad / "golden.json").write_text("[]")
    with pytest.raises(BundleError, match=r"golden\.json has 2 bytes"):
        three.publish(bad)
    assert (server.current_version(), server.versions()) == ("c", ["a", "b", "c"])


@pytest.mark.usefixtures("quick_check")
def test_whoever_follows_takes_each_version_over_whole(
    three: Registry, server: Registry, bundle: Bundle, tmp_path: Path
) -> None:
    """Every object that is made is of the version that the pointer named, and of that alone."""
    made: list[tuple[str, str]] = []

    def make(one: Bundle) -> Extractor:
        made.append((one.version, one.path.name))
        return Extractor(one)

    serving = Serving(server, make)
    assert not serving.look()
    three.publish(copy_bundle(bundle, tmp_path / "d"))
    assert serving.look()
    three.rollback()
    assert serving.look()
    assert made == [("c", "c"), ("d", "d"), ("c", "c")]
    assert (serving.version, serving.trouble, server.home.pointer_seen()[0]) == ("c", None, "c")
    assert serving.current.encode([bundle.item_ids[:3]])


@pytest.mark.usefixtures("quick_check")
def test_a_pointer_to_nothing_is_refused_and_the_old_one_goes_on(three: Registry, server: Registry) -> None:
    refused: list[tuple[str, str]] = []
    serving = Serving(server, Extractor, lambda version, error: refused.append((version, str(error))))
    three.write_pointer(["z", "c"])
    assert not serving.look()
    assert not serving.look()
    assert serving.version == "c"
    [(version, fault)] = refused
    assert version == "z"
    assert "z is not a bundle: " in fault


def test_the_command_line(home: str, three: Registry, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINDSTREAM_BUNDLES", home)
    monkeypatch.setenv("MINDSTREAM_CACHE", str(cache("shell")))
    settings.load.cache_clear()

    def say(*arguments: str) -> str:
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    try:
        rows = say("list").splitlines()[2:]
        assert [row.split()[:2] for row in rows] == [["c", "current"], ["b", "before"], ["a", "steady"]]
        assert say("promote", "a") == "current model: a\n"
        assert say("rollback", "--bundles", home) == "current model: c\n"
        assert say("show", "b").splitlines()[0].endswith("/b")
        assert say("prune", "--keep", "1", "--models", home) == "removed: a\n"
    finally:
        settings.load.cache_clear()


def test_what_was_removed_is_no_version(three: Registry) -> None:
    three.home.remove("b")
    assert three.versions() == ["a", "c"]
    assert [three.is_whole(version) for version in "abc"] == [True, False, True]
    assert three.home.stamps("c")
    assert not three.home.stamps("b")
