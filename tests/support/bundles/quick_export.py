"""Exports to ONNX, of which the tests make a hundred, without what each does again and ends up with the same."""

from functools import cache
from typing import Any

from torch.onnx._internal import _lazy_import


def parse_operators_once() -> None:
    """Keep what torch's exporter reads of the sources of its 500 operators: a third of the time of an export."""
    library: Any = getattr(_lazy_import, "onnxscript_apis", None)  # imported by the first export
    if library is not None:  # else this is another torch, whose exports take as long as they take
        library.get_torchlib_ops = cache(lambda: library.__getattr__("get_torchlib_ops")())
