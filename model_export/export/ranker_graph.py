"""The export of a ranking model to an ONNX graph."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model_export.bundle.ranking.features import FEATURES
from model_export.export.onnx_graph import export_module
from model_export.rankers.inputs import RankerInputs
from model_export.rankers.ranking_model import RankingModel

__all__ = ["RANKER_OUTPUT", "export_ranker"]

RANKER_OUTPUT = "scores"


def export_ranker(model: RankingModel, file: Path) -> None:
    """Export a ranking model to ONNX, without its item table.

    Inputs: those of `RankerInputs` that the model reads, by name. B and N are free, and L is too unless the model
    unrolls its steps (`fixed_length`); histories of L behaviours are read by any. Output: scores (B, N, T).
    """
    users, length, number, dim = 2, model.config.history_length, 3, model.config.dim
    batch, candidates = torch.export.Dim("batch"), torch.export.Dim("candidates")
    history: dict[int, Any] = {0: batch}
    if not model.fixed_length and length > 1:
        history[1] = torch.export.Dim("length")
    example = {
        "behaviours": torch.randn(users, length, dim),
        "mask": torch.ones(users, length, dtype=torch.bool),
        "gaps": torch.zeros(users, length, dtype=torch.int64),
        "types": torch.zeros(users, length, dtype=torch.int64),
        "profile": torch.zeros(users, len(model.profile_sizes), dtype=torch.int64),
        "candidates": torch.randn(users, number, dim),
        "candidate_features": torch.randn(users, number, len(FEATURES)),
    }
    example = {name: example[name] for name in model.reads}
    shapes = {name: {0: batch, 1: candidates} if name.startswith("candidate") else history for name in example}
    if "profile" in shapes:
        shapes["profile"] = {0: batch}
    export_module(_ByName(model), file, example, [RANKER_OUTPUT], shapes)


class _ByName(nn.Module):
    """A ranking model whose inputs are named arguments, as the exporter wants them."""

    def __init__(self, model: RankingModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, **named: Tensor) -> Tensor:
        """Return scores (B, N, T)."""
        scores: Tensor = self.model(RankerInputs.of(**named))
        return scores
