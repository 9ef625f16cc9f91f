"""The training loop: AdamW, validation, early stopping, and a state from which a stopped training goes on."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from model_export.bundle.scoring.neighbours import NeighbourScores
from model_export.evaluation.cases import Cases
from model_export.evaluation.metrics import mean_metrics, metrics_per_case
from model_export.evaluation.model_ranker import rank_by_model
from model_export.models.checkpoint import write
from model_export.models.interest_model import InterestModel
from model_export.models.training_config import TrainingConfig
from model_export.training.objective import objective
from model_export.training.optimizer import ModelOptimizer
from model_export.training.running_average import RunningAverage
from model_export.training.sampler import Sampler

__all__ = ["TrainingRun", "validate"]

STATE_PARTS = {"of", "weights", "average", "optimizer", "sampler", "torch", "cuda", "progress", "best_weights"}
PROGRESS = ("step", "seconds", "looks_without_gain", "best", "latest")
NO_STATE = "{} is not the state of a training that this version can go on with; delete it and start anew"


class TrainingRun:
    """A training by AdamW, with validation and early stopping.

    It ends as soon as the steps or the time are used up or recall@50 has stopped growing.

    Attributes
    ----------
    best, latest : the best validation metrics and the last ones; in the end `best` are those of the weights that are
        kept. Empty if no user was held out for validation.
    """

    def __init__(self, model: InterestModel, sampler: Sampler, cases: Cases, training: TrainingConfig) -> None:
        self.model, self.sampler, self.cases, self.training = model, sampler, cases, training
        sparse = model.tables_read(torch.zeros(1, dtype=torch.int64, device=model.item_features.device))
        self.optimizer = ModelOptimizer(model, sparse, training.learning_rate, training.weight_decay, self.steps)
        tables = list(self.optimizer.tables)
        self.average = RunningAverage(model, training.averaging, self.steps, tables) if training.averaging else None
        self.step, self.seconds, self.looks_without_gain = 0, 0.0, 0
        self.best: dict[str, float] = {}
        self.latest: dict[str, float] = {}
        self.best_weights: dict[str, torch.Tensor] = {}

    @property
    def _spent(self) -> float:
        """Return the share of the steps, or of the time, that is used up: 0 to 1."""
        limit = math.inf if self.training.max_seconds is None else self.training.max_seconds
        return min(1.0, max(self.step / self.steps, self.seconds / limit))

    @property
    def steps(self) -> int:
        """Return the most steps."""
        assert self.training.steps is not None, "train.py has decided by now"
        return self.training.steps

    @property
    def kept(self) -> InterestModel:
        """Return the model that is validated and kept: the running average, if there is one."""
        return self.model if self.average is None else self.average.model

    def fit(self, progress: bool, state: Path | None, data: dict[str, Any]) -> None:
        """Train to the end and load the best weights.

        Parameters
        ----------
        progress : show a progress bar.
        state : file where the state of the training is kept, or None.
        data : what tells this training's data from another's, see `restore`.

        Raises
        ------
        ValueError
            If the loss is not finite.
        """
        with _progress_bar(self, progress) as bar:
            while self._spent < 1 and self.looks_without_gain < self.training.patience:
                started = time.monotonic()
                loss = self.train_step()
                self.seconds += time.monotonic() - started
                bar(loss)
                if self.step % self.training.validate_every == 0 or self._spent == 1:
                    looked = time.monotonic()
                    self.validate_now()
                    if self.training.max_seconds is not None:
                        self.seconds += time.monotonic() - looked  # whoever set the limit waits for this too
                    if state is not None:
                        self.save(state, data)
        self._catch_up_all()
        self._choose()
        self.model.eval()

    def _choose(self) -> None:
        """Load the weights that are kept: the best at a validation, or the last average.

        An average at the end of a falling rate has no lucky steps; what looked better before did so on few users. Only
        a training that was stopped because it did not get better goes back to its best.
        """
        stopped = self.looks_without_gain >= self.training.patience
        if self.training.averaging and not stopped:
            self.best, self.best_weights = self.latest, {}
        self.model.load_state_dict(self.best_weights or self.kept.state_dict())

    def train_step(self) -> float:
        """Take one step of AdamW and return the loss before it.

        Raises
        ------
        ValueError
            If the loss is not finite.
        """
        self.model.train()
        batch = self.sampler.batch()
        self._catch_up(self.model.tables_read(batch.rows))
        loss = objective(self.model, batch, self.training)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ValueError(
                f"the loss is {value} at step {self.step + 1}; pow_p ({self.model.config.pow_p}) or the learning rate "
                f"({self.training.learning_rate}) is too large"
            )
        loss.backward()
        touched = self.optimizer.step(self.training.learning_rate * (1 + math.cos(math.pi * self._spent)) / 2)
        self.step += 1
        if self.average is not None:
            self.average.update(touched)
        return value

    def _catch_up(self, read: Mapping[str, Tensor]) -> None:
        """Bring rows of large tables, and their averages, to the steps so far."""
        self.optimizer.catch_up(read)
        if self.average is not None:
            for name, rows in read.items():
                self.average.catch_up(name, rows)

    def _catch_up_all(self) -> None:
        """Bring all rows of large tables, and their averages, to the steps so far."""
        self.optimizer.catch_up_all()
        if self.average is not None:
            self.average.catch_up_all()

    def validate_now(self) -> None:
        """Measure the validation users and remember the best weights.

        With the routing logits that serving uses. Nothing happens without validation users.
        """
        if not len(self.cases):
            return
        self._catch_up_all()
        self.latest = found = validate(self.kept, self.cases)
        self.looks_without_gain += 1
        if not self.best or found["recall@50"] > self.best["recall@50"]:
            self.best, self.looks_without_gain = found, 0
            self.best_weights = {name: value.clone() for name, value in self.kept.state_dict().items()}

    def save(self, path: Path, data: dict[str, Any]) -> None:
        """Write the state of the training, whole or not at all."""
        content = {
            "of": {"config": asdict(self.model.config), "training": asdict(self.training), "data": data},
            "weights": self.model.state_dict(),
            "average": self.average.state() if self.average is not None else None,
            "optimizer": self.optimizer.state(),
            "sampler": self.sampler.state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all(),
            "progress": {
                name: getattr(self, name) for name in ("step", "seconds", "looks_without_gain", "best", "latest")
            },
            "best_weights": self.best_weights,
        }
        write(content, path)

    def restore(self, path: Path, data: dict[str, Any]) -> None:
        """Read a state that `save` wrote, to go on from there.

        Raises
        ------
        ValueError
            If it is no such file, or of a training with other settings or another log.
        """
        content = _read_state(path)
        identity = {"config": asdict(self.model.config), "training": asdict(self.training), "data": data}
        for part, now in identity.items():
            then = content["of"][part]
            for name in sorted(then.keys() | now.keys()):
                if then.get(name) != now.get(name):
                    raise ValueError(
                        f"{path} is of another training: {name} was {then.get(name)} there and is {now.get(name)} here"
                    )
        self.model.load_state_dict(content["weights"])
        if self.average is not None:
            self.average.restore(content["average"])
        self.optimizer.restore(content["optimizer"])
        self.sampler.restore(content["sampler"])
        torch.set_rng_state(content["torch"])
        if len(content["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(content["cuda"])
        for name, value in content["progress"].items():
            setattr(self, name, value)
        self.best_weights = content["best_weights"]


def _read_state(path: Path) -> dict[str, Any]:
    """Read what `TrainingRun.save` wrote; raise ValueError for another file or half a one."""
    try:
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        if content.keys() == STATE_PARTS:
            return content
    except Exception as error:  # torch raises many kinds on a file that is not one of its own
        raise ValueError(NO_STATE.format(path)) from error
    raise ValueError(NO_STATE.format(path))


@contextmanager
def _progress_bar(run: TrainingRun, shown: bool) -> Iterator[Any]:
    """Show a progress bar over steps or seconds; call the yielded function after each step."""
    limit = run.training.max_seconds
    total = run.steps if limit is None else limit
    unit = "steps" if limit is None else "s"
    form = "{l_bar}{bar}| {n:.0f}/{total:.0f} " + unit + " [{elapsed}<{remaining}{postfix}]"
    with tqdm(total=total, desc="training", bar_format=form, disable=not shown, mininterval=0.5) as bar:

        def tell(loss: float) -> None:
            bar.update((run.step if limit is None else min(run.seconds, limit)) - bar.n)
            speed = run.step * run.training.batch_size / max(run.seconds, 1e-9)
            best = f"{100 * run.best['recall@50']:.1f} %" if run.best else "-"
            bar.set_postfix_str(f"{speed:,.0f} examples/s, loss {loss:.2f}, best recall@50 {best}", refresh=False)

        tell(math.nan)
        yield tell


def validate(model: InterestModel, cases: Cases, neighbours: NeighbourScores | None = None) -> dict[str, float]:
    """Return metrics on cases with the routing logits that serving uses, from 0 to 1.

    Parameters
    ----------
    neighbours : that count beside max-sim, once training has chosen them.
    """
    return mean_metrics(metrics_per_case(rank_by_model(model, cases, 50, neighbours=neighbours), cases.labels))
