"""LambdaMART as the baseline: it finds the feature that decides, and says what is missing where it is."""

import sys
from pathlib import Path

import numpy as np
import pytest

from model_export.bundle.bundle import RANKER
from model_export.bundle.ranking.features import FEATURES
from model_export.bundle.ranking.ranker import RankedUser, Ranker
from model_export.evaluation.cases import Cases
from model_export.ranking.lambdamart import LambdaMart
from model_export.ranking.matching import Brought
from model_export.ranking.pages import page_metrics
from model_export.ranking.ranked_lists import RankedLists
from tests.support.bundles.ranked import hand_made

ONE = np.ones(1, dtype=np.float32)


def _planted(number: int, most: int = 20) -> RankedLists:
    """Make lists in which the candidate with the largest trend was taken, wherever it stands; all else is noise."""
    rng = np.random.default_rng(7)
    features = rng.normal(size=(number, most, len(FEATURES))).astype(np.float32)
    best = features[..., FEATURES.index("trend")].argmax(1)
    labels = np.zeros((number, most, 1), dtype=np.float32)
    labels[np.arange(number), best] = 1
    nothing = np.zeros((number, 1), dtype=np.int64)
    cases = Cases(nothing, nothing > 0, nothing[:, :0], best[:, None], nothing)
    candidates, zeros = np.tile(np.arange(most), (number, 1)), np.zeros((number, most), dtype=np.float32)
    interests = np.zeros((number, 1, 2), dtype=np.float32), nothing >= 0, zeros[:, :1]
    return RankedLists(cases, Brought(candidates, zeros, *interests), features, labels, np.ones(number, np.float32))


def test_finds_the_feature_that_decides() -> None:
    pytest.importorskip("lightgbm", reason="LightGBM is in the extra rankers")
    lists = _planted(300)
    trees = LambdaMart([lists.take(slice(0, 200))], ONE)
    others = lists.take(slice(200, 300))
    assert page_metrics(others, trees.scores(others))["ndcg@10"].mean() > 0.9
    np.testing.assert_array_equal(trees.scores(others), LambdaMart([lists.take(slice(0, 200))], ONE).scores(others))


def test_its_graph_is_a_bundle_s_ranker(tmp_path: Path) -> None:
    """The scores of a served bundle are LightGBM's own."""
    for module in ("lightgbm", "onnxmltools"):
        pytest.importorskip(module, reason="it is in the extra rankers")
    lists = _planted(200)
    trees = LambdaMart([lists], ONE)
    bundle = hand_made(tmp_path / "ranked", tasks=["click"], task_weights=[1.0], reads=["candidate_features"])
    trees.write_onnx(bundle.path / RANKER)
    nobody = np.zeros(0, dtype=np.int64)
    users = [
        RankedUser(nobody, nobody, [], {}, np.zeros((0, 4)), np.zeros(0), 0, lists.brought.candidates[at], features)
        for at, features in enumerate(lists.features[:3])
    ]
    found = Ranker(bundle).score(users)
    assert [scores.shape for scores in found] == [(20, 1)] * 3
    np.testing.assert_allclose(np.concatenate(found, 1).T, trees.scores(lists)[:3], rtol=1e-4, atol=1e-5)


def test_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ImportError, match=r"mindstream\[rankers\]"):
        LambdaMart([_planted(3)], ONE)
