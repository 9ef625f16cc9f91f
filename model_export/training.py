"""Training: from a log to the checkpoint with the best validation recall@50."""

import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from model_export.cases import Cases, comirec_cases
from model_export.checkpoint import Checkpoint, new_model
from model_export.cooccurrence import Neighbours, co_occurrence, cosine, item_vectors
from model_export.dataset import Sequences, Vocabulary, build_sequences, build_vocabulary, positions_of
from model_export.interactions import InteractionLog
from model_export.metrics import means, per_case
from model_export.model import InterestModel
from model_export.model_config import ModelConfig
from model_export.model_ranker import top_n
from model_export.objective import objective
from model_export.sampler import Sampler
from model_export.split import split_users
from model_export.training_config import TrainingConfig

VALIDATION_CASES = 2_000
STATE_PARTS = {"of", "weights", "optimizer", "sampler", "torch", "cuda", "progress", "best_weights"}
NO_STATE = "{} is not the state of a training that this version can go on with; delete it and start anew"


def train(
    log: InteractionLog,
    config: ModelConfig,
    training: TrainingConfig,
    progress: bool = True,
    state: Path | None = None,
) -> Checkpoint:
    """Train a model on a log, on a GPU where there is one, and keep the step with the best validation recall@50.

    Parameters
    ----------
    state : file where the state of the training is kept at each look at the validation users. If the file is there,
        training goes on from it and ends as if it had never stopped; it is deleted at the end.

    Raises
    ------
    ValueError
        If the log has too few events to train on, or `state` is of another training.
    """
    seed_everything(training.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    vocabulary = build_vocabulary(log)
    if not config.reads_profile:
        vocabulary = replace(vocabulary, profile_fields={})
    sequences = build_sequences(log, vocabulary)
    split = split_users(sequences.user_ids, training.valid_share, training.test_share, log.sides)
    model = new_model(config, vocabulary)
    neighbours = prepare(model, sequences, split.train, training)
    items = len(vocabulary.item_ids)
    sampler = Sampler(sequences, split.train, config.history_length, training, items, device, neighbours)
    valid = split.valid[:VALIDATION_CASES]
    cases = comirec_cases(sequences, valid, config.history_length)
    run = Run(model.to(device), sampler, cases, training)
    data = describe(log)
    if state is not None and state.exists():
        run.restore(state, data)
    run.fit(progress, state, data)
    return Checkpoint(
        model=model.cpu(),
        vocabulary=vocabulary,
        popularity=np.bincount(sequences.items, minlength=items),
        catalogue=catalogue_of(log, vocabulary),
        data=data,
        training=training,
        validation=run.best,
        steps=run.step,
        seconds=run.seconds,
    )


def seed_everything(seed: int) -> None:
    """Make what follows repeatable on the same machine."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def prepare(
    model: InterestModel, sequences: Sequences, users: np.ndarray, training: TrainingConfig
) -> Neighbours | None:
    """Tell the model how often each item was seen, start its table from co-occurrence, collect the items' neighbours.

    The latter two where the settings say so. Held-out users (those not among `users`) teach nothing.
    """
    items = len(model.item_features)
    positions, _ = positions_of(sequences, users)
    counts = np.bincount(sequences.items[positions], minlength=items)
    model.count(torch.from_numpy(counts))
    if training.start == "random" and not training.substitution:
        return None
    similarity = cosine(co_occurrence(sequences, users, items), counts)
    if training.start == "co-occurrence":
        vectors = item_vectors(similarity, model.config.dim, np.random.default_rng(training.seed))
        with torch.no_grad():
            model.items.ids.weight.copy_(torch.from_numpy(vectors))
    return Neighbours(similarity) if training.substitution else None


class Run:
    """One training: AdamW until the steps or the time are used up or recall@50 has stopped growing.

    Attributes
    ----------
    best : the best validation metrics; empty where no user was held out for validation.
    """

    def __init__(self, model: InterestModel, sampler: Sampler, cases: Cases, training: TrainingConfig) -> None:
        self.model, self.sampler, self.cases, self.training = model, sampler, cases, training
        tables = list(model.items.parameters())
        others = [parameter for name, parameter in model.named_parameters() if not name.startswith("items.")]
        self.optimizer = torch.optim.AdamW(
            [{"params": tables, "weight_decay": training.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=training.learning_rate,
        )
        self.step, self.seconds, self.looks_without_gain = 0, 0.0, 0
        self.best: dict[str, float] = {}
        self.best_weights: dict[str, torch.Tensor] = {}

    @property
    def spent(self) -> float:
        """The share of the steps, or of the time, that is used up: 0 to 1."""
        limit = math.inf if self.training.max_seconds is None else self.training.max_seconds
        return min(1.0, max(self.step / self.training.steps, self.seconds / limit))

    def fit(self, progress: bool, state: Path | None, data: dict[str, Any]) -> None:
        """Train to the end and load the best weights."""
        with bar_of(self, progress) as bar:
            while self.spent < 1 and self.looks_without_gain < self.training.patience:
                started = time.monotonic()
                loss = self.train_step()
                self.seconds += time.monotonic() - started
                bar(loss)
                if self.step % self.training.validate_every == 0 or self.spent == 1:
                    self.look()
                    if state is not None:
                        self.save(state, data)
        if self.best_weights:
            self.model.load_state_dict(self.best_weights)
        self.model.eval()
        if state is not None:
            state.unlink(missing_ok=True)

    def train_step(self) -> float:
        """One step of AdamW; the loss before it."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.training.learning_rate * (1 + math.cos(math.pi * self.spent)) / 2
        self.model.train()
        loss = objective(self.model, self.sampler.batch(), self.training)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ValueError(
                f"the loss is {value} at step {self.step + 1}; pow_p ({self.model.config.pow_p}) or the learning rate "
                f"({self.training.learning_rate}) is too large"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return value

    def look(self) -> None:
        """Measure the validation users, with the routing logits that serving uses; remember the best weights."""
        if not len(self.cases):
            return
        found = validate(self.model, self.cases)
        self.looks_without_gain += 1
        if not self.best or found["recall@50"] > self.best["recall@50"]:
            self.best, self.looks_without_gain = found, 0
            self.best_weights = {name: value.clone() for name, value in self.model.state_dict().items()}

    def save(self, path: Path, data: dict[str, Any]) -> None:
        """Write the state of the training, whole or not at all."""
        content = {
            "of": {"config": asdict(self.model.config), "training": asdict(self.training), "data": data},
            "weights": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sampler": self.sampler.state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all(),
            "progress": {name: getattr(self, name) for name in ("step", "seconds", "looks_without_gain", "best")},
            "best_weights": self.best_weights,
        }
        partial = path.with_name(path.name + ".partial")
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, partial)
        partial.replace(path)

    def restore(self, path: Path, data: dict[str, Any]) -> None:
        """Go on from what `save` wrote.

        Raises
        ------
        ValueError
            If it is no such file, or of a training with other settings or another log.
        """
        content = read_state(path)
        of = {"config": asdict(self.model.config), "training": asdict(self.training), "data": data}
        for part, now in of.items():
            then = content["of"][part]
            for name in sorted(then.keys() | now.keys()):
                if then.get(name) != now.get(name):
                    raise ValueError(
                        f"{path} is of another training: its {name} is {then.get(name)}, now it is {now.get(name)}"
                    )
        self.model.load_state_dict(content["weights"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.sampler.restore(content["sampler"])
        torch.set_rng_state(content["torch"])
        if len(content["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(content["cuda"])
        for name, value in content["progress"].items():
            setattr(self, name, value)
        self.best_weights = content["best_weights"]


def read_state(path: Path) -> dict[str, Any]:
    """What `Run.save` wrote; ValueError where it is another file or not whole."""
    try:
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        if content.keys() == STATE_PARTS:
            return content
    except Exception as error:  # torch raises many kinds on a file that is not one of its own
        raise ValueError(NO_STATE.format(path)) from error
    raise ValueError(NO_STATE.format(path))


@contextmanager
def bar_of(run: Run, shown: bool) -> Iterator[Any]:
    """A progress bar over what ends the training, steps or seconds; call what it gives after each step."""
    limit = run.training.max_seconds
    total = run.training.steps if limit is None else limit
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


def validate(model: InterestModel, cases: Cases) -> dict[str, float]:
    """Metrics with the routing logits that serving uses, shares between 0 and 1."""
    return means(per_case(top_n(model, cases, 50), cases.labels))


def catalogue_of(log: InteractionLog, vocabulary: Vocabulary) -> dict[str, list[Any]]:
    """What people are shown of each item, in the order of the vocabulary's items; unknown prices are None."""
    items = log.items.set_index("item_id").loc[vocabulary.item_ids]
    prices = [None if math.isnan(price) else float(price) for price in items.price]
    return {"title": items.title.tolist(), "category": items.category.tolist(), "price": prices}


def describe(log: InteractionLog) -> dict[str, Any]:
    """Where the data came from and what range it covers (times in Unix milliseconds)."""
    return {
        "source": Path(log.source).name,
        "events": len(log.events),
        "users": int(log.events.user_id.nunique()),
        "first_event_ms": int(log.events.event_time_ms.min()),
        "last_event_ms": int(log.events.event_time_ms.max()),
    }
