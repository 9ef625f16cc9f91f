"""What is served while every bad bundle becomes current in turn."""

from collections.abc import Iterator
from typing import Any

import pytest

from model_export.bundle import serving as following
from model_export.bundle.bundle import Bundle
from model_export.bundle.check import check
from model_export.bundle.serving import Serving
from testbed.bad_bundles import BAD_BUNDLES, copy_bundle


def refused_in_turn(serving: Serving[Any], good: Bundle, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Let each bad bundle be current, after it was refused; its version, and what must be said of it.

    They are checked in this process, since what the child says is what the check says: see test_check_child.py.
    """
    monkeypatch.setattr(following, "check_in_child", lambda bundle, stopping: check(bundle))
    for number, bad in enumerate(BAD_BUNDLES.values()):
        version, served = f"bad-{number}", serving.current
        bad.spoil(copy_bundle(good, serving.registry.folder / version))
        serving.registry.point_to(version)
        assert not serving.look()
        assert serving.current is served
        yield version, bad.said
