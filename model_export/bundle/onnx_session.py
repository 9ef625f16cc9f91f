"""ONNX Runtime: how a graph of a bundle is opened, and the lengths that histories are padded to for it."""

from itertools import count, takewhile
from pathlib import Path

import onnxruntime

from model_export.bundle.errors import BundleError

__all__ = ["open_session", "padded_lengths"]

SHORTEST = 8  # behaviours that a shorter history is padded to; with less, arithmetic units stay empty


def open_session(file: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """Open a graph.

    Raises
    ------
    BundleError
        If ONNX Runtime cannot load it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3  # errors; they are raised all the same
    try:
        return onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions have no common base but Exception
        raise BundleError(f"{file} cannot be loaded: {error}") from error


def padded_lengths(session: onnxruntime.InferenceSession, longest: int) -> list[int]:
    """Return the lengths that histories are padded to, ascending.

    They are powers of two, and the longest at the end.

    Most users have few behaviours, and the cost of a run grows with the padding. A graph that is made for one length
    gets that alone.
    """
    fixed = [node.shape[1] for node in session.get_inputs() if node.name == "mask"]
    if fixed and isinstance(fixed[0], int):
        return [longest]
    powers = takewhile(lambda length: length < longest, (SHORTEST << doubled for doubled in count()))
    return [*powers, longest]
