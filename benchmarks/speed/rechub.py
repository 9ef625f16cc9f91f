"""The peer of the training benchmark: MIND of torch-rechub, trained as its published example does (run_ml_mind.py).

Its own functions make a row of each (history, target) pair, with negatives of its own; its data generator hands out
the rows one by one to `torch.utils.data.DataLoader`; its trainer takes the steps.
"""

import contextlib
import importlib.util
import io
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import torch

from model_export.data.dataset import Sequences
from model_export.models.model_config import ModelConfig

__all__ = ["endless_batches", "make_loader", "make_trainer", "pair_rows", "peer_training", "require_peer"]

LEARNING_RATE, WEIGHT_DECAY = 1e-3, 1e-6  # of its example


def require_peer() -> None:
    """Check that the peer can be imported.

    Raises
    ------
    ValueError
        If it is not installed; says how to install it.
    """
    if importlib.util.find_spec("torch_rechub") is None:
        raise ValueError("the peer of this benchmark is not installed; `pip install torch-rechub` installs it")


def peer_training(
    sequences: Sequences, num_items: int, config: ModelConfig, batch_size: int, negatives: int, seed: int
) -> Callable[[int], None]:
    """Prepare a training; the returned function takes so many steps, loading included.

    Parameters
    ----------
    sequences : behaviours of all training users.
    config : d, K and L are taken from it.
    negatives : of each pair.
    """
    torch.manual_seed(seed)
    np.random.seed(seed)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        rows = pair_rows(sequences, config.history_length, negatives)
        batches = endless_batches(make_loader(rows, batch_size))
    trainer = make_trainer(len(sequences.user_ids), num_items, config)

    def steps(number: int) -> None:
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            trainer.train_one_epoch(islice(batches, number))

    return steps


def pair_rows(sequences: Sequences, length: int, negatives: int) -> dict[str, np.ndarray]:
    """Make a row of each pair by the peer's own functions; ids begin with 1, 0 is padding."""
    from torch_rechub.utils.match import gen_model_input, generate_seq_feature_match

    events = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(len(sequences.user_ids)), sequences.lengths) + 1,
            "movie_id": sequences.items + 1,
            "timestamp": np.arange(len(sequences.items)),
        }
    )
    train, _ = generate_seq_feature_match(
        events, "user_id", "movie_id", "timestamp", sample_method=1, mode=2, neg_ratio=negatives
    )
    users, items = events[["user_id"]].drop_duplicates(), events[["movie_id"]].drop_duplicates()
    rows: dict[str, np.ndarray] = gen_model_input(
        train, users, "user_id", items, "movie_id", length, padding="post", truncating="post"
    )
    return rows


def make_loader(rows: dict[str, np.ndarray], batch_size: int) -> Any:
    """Make the peer's DataLoader over these rows; it wants rows to test as well."""
    from torch_rechub.utils.data import MatchDataGenerator

    some = {name: values[:batch_size] for name, values in rows.items()}
    labels = np.zeros(len(rows["user_id"]), dtype=np.int64)  # the positive is the first
    loader, _, _ = MatchDataGenerator(rows, labels).generate_dataloader(some, some, batch_size, num_workers=0)
    return loader


def endless_batches(loader: Any) -> Any:
    """Yield the full batches of a loader, epoch after epoch."""
    while True:
        for batch in loader:
            if len(batch[1]) == loader.batch_size:
                yield batch


def make_trainer(users: int, num_items: int, config: ModelConfig) -> Any:
    """Make the peer's MIND in its trainer."""
    from torch_rechub.basic.features import SequenceFeature, SparseFeature
    from torch_rechub.models.matching import MIND
    from torch_rechub.trainers import MatchTrainer

    def behaviours(name: str) -> Any:
        return SequenceFeature(name, num_items + 1, config.dim, pooling="concat", shared_with="movie_id")

    model = MIND(
        [SparseFeature("user_id", users + 1, config.dim)],
        [behaviours("hist_movie_id")],
        [SparseFeature("movie_id", num_items + 1, config.dim)],
        [behaviours("neg_items")],
        max_length=config.history_length,
        temperature=0.02,
        interest_num=config.num_interests,
    )
    optimizer = {"lr": LEARNING_RATE, "weight_decay": WEIGHT_DECAY}
    return MatchTrainer(model, mode=2, optimizer_params=optimizer, device="cpu")
