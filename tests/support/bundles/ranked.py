"""A bundle with a second stage that is made by hand, in no time and without torch: every answer can be worked out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from model_export.bundle.bundle import (
    EXTRACTOR,
    FEATURES,
    GOLDEN,
    ITEM_EMBEDDINGS,
    MODEL_CARD,
    RANKER,
    RANKER_ITEMS,
    ROUTING_LOGITS,
    TREND,
    Bundle,
    Manifest,
    describe_file,
    required_files,
    write_manifest,
)
from model_export.bundle.extractor import Extractor
from model_export.bundle.items.arrow_files import write_items
from model_export.bundle.ranking import feature_names
from model_export.bundle.ranking.golden import with_golden_lists

ITEMS, DIM, LENGTH, NARROW = 60, 4, 20, 2
HOUR_MS = 3_600_000
# Task -> feature -> its weight in the score.
TASKS: dict[str, dict[str, float]] = {"click": {"max_sim": 1.0}, "buy": {"log_popularity": 2.0, "price_known": 1.0}}


def _save(file: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any]) -> None:
    """Write a graph."""
    graph = helper.make_graph(nodes, "by_hand", inputs, outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), file)


def _value(name: str, shape: Sequence[Any], kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def write_mean_extractor(file: Path) -> None:
    """Write a graph whose one interest is the mean of the behaviours."""
    _save(
        file,
        [
            helper.make_node("Cast", ["mask"], ["ones"], to=TensorProto.FLOAT),  # (B, L)
            helper.make_node("Unsqueeze", ["ones", "first"], ["routing_weights"]),  # (B, 1, L)
            helper.make_node("ReduceSum", ["ones", "first"], ["behaved"]),  # (B, 1)
            helper.make_node("Greater", ["behaved", "zero"], ["interest_mask"]),
            helper.make_node("MatMul", ["routing_weights", "behaviours"], ["sum"]),  # (B, 1, d)
            helper.make_node("Max", ["behaved", "one"], ["divisor"]),
            helper.make_node("Unsqueeze", ["divisor", "first"], ["divisors"]),  # (B, 1, 1)
            helper.make_node("Div", ["sum", "divisors"], ["capsules"]),
        ],
        [
            _value("behaviours", ["B", "L", DIM]),
            _value("mask", ["B", "L"], TensorProto.BOOL),
            _value("routing_logits", ["B", 1, "L"]),
        ],
        [
            _value("capsules", ["B", 1, DIM]),
            _value("interest_mask", ["B", 1], TensorProto.BOOL),
            _value("routing_weights", ["B", 1, "L"]),
        ],
        [
            helper.make_tensor("first", TensorProto.INT64, [1], [1]),
            helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
            helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        ],
    )


def write_linear_ranker(file: Path, tasks: Mapping[str, Mapping[str, float]] = TASKS) -> None:
    """Write a graph whose scores are sums of weighted features, and of the item's products with the last behaviour."""
    names = feature_names.FEATURES
    weights = np.zeros((len(names), len(tasks)), dtype=np.float32)
    for task, its in enumerate(tasks.values()):
        for name, weight in its.items():
            weights[names.index(name), task] = weight
    _save(
        file,
        [
            helper.make_node("MatMul", ["candidate_features", "weights"], ["linear"]),  # (B, N, T)
            helper.make_node("Gather", ["behaviours", "end"], ["last"], axis=1),  # (B, r)
            helper.make_node("Unsqueeze", ["last", "two"], ["column"]),  # (B, r, 1)
            helper.make_node("MatMul", ["candidates", "column"], ["product"]),  # (B, N, 1)
            helper.make_node("Add", ["linear", "product"], ["scores"]),
        ],
        [
            _value("behaviours", ["B", "L", NARROW]),
            _value("candidates", ["B", "N", NARROW]),
            _value("candidate_features", ["B", "N", len(names)]),
        ],
        [_value("scores", ["B", "N", len(tasks)])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.ravel().tolist()),
            helper.make_tensor("end", TensorProto.INT64, [], [-1]),
            helper.make_tensor("two", TensorProto.INT64, [1], [2]),
        ],
    )


def hand_made(path: Path, ranked: bool = True, **ranker: Any) -> Bundle:
    """A bundle of 60 items in three categories, with a ranker or without.

    Parameters
    ----------
    ranker : other settings of the ranker than the usual ones.
    """
    rng, ids = np.random.default_rng(7), [f"item-{number}" for number in range(ITEMS)]
    path.mkdir(parents=True)
    write_mean_extractor(path / EXTRACTOR)
    table = rng.normal(size=(ITEMS, DIM))
    np.save(path / ITEM_EMBEDDINGS, (table / np.linalg.norm(table, axis=1, keepdims=True)).astype(np.float32))
    np.save(path / ROUTING_LOGITS, np.zeros((ITEMS, 1), dtype=np.float32))
    np.savez(path / FEATURES, price_edges=np.zeros(0))
    prices = [None if number % 5 == 0 else 1.0 + number for number in range(ITEMS)]
    categories = [["garden", "kitchen", ""][number % 3] for number in range(ITEMS)]
    popularity = rng.integers(0, 100, size=ITEMS).tolist()
    write_items(path, ids, title=ids, category=categories, price=prices, popularity=popularity)
    (path / MODEL_CARD).write_text("# By hand\n")
    settings = {
        **{"name": "by-hand", "dim": NARROW, "tasks": [*TASKS], "task_weights": [1.0] * len(TASKS)},
        **{"history_length": LENGTH, "candidates": 40, "reads": ["behaviours", "candidates", "candidate_features"]},
    }
    manifest = Manifest(
        version=path.name, items=ITEMS, dim=DIM, num_interests=1, history_length=LENGTH,
        profile_fields={}, feature_fields={}, model={"name": "mean"}, data={}, metrics={}, files={},
        ranker={**settings, **ranker} if ranked else {},
    )  # fmt: skip
    if ranked:
        write_linear_ranker(path / RANKER)
        np.save(path / RANKER_ITEMS, rng.normal(scale=0.1, size=(ITEMS, NARROW)).astype(np.float32))
        np.save(path / TREND, rng.normal(size=ITEMS).astype(np.float32))
    write_manifest(path, manifest)  # without the files: enough to run the graphs
    _write_golden(Bundle(path), ids)
    manifest.files.update({name: describe_file(path / name) for name in required_files(manifest)})
    write_manifest(path, manifest)
    return Bundle(path)


def _write_golden(bundle: Bundle, ids: list[str]) -> None:
    """Write what three histories give."""
    histories: list[list[str]] = [[], ids[:1], ids[5:12]]
    cases: list[dict[str, Any]] = [
        {
            "history": history,
            "event_times_ms": [HOUR_MS * age for age in range(len(history))],
            "capsules": capsules.vectors.tolist(),
        }
        for history, capsules in zip(histories, Extractor(bundle).encode(histories), strict=True)
    ]
    if bundle.manifest.ranker:
        cases = with_golden_lists(bundle, cases)
    (bundle.path / GOLDEN).write_text(json.dumps(cases))
