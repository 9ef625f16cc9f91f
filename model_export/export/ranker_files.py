"""The second stage in a bundle: graph, item table and trends, and what the manifest says of them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from model_export.bundle.bundle import RANKER, RANKER_ITEMS, TREND
from model_export.bundle.ranking.feature_names import FEATURES
from model_export.export.ranker_graph import export_ranker
from model_export.rankers.ranked_checkpoint import RankedCheckpoint

__all__ = ["ranker_entry", "write_ranker"]


def ranker_entry(ranker: RankedCheckpoint | None) -> dict[str, Any]:
    """Return what the manifest says of a ranker (RankerSettings); nothing without one."""
    if ranker is None:
        return {}
    config = ranker.model.config
    return {
        "name": config.name,
        "dim": config.dim,
        "tasks": list(config.tasks),
        "task_weights": ranker.task_weights,
        "history_length": config.history_length,
        "candidates": ranker.candidates,
        "reads": list(ranker.model.reads),
        "features": list(FEATURES),
        "metrics": ranker.metrics,
    }


def write_ranker(ranker: RankedCheckpoint | None, folder: Path) -> None:
    """Write the ranker's files into the folder of a bundle; nothing without one."""
    if ranker is None:
        return
    model = ranker.model.eval()
    export_ranker(model, folder / RANKER)
    with torch.no_grad():
        np.save(folder / RANKER_ITEMS, model.item_table().numpy())
    np.save(folder / TREND, ranker.trend)
