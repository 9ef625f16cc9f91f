"""The model card of a bundle for people: the model, its data and its metrics beside the baselines'.

After Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from model_export.evaluation.evaluate import COMIREC_LENGTH
from model_export.evaluation.report import COLUMNS, table
from model_export.models.checkpoint import Checkpoint
from model_export.models.presets import PRESETS
from model_export.rankers.ranked_checkpoint import RankedCheckpoint
from model_export.rankers.ranker_config import RANKERS

__all__ = ["model_card"]

LIBRARIES = ("mindstream", "torch", "onnx", "onnxscript", "onnxruntime", "numpy", "scipy")
PROTOCOL = (
    "Users who were held out of training; of each, the first 80 % of the behaviours are the history, whose last "
    "{length} are read, and the rest are the labels. All items are ranked. In brackets 95 % bootstrap intervals over "
    "the users."
)
PAGE_COLUMNS = {"NDCG@10": "ndcg@10", "HR@10": "hr@10", "MRR": "mrr", "AUC": "auc", "GAUC": "gauc"}
RANKED = {
    "ahead": "The best candidates of matching in a new order, against all that followed",
    "next": "Likewise against the next behaviour",
}


def model_card(checkpoint: Checkpoint, bundle_version: str) -> str:
    """Return the card as Markdown."""
    name = checkpoint.model.config.name
    parts = [
        f"# {name}, version {bundle_version}",
        PRESETS[name].source if name in PRESETS else "A model with settings of its own.",
        "## Data",
        _data(checkpoint),
        "## How good it is",
        _figures(checkpoint),
        *_ranker(checkpoint.ranker),
        "## Training",
        _training(checkpoint),
        "## Settings",
        _settings(asdict(checkpoint.model.config) | asdict(checkpoint.training)),
        "## Versions",
        _settings({"Python": platform.python_version()} | {library: version(library) for library in LIBRARIES}),
    ]
    return "\n\n".join(parts) + "\n"


def _data(checkpoint: Checkpoint) -> str:
    """Describe the data: source, range and counts."""
    data = checkpoint.data
    side_features = ", ".join(checkpoint.vocabulary.feature_fields) or "none"
    profile = ", ".join(checkpoint.vocabulary.profile_fields) or "none"
    span = f"from {_utc_minute(data['first_event_ms'])} to {_utc_minute(data['last_event_ms'])} (UTC)"
    return (
        f"{data['events']:,} events of {data['users']:,} users with {len(checkpoint.vocabulary.item_ids):,} items from "
        f"{data['source']}, {span if data['timed'] else 'in their order, without times'}. "
        f"Side features of items: {side_features}. Profile fields of users: {profile}.{_rule(data)}"
    )


def _rule(data: Mapping[str, Any]) -> str:
    """Say by which rule events counted as behaviours, if that is known."""
    return f" Weights of event types: {data['behaviours']}." if data.get("behaviours") else ""


def _training(checkpoint: Checkpoint) -> str:
    """Describe the training: steps, seconds and validation metrics."""
    best = ", ".join(f"{name} {100 * value:.2f} %" for name, value in checkpoint.validation.items())
    return f"{checkpoint.steps:,} steps in {checkpoint.seconds:.0f} s. Validation users: {best or 'none'}."


def _utc_minute(time_ms: int) -> str:
    """Return ISO date and minute (UTC) of Unix milliseconds."""
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M")


def _figures(checkpoint: Checkpoint) -> str:
    """Return the metrics of the model beside the baselines' on the same test users."""
    found = checkpoint.figures
    if not found:
        return "It was not evaluated: no user with two behaviours or more was held out for a test."
    rows = [(one["name"], *(_figure_cell(one, metric) for metric in COLUMNS.values())) for one in found]
    text = table(["%", *COLUMNS], rows)
    protocol = PROTOCOL.format(length=min(COMIREC_LENGTH, checkpoint.model.config.history_length))
    return f"{protocol}\n\n{found[0]['users']:,} users.\n\n{_indented(text)}"


def _ranker(ranker: RankedCheckpoint | None) -> list[str]:
    """Describe the second stage and what it does to the pages of test users.

    Nothing without one.
    """
    if ranker is None:
        return []
    config, test = ranker.model.config, ranker.metrics.get("test", {})
    joined = ", ".join(f"{name} {weight:g}" for name, weight in zip(config.tasks, ranker.task_weights, strict=True))
    source = RANKERS[config.name].source if config.name in RANKERS else "A ranker with settings of its own."
    parts = ["## The ranker", f"{config.name}: {source}. Tasks and what they weigh: {joined}."]
    if not test:
        return [*parts, "It was not evaluated: no user with two behaviours or more was held out for a test."]
    for kind, found in test.items():
        parts.append(f"{RANKED[kind]}, {found['lists']:,} lists of test users:")
        parts.append(_indented(_orders(found)))
        if found.get("tasks"):
            parts += ["NDCG@10 by task:", _indented(_by_task(found["tasks"]))]
    return parts


def _indented(text: str) -> str:
    """Return a table as a block of code."""
    return "\n".join(f"    {line}" for line in text.split("\n"))


def _by_task(tasks: Mapping[str, Mapping[str, float]]) -> str:
    """Return NDCG@10 of each order by task."""
    orders = list(next(iter(tasks.values())))
    return table(["%", *tasks], [(one, *(f"{100 * its[one]:.2f}" for its in tasks.values())) for one in orders])


def _orders(found: Mapping[str, Any]) -> str:
    """Return the figures of each order, and the ranker's gain in NDCG@10.

    The gain has its 95 % interval.
    """
    rows = []
    for name, figures in found["orders"].items():
        gain = [100 * value for value in found["gains"].get(name, ())]
        cells = [f"{100 * figures[metric]:.2f}" for metric in PAGE_COLUMNS.values()]
        rows.append((name, *cells, f"{gain[0]:+.2f} [{gain[1]:+.2f}, {gain[2]:+.2f}]" if gain else ""))
    return table(["%", *PAGE_COLUMNS, "the ranker's gain"], rows)


def _figure_cell(figure: Mapping[str, Any], metric: str) -> str:
    """Return a mean with its interval, all in %; "-" where an older checkpoint has not got it."""
    if metric not in figure:
        return "-"
    low, high = figure["intervals"][metric]
    return f"{figure[metric]:.2f} [{low:.2f}, {high:.2f}]"


def _settings(values: Mapping[str, Any]) -> str:
    """Return a list of names and values."""
    return "\n".join(f"- {name}: {value}" for name, value in values.items())
