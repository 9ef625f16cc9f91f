"""The training loop of a ranker: steps over lists, a look at validation users each epoch, a state to go on from."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from model_export.models.checkpoint import write
from model_export.models.item_embeddings import has_sparse_gradient
from model_export.rankers.din import touched_rows_penalty
from model_export.rankers.ranking_model import RankingModel
from model_export.ranking.held_out import mean_ndcg
from model_export.ranking.inputs import inputs_of, score_lists
from model_export.ranking.losses import joined, listwise_softmax, task_losses
from model_export.ranking.ranked_lists import RankedLists
from model_export.ranking.ranker_training import RankerTraining
from model_export.training.optimizer import ModelOptimizer

__all__ = ["RankerRun"]

IDS, FEATURES = "items.ids.weight", "items.features.weight"
PARTS = ("epoch", "step", "seconds", "looks_without_gain", "best")


class RankerRun:
    """A training of a ranking model on lists.

    Parameters
    ----------
    lists : of training users.
    questions : lists of validation users, such as the time ahead and the next behaviour.
    task_weights : float32 (T,), what the tasks' scores weigh when they are joined.

    Attributes
    ----------
    best : the best mean NDCG@10 of the network's own order on `questions`; NaN without any.
    """

    def __init__(
        self,
        model: RankingModel,
        lists: RankedLists,
        questions: Sequence[RankedLists],
        task_weights: np.ndarray,
        training: RankerTraining,
    ) -> None:
        self.model, self.lists, self.training, self.task_weights = model, lists, training, task_weights
        self.questions = [some for some in questions if len(some)]
        self.batches = math.ceil(len(lists) / training.batch_size)
        self.steps = training.epochs * self.batches
        sparse = _tables_read(model, torch.zeros(1, dtype=torch.int64, device=model.item_features.device))
        self.optimizer = ModelOptimizer(model, sparse, training.learning_rate, training.weight_decay, self.steps)
        self.occurrences = _occurrences(lists, len(model.item_features)).to(model.item_features.device)
        self.epoch, self.step, self.seconds, self.looks_without_gain = 0, 0, 0.0, 0
        self.best = math.nan
        self.best_weights: dict[str, Tensor] = {}
        real = torch.from_numpy(lists.features[lists.real])
        model.set_feature_statistics(real.mean(0), real.std(0, correction=0))

    def fit(self, progress: bool, state: Path | None = None) -> None:
        """Train to the end and load the best weights.

        Parameters
        ----------
        progress : show a progress bar.
        state : file where the state is kept after each epoch; if it is there, training goes on from it.

        Raises
        ------
        ValueError
            If the loss is not finite, or `state` is of another training.
        """
        if state is not None and state.exists():
            self._restore(state)
        form = "{l_bar}{bar}| {n}/{total} steps [{elapsed}<{remaining}{postfix}]"
        shown: dict[str, Any] = {"desc": "training the ranker", "bar_format": form, "disable": not progress}
        with tqdm(total=self.steps, initial=self.step, **shown) as bar:
            while self._spent < 1 and self.looks_without_gain < self.training.patience:
                self._train_epoch(bar)
                self._look()
                if state is not None:
                    self._save(state)
        self.optimizer.catch_up_all()
        if self.best_weights:
            self.model.load_state_dict(self.best_weights)
        self.model.eval()

    @property
    def _spent(self) -> float:
        """Return the share of the steps, or of the time, that is used up: 0 to 1."""
        limit = math.inf if self.training.max_seconds is None else self.training.max_seconds
        return min(1.0, max(self.step / self.steps, self.seconds / limit))

    def _train_epoch(self, bar: Any) -> None:
        """Take a step for each batch of the lists, while there is time.

        In an order drawn for this epoch.
        """
        order = np.random.default_rng([self.training.seed, self.epoch]).permutation(len(self.lists))
        for at in range(0, len(order), self.training.batch_size):
            if self._spent >= 1:
                break
            started = time.monotonic()
            loss = self._train_step(self.lists.take(order[at : at + self.training.batch_size]))
            self.seconds += time.monotonic() - started
            bar.update()
            best = "-" if math.isnan(self.best) else f"{100 * self.best:.1f} %"
            bar.set_postfix_str(f"loss {loss:.3f}, best NDCG@10 {best}", refresh=False)
        self.epoch += 1

    def _train_step(self, lists: RankedLists) -> float:
        """Take one step of AdamW and return the loss before it."""
        self.model.train()
        device = self.model.item_features.device
        asked = np.concatenate([lists.cases.history.ravel(), lists.brought.candidates.clip(0).ravel()])
        self.optimizer.catch_up(_tables_read(self.model, torch.from_numpy(np.unique(asked)).to(device)))
        loss = self._loss(lists)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ValueError(
                f"the ranker's loss is {value} at step {self.step + 1}; "
                f"the learning rate ({self.training.learning_rate}) is too large"
            )
        loss.backward()
        self.optimizer.step(self.training.learning_rate * (1 + math.cos(math.pi * self._spent)) / 2)
        self.step += 1
        return value

    def _loss(self, lists: RankedLists) -> Tensor:
        """Return the loss of some lists, ().

        The joined softmax, each task's own, and what the core adds.
        """
        model, device = self.model, self.model.item_features.device
        inputs, rows, vectors = inputs_of(model, lists)
        labels, weights, real, of_tasks = (
            torch.from_numpy(array).to(device) for array in (lists.labels, lists.weights, lists.real, self.task_weights)
        )
        scores = model.network_scores(inputs)  # (B, N, T)
        loss = listwise_softmax(joined(scores, of_tasks), labels @ of_tasks, real, weights)
        if len(of_tasks) > 1:
            loss = loss + task_losses(scores, labels, real, weights)
        if model.config.table_penalty:
            loss = loss + model.config.table_penalty * touched_rows_penalty(vectors, self.occurrences[rows])
        return loss + model.auxiliary_loss(inputs, labels.amax(2).argmax(1))

    def _look(self) -> None:
        """Measure the network's own order on the validation users and remember the best weights."""
        self.optimizer.catch_up_all()
        if not self.questions:
            return
        found = [
            mean_ndcg(some, score_lists(self.model, some, network_only=True), self.task_weights)
            for some in self.questions
        ]
        self.looks_without_gain += 1
        if not float(np.mean(found)) <= self.best:  # the first is better than NaN
            self.best, self.looks_without_gain = float(np.mean(found)), 0
            self.best_weights = {name: value.clone() for name, value in self.model.state_dict().items()}

    def _identity(self) -> dict[str, Any]:
        """Return what tells this training from another."""
        return {"config": asdict(self.model.config), "training": asdict(self.training), "lists": len(self.lists)}

    def _save(self, path: Path) -> None:
        """Write the state of the training, whole or not at all."""
        content = {
            "of": self._identity(),
            "weights": self.model.state_dict(),
            "optimizer": self.optimizer.state(),
            "torch": torch.get_rng_state(),
            "progress": {name: getattr(self, name) for name in PARTS},
            "best_weights": self.best_weights,
        }
        write(content, path)

    def _restore(self, path: Path) -> None:
        """Read a state that `_save` wrote, to go on from there."""
        content = torch.load(path, weights_only=True, map_location="cpu")
        if content["of"] != self._identity():
            raise ValueError(f"{path} is of a ranker's training with other settings or lists; delete it and start anew")
        self.model.load_state_dict(content["weights"])
        self.optimizer.restore(content["optimizer"])
        torch.set_rng_state(content["torch"])
        for name, value in content["progress"].items():
            setattr(self, name, value)
        self.best_weights = content["best_weights"]


def _tables_read(model: RankingModel, rows: Tensor) -> Mapping[str, Tensor]:
    """Return what items read of the weights with sparse gradients.

    name -> int64 rows, each once.

    Parameters
    ----------
    rows : int64 (n,), item rows, each once.
    """
    found = {}
    if has_sparse_gradient(len(model.item_features)):
        found[IDS] = rows
    features = model.items.features
    if features is not None and has_sparse_gradient(len(features.weight)):
        found[FEATURES] = model.item_features[rows].unique()
    return found


def _occurrences(lists: RankedLists, num_items: int) -> Tensor:
    """Count how often each item occurs in histories and among candidates: int64 (items,)."""
    asked = np.concatenate([lists.cases.history[lists.cases.mask], lists.brought.candidates[lists.real]])
    return torch.from_numpy(np.bincount(asked, minlength=num_items))
