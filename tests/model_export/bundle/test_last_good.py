"""Where the current bundle must not be served, what starts serves the last good one before it, and says so."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mindstream.commands.model import app
from model_export.bundle.bundle import GOLDEN, ITEM_EMBEDDINGS, MANIFEST, Bundle, BundleError
from model_export.bundle.extractor import Extractor
from model_export.bundle.last_good import last_good, open_last_good
from model_export.bundle.registry import POINTER, Registry
from model_export.bundle.serving import Serving
from testbed.bad_bundles import copy_bundle


@pytest.fixture
def three(bundle: Bundle, tmp_path: Path) -> Registry:
    """A registry in which "a", "b" and "c" became current one after the other."""
    registry = Registry(tmp_path / "models")
    for version in "abc":
        copy_bundle(bundle, registry.folder / version)
        registry.point_to(version)
    return registry


def cut(registry: Registry, version: str, name: str = ITEM_EMBEDDINGS) -> None:
    """Cut a file of a bundle short, as a disk that is full does."""
    os.truncate(registry.folder / version / name, 100)


def served(registry: Registry) -> str:
    return last_good(registry, lambda bundle: bundle.verify()).version


def test_the_last_good_one_is_served_from_the_start(three: Registry, caplog: pytest.LogCaptureFixture) -> None:
    whole = (three.folder / "c" / ITEM_EMBEDDINGS).read_bytes()
    cut(three, "c")
    told: list[tuple[str, str]] = []
    serving = Serving(three, Extractor, lambda version, fault: told.append((version, str(fault))))
    assert serving.version == serving.current.bundle.version == "b"
    [(version, fault)] = told
    assert (version, f"c/{ITEM_EMBEDDINGS} has 100 bytes" in fault) == ("c", True)
    assert serving.trouble == f"bundle c is refused, b is served: {fault}"
    assert "bundle b is served from the start: the last good one that was current before" in caplog.text
    assert three.pointer() == ["c", "b", "a"]
    assert not serving.look()
    (three.folder / "c" / ITEM_EMBEDDINGS).write_bytes(whole)
    assert [serving.look() for _ in range(2)] == [False, True]  # first it is seen to have changed
    assert serving.version == "c"
    assert serving.trouble is None
    assert len(told) == 1


def test_they_are_tried_in_the_order_in_which_they_were_current(three: Registry) -> None:
    assert served(three) == "c"
    cut(three, "c", GOLDEN)
    assert served(three) == "b"
    (three.folder / "b" / MANIFEST).unlink()
    assert served(three) == "a"
    cut(three, "a", MANIFEST)
    with pytest.raises(BundleError, match=r"c/golden\.json has 100 bytes.*; nor may .*b is not a bundle.*; .*a/manif"):
        served(three)


def test_what_the_pointer_does_not_name_is_not_served(three: Registry) -> None:
    three.rollback()  # from c, which somebody did not want
    three.rollback()
    cut(three, "a")
    with pytest.raises(BundleError, match="a/item_embeddings"):
        served(three)


@pytest.mark.parametrize("nonsense", ["../models/c", "", ".hidden", "x" * 5_000, "\x00", "c/../c"])
def test_a_first_line_that_is_no_version(nonsense: str, three: Registry) -> None:
    (three.folder / POINTER).write_text(f"{nonsense}\nb\n")
    serving = Serving(three, Extractor)
    assert serving.version == "b"
    assert (serving.trouble is None) == (not nonsense)


def test_whatever_making_raises_is_a_reason_to_go_back(three: Registry) -> None:
    def make(bundle: Bundle) -> str:
        if bundle.version != "a":
            raise MemoryError("no room")
        return bundle.version

    found = last_good(three, make)
    assert (found.version, found.made, list(found.refused)) == ("a", "a", ["c", "b"])
    assert str(found.refused["b"]) == "bundle b cannot be served: MemoryError: no room"


def test_without_a_model_it_is_said_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no model was published in .*; `make demo` or `mindstream model publish`"):
        open_last_good(Registry(tmp_path / "models"))


def test_list_and_show_say_it(three: Registry) -> None:
    cut(three, "c")
    for command in ("list", "show"):
        done = CliRunner().invoke(app, [command, "--models", str(three.folder)])
        assert done.exit_code == 0
        assert "bundle c must not be served, what starts now serves b: " in done.stderr
    listed = CliRunner().invoke(app, ["list", "--models", str(three.folder)]).stdout.splitlines()
    assert [line.split()[:3] for line in listed[2:]] == [
        ["c", "current,", "damaged"],
        ["b", "before", "steady"],
        ["a", "steady", "600"],
    ]
    for version in "ba":
        cut(three, version)
    done = CliRunner().invoke(app, ["list", "--models", str(three.folder)])
    assert "nothing that starts now can serve: " in done.stderr
