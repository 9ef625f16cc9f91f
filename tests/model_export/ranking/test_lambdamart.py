"""LambdaMART as the baseline: it finds the feature that decides, and says what is missing where it is."""

import sys

import numpy as np
import pytest

from model_export.bundle.ranking.features import FEATURES
from model_export.evaluation.cases import Cases
from model_export.ranking.lambdamart import LambdaMart
from model_export.ranking.matching import Brought
from model_export.ranking.pages import page_metrics
from model_export.ranking.ranked_lists import RankedLists

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


def test_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ImportError, match=r"mindstream\[rankers\]"):
        LambdaMart([_planted(3)], ONE)
