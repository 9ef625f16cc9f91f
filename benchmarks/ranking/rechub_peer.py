"""The peers of DIN and DIEN: those of torch-rechub 0.9, trained on the rows of the same lists by its own trainer.

A row is a history, one candidate of its list, and whether it was taken; its loss is of each row by itself. What our
networks read of a candidate beside the history is read here too, in buckets: its DIN takes no numbers.
"""

import contextlib
import importlib.util
import io
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from model_export.rankers.ranker_config import RankerConfig
from model_export.rankers.ranking_model import READ
from model_export.ranking.ranked_lists import RankedLists
from model_export.ranking.ranker_training import RankerTraining

__all__ = ["PEERS", "RechubPeer", "bucket_edges", "require_peer", "rows_of"]

PEERS = ("din", "dien")
BUCKETS = 16  # of each feature of a candidate
HISTORY, NEGATIVES, ITEM = "history", "negative_history", "item"
PREDICTED_AT_ONCE = 4_096  # rows


class RechubPeer:
    """A network of torch-rechub, trained to its end.

    Parameters
    ----------
    name : of PEERS.
    config : of our network of that name; its widths are the peer's.
    lists, questions : to learn from, and of validation users, whose AUC stops it.
    training : its batches have as many rows as ours; epochs and patience are ours too.

    Attributes
    ----------
    epoch_s : seconds of each epoch, loading included.

    Raises
    ------
    ValueError
        If torch-rechub is not installed; says how to install it.
    """

    def __init__(
        self,
        name: str,
        config: RankerConfig,
        items: int,
        lists: RankedLists,
        questions: Sequence[RankedLists],
        training: RankerTraining,
    ) -> None:
        require_peer()
        from torch_rechub.trainers import CTRTrainer

        torch.manual_seed(training.seed)
        self.name, self.config, self.items = name, config, items
        self.edges, self.rng = bucket_edges(lists), np.random.default_rng(training.seed)
        self.trainer: Any = CTRTrainer(_network(name, config, items), loss_mode=name != "dien")
        batch = training.batch_size * lists.brought.candidates.shape[1]
        learned, asked = self._loader(lists, batch), [self._loader(some, PREDICTED_AT_ONCE) for some in questions]
        self.epoch_s: list[float] = []
        self._fit(learned, asked, training)

    def _fit(self, learned: Any, asked: Sequence[Any], training: RankerTraining) -> None:
        """Train epoch by epoch, as its `fit` does, and keep the epoch of the best mean AUC."""
        best, best_weights, without_gain = -1.0, None, 0
        while len(self.epoch_s) < training.epochs and without_gain < training.patience:
            started = time.perf_counter()
            with _silence():
                self.trainer.train_one_epoch(learned)
            self.epoch_s.append(time.perf_counter() - started)
            with _silence():
                auc = float(np.mean([self.trainer.evaluate(self.trainer.model, some) for some in asked]))
            without_gain += 1
            if auc > best:
                best, without_gain = auc, 0
                best_weights = {key: value.clone() for key, value in self.trainer.model.state_dict().items()}
        if best_weights is not None:
            self.trainer.model.load_state_dict(best_weights)

    def scores(self, lists: RankedLists) -> np.ndarray:
        """Return the scores of all candidates: float32 (C, N), 0 behind the last."""
        found = np.zeros(lists.real.shape, dtype=np.float32)
        with _silence():
            found[lists.real] = self.trainer.predict(self.trainer.model, self._loader(lists, PREDICTED_AT_ONCE, False))
        return found

    def _loader(self, lists: RankedLists, batch: int, shuffle: bool = True) -> Any:
        """Return its loader of the rows of lists."""
        from torch_rechub.utils.data import TorchDataset

        rows, labels = rows_of(lists, self.config.history_length, self.edges)
        if self.name == "dien":
            rows[NEGATIVES] = self.rng.integers(1, self.items + 1, rows[HISTORY].shape, dtype=np.int32)
            rows[NEGATIVES][rows[HISTORY] == 0] = 0
        return torch.utils.data.DataLoader(TorchDataset(rows, labels), batch_size=batch, shuffle=shuffle)


def require_peer() -> None:
    """Raise ValueError unless the peer can be imported; it says how to install it."""
    if importlib.util.find_spec("torch_rechub") is None:
        raise ValueError("the peers are not installed; `.venv/bin/uv pip install '.[peers]'` installs them")


def bucket_edges(lists: RankedLists) -> np.ndarray:
    """Return the edges between buckets of features: float32 (features, BUCKETS - 1)."""
    real = lists.features[lists.real][:, READ]
    edges: np.ndarray = np.quantile(real, np.arange(1, BUCKETS) / BUCKETS, axis=0)
    return edges.T.astype(np.float32)


def rows_of(lists: RankedLists, length: int, edges: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Make a row of each candidate.

    Parameters
    ----------
    length : L, most behaviours of a history.
    edges : of the features' buckets, see `bucket_edges`.

    Returns
    -------
    name -> int32 (rows,), of the history (rows, L) with the oldest behaviour first and zeros behind, items counted from
    1; float32 (rows,), 1 where the candidate was taken
    """
    owners, places = np.nonzero(lists.real)
    mask, history = lists.cases.mask[:, -length:], lists.cases.history[:, -length:] + 1
    order = np.argsort(~mask, axis=1, kind="stable")  # padding goes behind, as its packed sequences want it
    aligned = np.take_along_axis(np.where(mask, history, 0), order, 1).astype(np.int32)
    read = lists.features[owners, places][:, READ]
    buckets = {f"feature_{at}": np.searchsorted(its, read[:, at]).astype(np.int32) for at, its in enumerate(edges)}
    rows = {HISTORY: aligned[owners], ITEM: (lists.brought.candidates[owners, places] + 1).astype(np.int32), **buckets}
    return rows, lists.labels.max(2)[owners, places].astype(np.float32)


def _network(name: str, config: RankerConfig, items: int) -> Any:
    """Make a network of the widths of ours."""
    from torch_rechub.basic.features import SequenceFeature, SparseFeature
    from torch_rechub.models.ranking import DIEN, DIN

    of_items: dict[str, Any] = {"vocab_size": items + 1, "embed_dim": config.dim, "padding_idx": 0}
    target = [SparseFeature(ITEM, **of_items)]
    history, negatives = (
        [SequenceFeature(one, pooling="concat", shared_with=ITEM, **of_items)] for one in (HISTORY, NEGATIVES)
    )
    features = [SparseFeature(f"feature_{at}", vocab_size=BUCKETS, embed_dim=config.dim) for at in range(len(READ))]
    mlp = {"dims": list(config.hidden)}
    if name == "dien":
        return DIEN(features, history, negatives, target, mlp)
    return DIN(features, history, target, mlp, {"dims": [config.unit_hidden]})


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep its progress bars and prints away."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
