"""The export of the extractor, or of any module of torch, to an ONNX graph."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model_export.bundle.extractor import OUTPUTS
from model_export.models.checkpoint import Checkpoint

__all__ = ["export_module", "write_graph"]


def write_graph(checkpoint: Checkpoint, file: Path) -> None:
    """Export the extractor to ONNX with free batch size B and history length L.

    Inputs: behaviours (B, L, d), mask (B, L), routing_logits (B, K, L), and if the model reads them profile (B, P),
    gaps (B, L), types (B, L) and asked_gap (B,). Outputs: see `Extractor.run`.
    """
    config, fields = checkpoint.model.config, len(checkpoint.vocabulary.profile_fields)
    users, read = 2, config.history_length
    example = {
        "behaviours": torch.randn(users, read, config.dim),
        "mask": torch.ones(users, read, dtype=torch.bool),
        "routing_logits": torch.randn(users, config.num_interests, read),
    }
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    shapes: dict[str, dict[int, Any]] = {
        "behaviours": {0: batch, 1: length},
        "mask": {0: batch, 1: length},
        "routing_logits": {0: batch, 2: length},
    }
    if fields:
        example["profile"] = torch.zeros(users, fields, dtype=torch.int64)
        shapes["profile"] = {0: batch}
    for name, reads in (("gaps", config.time_gaps), ("types", config.types)):
        if reads:
            example[name] = torch.zeros(users, read, dtype=torch.int64)
            shapes[name] = {0: batch, 1: length}
    if config.reads_asked_gap:
        example["asked_gap"] = torch.zeros(users, dtype=torch.int64)
        shapes["asked_gap"] = {0: batch}
    export_module(checkpoint.model.extractor, file, example, OUTPUTS, shapes)


def export_module(
    module: nn.Module,
    file: Path,
    example: dict[str, torch.Tensor],
    outputs: Sequence[str],
    shapes: dict[str, dict[int, Any]],
) -> None:
    """Export a module to one ONNX file, in evaluation mode, without the exporter's notes.

    Parameters
    ----------
    example : the graph's inputs, by the names of the module's parameters.
    outputs : names of the graph's outputs.
    shapes : for each input its free dimensions, by place.
    """
    with _quiet():
        torch.onnx.export(
            module.eval(),
            (),
            file,
            kwargs=example,
            input_names=list(example),
            output_names=list(outputs),
            dynamic_shapes=shapes,
            external_data=False,
            dynamo=True,
            verbose=False,
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's notes on packages that are not needed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
