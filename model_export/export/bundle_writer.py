"""Write a bundle of a checkpoint: graph, item table, catalogue, manifest and golden histories."""

import json
import secrets
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from model_export.bundle.bundle import (
    EXTRACTOR,
    FEATURES,
    GOLDEN,
    ITEM_EMBEDDINGS,
    MODEL_CARD,
    NEIGHBOURS,
    ROUTING_LOGITS,
    SIMILARITIES,
    VECTOR_MAP,
    Bundle,
    Manifest,
    describe_file,
    required_files,
    write_manifest,
)
from model_export.bundle.extractor import Extractor
from model_export.bundle.items.arrow_files import write_items
from model_export.bundle.ranking.golden import with_golden_lists
from model_export.data.dataset import Vocabulary
from model_export.export.model_card import model_card
from model_export.export.onnx_graph import write_graph
from model_export.export.parity import check_parity, random_histories, random_times, random_types
from model_export.export.ranker_files import ranker_entry, write_ranker
from model_export.models.checkpoint import Checkpoint

__all__ = ["export", "write_arrays", "write_json"]

GOLDEN_HISTORIES = 32


def export(checkpoint: Checkpoint, folder: Path, progress: bool = True) -> Bundle:
    """Write a bundle into `folder` / its version and check it against torch.

    Raises
    ------
    BundleError
        If ONNX Runtime's capsules differ from torch's by more than 1e-5.
    """
    version = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    path = folder / version
    path.mkdir(parents=True)
    manifest = _make_manifest(checkpoint, version)
    steps: list[Callable[[], None]] = [
        lambda: _write_items(checkpoint, path),
        lambda: write_graph(checkpoint, path / EXTRACTOR),
        lambda: write_ranker(checkpoint.ranker, path),
        lambda: write_manifest(path, manifest),  # without the files: enough to load the graph
        lambda: _write_card(checkpoint, version, path / MODEL_CARD),
        lambda: _write_golden(Extractor(Bundle(path)), checkpoint, path / GOLDEN),
        lambda: check_parity(checkpoint, Extractor(Bundle(path))),  # what fails it is never listed, so never published
        lambda: write_manifest(path, replace(manifest, files=_describe_files(path, manifest))),
    ]
    for step in tqdm(steps, desc="exporting", unit="step", disable=not progress):
        step()
    return Bundle(path)


def _describe_files(path: Path, manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Describe every file of the bundle, for its manifest."""
    return {name: describe_file(path / name) for name in required_files(manifest)}


def _write_items(checkpoint: Checkpoint, path: Path) -> None:
    """Write the item table, routing logits, feature tables, ids and catalogue."""
    vocabulary, model = checkpoint.vocabulary, checkpoint.model.eval()  # training may add noise to embeddings
    with torch.no_grad():
        np.save(path / ITEM_EMBEDDINGS, model.item_table().numpy())
    np.save(path / ROUTING_LOGITS, model.routing_logits.detach().numpy())
    if checkpoint.neighbours is not None:
        np.save(path / NEIGHBOURS, checkpoint.neighbours.rows)
        np.save(path / SIMILARITIES, checkpoint.neighbours.similarity)
    write_arrays(path / FEATURES, _feature_tables(checkpoint) | {"price_edges": np.array(vocabulary.price_edges)})
    write_items(
        path,
        vocabulary.item_ids,
        **checkpoint.catalogue,
        popularity=checkpoint.popularity,
        attributes=_attribute_columns(vocabulary),
    )


def _attribute_columns(vocabulary: Vocabulary) -> dict[str, list[list[str]]]:
    """Return side feature -> the values of each item."""
    found = {}
    for name, rows in vocabulary.feature_slices().items():
        values = vocabulary.feature_fields[name]
        mine = [row[(row >= rows.start) & (row < rows.stop)] - rows.start for row in vocabulary.item_features]
        found[name] = [[values[place] for place in places.tolist()] for places in mine]
    return found


def _feature_tables(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """Return side feature -> the vectors of its values, float (values + 1, d).

    Row 0, "unknown", is zeros. Beside them is the map of dense vectors, if the model has one.
    """
    items, found = checkpoint.model.items, {}
    if items.vector_map is not None:
        found[VECTOR_MAP] = np.ascontiguousarray(items.vector_map.weight.detach().numpy().T)
    if items.features is None:
        return found
    weight = items.features.weight.detach().numpy()
    return found | {name: weight[np.r_[0, rows]] for name, rows in checkpoint.vocabulary.feature_slices().items()}


def write_arrays(file: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays to an .npz under any names.

    np.savez takes the names as keywords, and fails at a side feature that is called "file".
    """
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array)


def write_json(file: Path, content: Any) -> None:
    """Write JSON in UTF-8."""
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _make_manifest(checkpoint: Checkpoint, version: str) -> Manifest:
    """Make the manifest without the files, which are not complete yet."""
    config, vocabulary = checkpoint.model.config, checkpoint.vocabulary
    return Manifest(
        version=version,
        items=len(vocabulary.item_ids),
        dim=config.dim,
        num_interests=config.num_interests,
        history_length=config.history_length,
        profile_fields=vocabulary.profile_fields,
        feature_fields=vocabulary.feature_fields,
        model={
            **asdict(config),
            "pow_p": str(config.pow_p),  # JSON has no infinity
            "seed": checkpoint.training.seed,
        },
        data=checkpoint.data,
        metrics={
            "validation": checkpoint.validation,
            "test": checkpoint.figures,
            "training": {
                "steps": checkpoint.steps,
                "most_steps": checkpoint.training.steps,
                "seconds": checkpoint.seconds,
                "max_seconds": checkpoint.training.max_seconds,
            },
        },
        repeat_bonus=_repeat_bonus(checkpoint),
        blend=asdict(checkpoint.neighbours.blend) if checkpoint.neighbours is not None else {},
        event_types=vocabulary.event_types if config.types else [],
        ranker=ranker_entry(checkpoint.ranker),
        files={},
    )


def _repeat_bonus(checkpoint: Checkpoint) -> list[float]:
    """Return the repeat bonus by age (own_items.py); empty if the model has none."""
    learned = checkpoint.model.repeat_bonus
    return [] if learned is None else [float(one) for one in learned.detach()]


def _write_card(checkpoint: Checkpoint, version: str, file: Path) -> None:
    """Write the model card."""
    file.write_text(model_card(checkpoint, version), encoding="utf-8")


def _write_golden(extractor: Extractor, checkpoint: Checkpoint, file: Path) -> None:
    """Write histories with the capsules that this bundle gives, to compare with when serving.

    First those of held-out users, whose capsules are what an index will be asked for; then random ones of all lengths.
    """
    random = random_histories(checkpoint, GOLDEN_HISTORIES)
    drawn = zip(random, random_times(checkpoint, random), random_types(checkpoint, random), strict=True)
    histories, times, types = map(list, zip(*checkpoint.histories, *drawn, strict=True))
    capsules = extractor.encode(histories, times_ms=times, types=types)
    cases = [
        {"history": history, "event_times_ms": when}
        | ({"event_types": what} if extractor.reads_types else {})
        | {"capsules": found.vectors.tolist()}
        for history, when, what, found in zip(histories, times, types, capsules, strict=True)
    ]
    write_json(file, cases if checkpoint.ranker is None else with_golden_lists(extractor.bundle, cases))
