"""The peers of DIN and DIEN learn from rows of the same lists: what a row is, and that they learn."""

import importlib.util

import numpy as np
import pytest

from benchmarks.ranking.rechub_peer import BUCKETS, PEERS, RechubPeer, bucket_edges, require_peer, rows_of
from model_export.bundle.ranking.features import FEATURES
from model_export.evaluation.cases import Cases
from model_export.rankers.ranker_config import ranker_preset
from model_export.rankers.ranking_model import READ
from model_export.ranking.matching import Brought
from model_export.ranking.pages import grouped_auc
from model_export.ranking.ranked_lists import RankedLists
from model_export.ranking.ranker_training import RankerTraining

HAS_PEER = all(importlib.util.find_spec(module) for module in ("torch_rechub", "sklearn"))
ITEMS = 30


def planted(users: int) -> RankedLists:
    """Lists of five candidates, of which the one was taken that the user has behaved with."""
    rng = np.random.default_rng(7)
    candidates = np.array([rng.permutation(ITEMS)[:5] for _ in range(users)])
    candidates[0, 4] = -1
    taken = rng.integers(4, size=users)
    own = candidates[np.arange(users), taken]
    history = np.stack([np.zeros(users, dtype=np.int64), own, own], 1)
    mask = np.array([[False, True, True]] * users)
    labels = np.zeros((users, 5, 1), dtype=np.float32)
    labels[np.arange(users), taken] = 1
    cases = Cases(history, mask, history[:, :0], own[:, None], 0 * history)
    one = np.ones((users, 1), dtype=np.float32)
    brought = Brought(candidates, np.zeros((users, 5), np.float32), one[:, :, None], one > 0, one)
    features = rng.normal(size=(users, 5, len(FEATURES))).astype(np.float32)
    return RankedLists(cases, brought, features, labels, one[:, 0])


def test_a_row_is_a_history_a_candidate_and_whether_it_was_taken() -> None:
    lists = planted(40)
    rows, labels = rows_of(lists, 3, bucket_edges(lists))
    assert len(labels) == 40 * 5 - 1  # one list has four candidates
    assert labels.sum() == 40
    own = lists.cases.labels[0, 0] + 1
    assert rows["history"][0].tolist() == [own, own, 0]  # the oldest first, padding behind
    assert rows["item"][:4].tolist() == (lists.brought.candidates[0, :4] + 1).tolist()
    assert set(rows) == {"history", "item", *(f"feature_{at}" for at in range(len(READ)))}
    counts = np.bincount(rows["feature_0"], minlength=BUCKETS)
    assert counts.min() >= 11  # of 199 rows in 16 buckets
    assert counts.max() <= 14


@pytest.mark.skipif(not HAS_PEER, reason="torch-rechub and scikit-learn are in the extra peers")
@pytest.mark.parametrize("name", PEERS)
def test_a_peer_learns_what_is_planted(name: str) -> None:
    lists = planted(600)
    config = ranker_preset(name).config
    training = RankerTraining(epochs=12, batch_size=8, patience=12)
    peer = RechubPeer(name, config, ITEMS, lists, [lists.take(slice(0, 100))], training)
    assert len(peer.epoch_s) == 12
    assert grouped_auc(lists, peer.scores(lists)) > 0.8


def test_a_peer_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"the peers are not installed; .*\[peers\]"):
        require_peer()
