"""Training: Adam on sampled softmax, early stopping on validation HR@50."""

import math
import random
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from tqdm import tqdm

from model_export.cases import Cases, next_item_cases
from model_export.checkpoint import Checkpoint, TrainingConfig, new_model
from model_export.dataset import Vocabulary, build_sequences, build_vocabulary
from model_export.evaluation import serving_logits, top_n
from model_export.interactions import InteractionLog
from model_export.metrics import means, per_case
from model_export.mind import Mind, MindConfig
from model_export.sampler import Sampler
from model_export.split import split_users

VALIDATION_CASES = 2_000


def train(log: InteractionLog, config: MindConfig, training: TrainingConfig, progress: bool = True) -> Checkpoint:
    """Train MIND on a log, on a GPU where there is one, and keep the step with the best validation HR@50.

    Raises
    ------
    ValueError
        If the log has too few events to train on.
    """
    seed_everything(training.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    vocabulary = build_vocabulary(log)
    sequences = build_sequences(log, vocabulary)
    split = split_users(sequences.user_ids, training.valid_share, training.test_share, log.sides)
    sampler = Sampler(sequences, split.train, config.history_length, training, len(vocabulary.item_ids), device)
    cases = next_item_cases(sequences, split.valid, config.history_length, VALIDATION_CASES, training.seed)
    model = new_model(config, vocabulary).to(device)
    validation = fit(model, sampler, cases, vocabulary, training, progress)
    popularity = np.bincount(sequences.items, minlength=len(vocabulary.item_ids))
    return Checkpoint(
        model.cpu(),
        vocabulary,
        popularity,
        catalogue_of(log, vocabulary),
        describe(log),
        training,
        validation,
    )


def seed_everything(seed: int) -> None:
    """Make what follows repeatable on the same machine."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def fit(
    model: Mind,
    sampler: Sampler,
    cases: Cases,
    vocabulary: Vocabulary,
    training: TrainingConfig,
    progress: bool,
) -> dict[str, float]:
    """Run Adam until the steps or the time are used up or HR@50 has stopped growing; keep the best weights.

    Returns
    -------
    The best validation metrics, empty where no user was held out for validation.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=training.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.steps)
    logits = serving_logits(vocabulary, model.config)
    limit = math.inf if training.max_seconds is None else training.max_seconds
    start = time.monotonic()
    best: dict[str, float] = {}
    best_weights: dict[str, torch.Tensor] = {}
    looks_without_gain = 0
    with progress_bar(training, progress) as bar:
        for step in range(1, training.steps + 1):
            loss = train_step(model, sampler, optimizer)
            if not math.isfinite(loss):
                raise ValueError(
                    f"the loss is {loss} at step {step}; pow_p ({model.config.pow_p}) or the learning rate "
                    f"({training.learning_rate}) is too large"
                )
            schedule.step()
            elapsed = time.monotonic() - start
            last = step == training.steps or elapsed > limit
            bar.update((step if math.isinf(limit) else min(elapsed, limit)) - bar.n)
            if len(cases) and (step % training.validate_every == 0 or last):
                found = validate(model, cases, logits)
                looks_without_gain += 1
                if not best or found["hr@50"] > best["hr@50"]:
                    best, looks_without_gain = found, 0
                    best_weights = {name: value.clone() for name, value in model.state_dict().items()}
                bar.set_postfix(loss=f"{loss:.3f}", hr50=f"{found['hr@50']:.3f}", best=f"{best['hr@50']:.3f}")
            if last or looks_without_gain >= training.patience:
                break
    if best_weights:
        model.load_state_dict(best_weights)
    return best


def progress_bar(training: TrainingConfig, shown: bool) -> "tqdm[NoReturn]":
    """A bar that counts what ends the training: seconds where they are limited, else steps."""
    if training.max_seconds is None:
        return tqdm(total=training.steps, desc="training", unit="step", disable=not shown)
    seconds = "{l_bar}{bar}| {n:.0f}/{total:.0f} s{postfix}"
    return tqdm(total=training.max_seconds, desc="training", bar_format=seconds, disable=not shown)


def train_step(model: Mind, sampler: Sampler, optimizer: torch.optim.Optimizer) -> float:
    """One step of Adam; the loss before it."""
    history, mask, target, profile, negatives = sampler.batch()
    config = model.config
    shape = (len(history), config.num_interests, config.history_length)
    logits = config.routing_sigma * torch.randn(shape, device=history.device)
    loss = model.loss(history, mask, target, profile if profile.shape[1] else None, logits, negatives, sampler.log_q)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def validate(model: Mind, cases: Cases, logits: torch.Tensor) -> dict[str, float]:
    """Metrics with the fixed routing logits that serving uses."""
    with torch.no_grad():
        table = model.item_table()
    top = top_n(model.extractor, table, logits.to(table.device), cases, 50)
    return means(per_case(top, cases.labels))


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
