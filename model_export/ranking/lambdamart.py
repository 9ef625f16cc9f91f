"""LambdaMART over the features, by LightGBM: the ranker that people use, as the baseline of ours.

Burges, "From RankNet to LambdaRank to LambdaMART: An Overview", Microsoft Research 2010; LightGBM's objective
`lambdarank`. It has no tables of items and reads no history but by the features.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model_export.bundle.ranking.features import FEATURES
from model_export.bundle.ranking.ranker import OUTPUT
from model_export.ranking.pages import PAGE
from model_export.ranking.ranked_lists import RankedLists

__all__ = ["LambdaMart"]

ROUNDS = 200
OPSET = 15  # of ONNX
MISSING = "which is not there; right is `mindstream[rankers]`"
SETTINGS: dict[str, Any] = {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 3 * PAGE,  # LightGBM's own at a page of 10
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "lambda_l2": 1.0,
    "feature_fraction": 0.8,
    "deterministic": True,
    "num_threads": 1,
    "verbose": -1,
}


class LambdaMart:
    """Trees that order lists by their features.

    Parameters
    ----------
    questions : lists to learn from; of held-out users, since some features flatter those whom matching has seen.
    task_weights : float (T,), relevance of what was taken by each task.
    seed : of the features that each tree may look at.

    Raises
    ------
    ImportError
        If LightGBM is not installed.
    """

    name = "lambdamart"

    def __init__(self, questions: Sequence[RankedLists], task_weights: np.ndarray, seed: int = 7) -> None:
        lightgbm = _lightgbm()
        features = np.concatenate([some.features[some.real] for some in questions])
        relevance = np.concatenate([(some.labels @ task_weights)[some.real] for some in questions])
        levels, grades = np.unique(relevance, return_inverse=True)  # LightGBM wants whole numbers from 0
        sizes = np.concatenate([some.real.sum(1) for some in questions])
        data = lightgbm.Dataset(features, grades, group=sizes[sizes > 0], feature_name=list(FEATURES))
        gains = [float(level) for level in levels]
        self.trees = lightgbm.train(SETTINGS | {"seed": seed, "label_gain": gains}, data, ROUNDS)

    def scores(self, lists: RankedLists) -> np.ndarray:
        """Return the scores of all candidates: float32 (C, N), 0 behind the last."""
        found = np.zeros(lists.real.shape, dtype=np.float32)
        if lists.real.any():
            found[lists.real] = self.trees.predict(lists.features[lists.real], num_threads=1)
        return found

    def write_onnx(self, file: Path) -> None:
        """Write a graph that a bundle may have as its ranker.

        It reads candidate_features (B, N, F) and gives scores (B, N, 1).

        Raises
        ------
        ImportError
            If onnxmltools is not installed.
        """
        write_onnx_of(self.trees, file)


def write_onnx_of(trees: Any, file: Path) -> None:
    """Write trees as a graph over the candidates of users; see `LambdaMart.write_onnx`."""
    import onnx
    from onnx import TensorProto, helper

    rows = _converted(trees)
    [scored] = [one.name for one in rows.output]
    nodes = [
        helper.make_node("Reshape", ["candidate_features", "of_rows"], ["rows"]),  # (B * N, F)
        *rows.node,
        helper.make_node("Shape", ["candidate_features"], ["users_and_candidates"], end=2),
        helper.make_node("Concat", ["users_and_candidates", "one"], ["of_users"], axis=0),
        helper.make_node("Reshape", [scored, "of_users"], [OUTPUT]),  # (B, N, 1)
    ]
    shape: list[str | int | None] = ["B", "N", len(FEATURES)]
    graph = helper.make_graph(
        nodes,
        "lambdamart",
        [helper.make_tensor_value_info("candidate_features", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["B", "N", 1])],
        [
            *rows.initializer,
            helper.make_tensor("of_rows", TensorProto.INT64, [2], [-1, len(FEATURES)]),
            helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        ],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), file)


def _lightgbm() -> Any:
    """Import LightGBM, which is in an extra."""
    try:
        import lightgbm
    except ImportError as error:
        raise ImportError(f"lambdamart needs LightGBM, {MISSING}") from error
    return lightgbm


def _converted(trees: Any) -> Any:
    """Return the trees as a graph of onnxmltools, which is in an extra."""
    try:
        from onnxmltools.convert import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType
    except ImportError as error:
        raise ImportError(f"lambdamart's graph needs onnxmltools, {MISSING}") from error
    types = [("rows", FloatTensorType([None, len(FEATURES)]))]
    return convert_lightgbm(trees, initial_types=types, zipmap=False, target_opset=OPSET).graph
