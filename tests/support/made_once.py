"""What takes seconds to make is made once for all workers of pytest-xdist."""

import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from model_export.bundle.bundle import Bundle
from model_export.bundle.lock import locked


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Bundle]) -> Bundle:
    """Make a bundle in a folder of this run's, unless another worker has; workers that come meanwhile wait."""
    run = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        run = run.parent  # each worker has a folder of its own below the run's
    made = run / f"{name}.path"
    with locked(run / f"{name}.lock", lambda: None):
        if not made.exists():
            made.write_text(str(make(run / name).path))
            gc.freeze()  # an export imports as much as all tests together
    return Bundle(Path(made.read_text()))
