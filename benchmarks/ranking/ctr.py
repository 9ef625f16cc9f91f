"""DIN and DIEN beside those of torch-rechub, on the same examples: AUC, GAUC, and examples a second.

Ours are measured without what is fitted on validation users in the end, which the peer has not: the network alone. Its
loss orders each list, the peer's judges each row by itself. Times are of epochs of training, one thread each, in one
run.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.harness.report import finish
from benchmarks.ranking.command import matching_of
from benchmarks.ranking.rechub_peer import PEERS, RechubPeer, require_peer
from mindstream.log_options import must_be_there
from model_export.commands.behaviours import read_behaviours
from model_export.commands.options import set_threads
from model_export.evaluation.report import table
from model_export.models.checkpoint import Checkpoint
from model_export.rankers.ranked_checkpoint import new_ranker
from model_export.rankers.ranker_config import ranker_preset
from model_export.ranking.evaluation import KINDS, measure_order
from model_export.ranking.inputs import score_lists
from model_export.ranking.losses import joined
from model_export.ranking.ranked_lists import RankedLists
from model_export.ranking.ranker_training import RankerTraining
from model_export.ranking.second_stage import SecondStage
from model_export.ranking.training import RankerRun

__all__ = ["main"]

TOP = 200  # candidates of a test user
MEASURED = ("auc", "gauc", "ndcg@10")

Figures = Mapping[str, Mapping[str, float]]


def main(
    data: Annotated[Path, typer.Option(help="Interaction log; a publisher's file or folder.", callback=must_be_there)],
    seeds: Annotated[int, typer.Option(help="Trainings of each; figures are their means.", min=1)] = 1,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Matching model that `train` wrote of this log, for the second stage alone.", exists=True),
    ] = None,
    examples: Annotated[int, typer.Option(help="Most lists that are learned from.", min=1)] = 10_000,
    most: Annotated[int, typer.Option(help="Most lists of test users, of each kind.", min=1)] = 1_000,
) -> None:
    """Measure DIN and DIEN beside torch-rechub's, on the same examples."""
    require_peer()
    set_threads(1)
    events = read_behaviours(data, impressions=True)
    print(events.describe())
    runs: list[Figures] = []
    for seed in range(7, 7 + seeds):
        matching = matching_of(events, checkpoint, seed)
        stage = SecondStage.of(matching, events)
        training = RankerTraining(examples=examples, seed=seed)
        runs.append(_run(stage, matching, training, most))
    found = {name: _mean([run[name] for run in runs]) for name in runs[0]}
    print(
        table(
            ["mean", *found[PEERS[0]]], [(name, *(f"{its:.4g}" for its in one.values())) for name, one in found.items()]
        )
    )
    finish(_last_line(found))


def _run(stage: SecondStage, matching: Checkpoint, training: RankerTraining, most: int) -> Figures:
    """Train ours and the peer's on the same lists, and measure both on the test users.

    Returns
    -------
    network -> name -> figure
    """
    lists = stage.training_lists(training)
    valid = stage.questions(stage.split.valid, training.valid_cases, training.lists.brought, training.seed)
    valid_lists = [some for some in valid if len(some)]
    test = stage.questions(stage.split.test, most, TOP, 7)
    items, figures = len(matching.vocabulary.item_ids), {}
    for name in PEERS:
        config = replace(ranker_preset(name).config, tasks=stage.tasks, history_length=stage.length)
        run = RankerRun(new_ranker(config, matching.vocabulary), lists, valid_lists, stage.task_weights, training)
        run.fit(progress=True)
        scores = [joined(score_lists(run.model, some, network_only=True), stage.task_weights) for some in test]
        figures[name] = _measured(test, scores, len(lists) * run.epoch / run.seconds)
        peer = RechubPeer(name, config, items, lists, valid_lists, training)
        speed = len(lists) / float(np.mean(peer.epoch_s))
        figures[f"{name} (torch-rechub)"] = _measured(test, [peer.scores(some) for some in test], speed)
    return figures


def _measured(test: tuple[RankedLists, RankedLists], scores: list[np.ndarray], lists_per_s: float) -> dict[str, float]:
    """Return the figures of both kinds of questions, and the lists a second of training."""
    found: dict[str, float] = {}
    for kind, some, its in zip(KINDS, test, scores, strict=True):
        if len(some):
            figures = measure_order(kind, some, its).figures()
            found |= {f"{name} {kind}": figures[name] for name in MEASURED}
    return found | {"lists_per_s": lists_per_s}


def _mean(figures: list[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each figure over the seeds."""
    return {name: float(np.mean([one[name] for one in figures])) for name in figures[0]}


def _last_line(found: Figures) -> dict[str, float]:
    """Return all figures, and what ours are of the peer's."""
    line = {f"{network}: {name}": value for network, its in found.items() for name, value in its.items()}
    for name in PEERS:
        ours, peer = found[name], found[f"{name} (torch-rechub)"]
        line[f"{name}_speed_ratio"] = ours["lists_per_s"] / peer["lists_per_s"]
    return line
