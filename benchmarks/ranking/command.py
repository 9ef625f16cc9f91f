"""Rankers of the second stage on held-out users: AUC, GAUC and the top of the page, beside the orders without one."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.harness.report import finish
from benchmarks.ranking.orders import KNN, lambdamart_or_none, mean_of_seeds, measure_orders, scores_by_order
from mindstream.log_options import must_be_there
from model_export.commands.behaviours import read_behaviours
from model_export.commands.options import set_threads
from model_export.data.interactions import InteractionLog
from model_export.evaluation.report import table
from model_export.models.checkpoint import Checkpoint, load
from model_export.models.presets import DEFAULT, preset
from model_export.rankers.ranked_checkpoint import RankedCheckpoint
from model_export.rankers.ranker_config import DEFAULT_RANKER, RANKERS, ranker_preset
from model_export.ranking.evaluation import KINDS, PageResult, paired_gain
from model_export.ranking.inputs import score_lists
from model_export.ranking.lambdamart import LambdaMart
from model_export.ranking.ranked_lists import RankedLists
from model_export.ranking.ranker_training import RankerTraining
from model_export.ranking.second_stage import SecondStage, fit_ranker
from model_export.training.train import train

__all__ = ["main", "matching_of"]

ALL = "all"
TOPS = (200, 1_000)  # candidates that are ranked anew
SAMPLE = 20  # lists of which one after the other is timed

Question = tuple[str, int, str]  # kind, how many candidates, and the task that counts, "" for all of them


def main(
    data: Annotated[Path, typer.Option(help="Interaction log; a publisher's file or folder.", callback=must_be_there)],
    ranker: Annotated[
        str, typer.Option(help=f"Which ranker, or {ALL} of them: {', '.join(RANKERS)}.")
    ] = DEFAULT_RANKER,
    seeds: Annotated[int, typer.Option(help="Trainings of each; figures are their means.", min=1)] = 1,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Matching model that `train` wrote of this log, for the second stage alone.", exists=True),
    ] = None,
    examples: Annotated[int, typer.Option(help="Most lists that are learned from.", min=1)] = RankerTraining.examples,
    most: Annotated[int, typer.Option(help="Most lists of test users, of each kind.", min=1)] = 1_000,
) -> None:
    """Measure rankers on the candidates of test users.

    Beside them stand max-sim's order, matching's own, item-kNN's and LambdaMART's.
    """
    set_threads(1)
    names = list(RANKERS) if ranker == ALL else [ranker_preset(ranker).config.name]
    events = read_behaviours(data, impressions=True)
    print(events.describe())
    asked = _Asked(names, examples, most)
    runs = [_measure(events, matching_of(events, checkpoint, seed), asked, seed) for seed in range(7, 7 + seeds)]
    found = {question: mean_of_seeds([run.pages[question] for run in runs]) for question in runs[0].pages}
    main_ranker = DEFAULT_RANKER if ranker == ALL else ranker
    for (kind, top, task), results in found.items():
        what = f", what was taken by {task!r}" if task else ""
        print(f"\n{kind}, the best {top} of matching{what}; NDCG@10 of {main_ranker} beside each in brackets, 95 %\n")
        print(_page_table(results, main_ranker))
    finish(_figures(found, main_ranker, float(np.mean([run.us_per_candidate for run in runs]))))


@dataclass(frozen=True)
class _Asked:
    """What is measured: rankers by name, most lists to learn from, most lists of test users."""

    names: Sequence[str]
    examples: int
    most: int


@dataclass(frozen=True)
class _Run:
    """The results of one seed: of each question every order, and what a candidate costs."""

    pages: Mapping[Question, Mapping[str, PageResult]]
    us_per_candidate: float


def matching_of(events: InteractionLog, file: Path | None, seed: int) -> Checkpoint:
    """Return a matching model of this log: one that is there, or one that is trained now."""
    if file is not None:
        return load(file)
    chosen = preset(DEFAULT)
    return train(events, chosen.model, replace(chosen.training, seed=seed))


def _measure(events: InteractionLog, matching: Checkpoint, asked: _Asked, seed: int) -> _Run:
    """Train the rankers of one seed and measure all orders on the test users."""
    training = RankerTraining(examples=asked.examples, seed=seed)
    stage = SecondStage.of(matching, events)
    lists = stage.training_lists(training)
    valid = stage.questions(stage.split.valid, training.valid_cases, training.lists.brought, seed)
    test = stage.questions(stage.split.test, asked.most, max(TOPS), 7)  # the same lists for every seed
    rankers = {
        name: fit_ranker(stage, matching, lists, valid, ranker_preset(name).config, training) for name in asked.names
    }
    trees = lambdamart_or_none([some for some in valid if len(some)], stage.task_weights, seed)
    pages: dict[Question, dict[str, PageResult]] = {}
    for kind, some in zip(KINDS, test, strict=True):
        for top in TOPS if len(some) else ():
            lists = some.first(top)
            scores = scores_by_order(lists, rankers, trees, matching.neighbours)
            pages[kind, top, ""] = measure_orders(lists, scores)
            for task, name in enumerate(stage.tasks if len(stage.tasks) > 1 else ()):
                if lists.labels[:, :, task].any():
                    pages[kind, top, name] = measure_orders(lists, scores, task)
    return _Run(pages, _us_per_candidate(rankers[asked.names[0]], test[0]))


def _us_per_candidate(ranker: RankedCheckpoint, lists: RankedLists) -> float:
    """Return what ranking one candidate takes, in microseconds.

    By torch on one thread, for a user alone: the median of some users.
    """
    spent = []
    for at in range(min(SAMPLE, len(lists))):
        one = lists.take(slice(at, at + 1))
        started = time.perf_counter()
        score_lists(ranker.model, one)
        spent.append((time.perf_counter() - started) / max(1, one.real.sum()))
    return 1e6 * float(np.median(spent)) if spent else float("nan")


def _page_table(results: Mapping[str, PageResult], main_ranker: str) -> str:
    """Return the figures of every order, and the main ranker's gain over it."""
    rows = []
    for name, one in results.items():
        figures = one.figures()
        shown = [f"{100 * figures[metric]:.2f}" for metric in ("ndcg@10", "hr@10", "mrr", "auc", "gauc")]
        gain, low, high = (100 * value for value in paired_gain(results[main_ranker], one))
        rows.append((name, *shown, "" if name == main_ranker else f"{gain:+.2f} [{low:+.2f}, {high:+.2f}]"))
    return table(["%", "NDCG@10", "HR@10", "MRR", "AUC", "GAUC", "gain"], rows)


def _figures(
    found: Mapping[Question, Mapping[str, PageResult]], main_ranker: str, us_per_candidate: float
) -> dict[str, float]:
    """Return the figures of the last line.

    First the time ahead and the best TOPS[0], then the others by a suffix.
    """
    figures: dict[str, float] = {}
    for (kind, top, task), results in found.items():
        suffix = "" if (kind, top, task) == (KINDS[0], TOPS[0], "") else f"_{kind}_{top}" + (f"_{task}" if task else "")
        mine = results[main_ranker].figures()
        for name, metric in (
            ("auc", "auc"),
            ("gauc", "gauc"),
            ("ndcg10", "ndcg@10"),
            ("hr10", "hr@10"),
            ("mrr", "mrr"),
        ):
            figures[f"{name}{suffix}"] = mine[metric]
        others = {"maxsim": "max-sim", "matching": "matching", "lambdamart": LambdaMart.name, "itemknn": KNN}
        for name, other in others.items():
            ndcg = results[other].figures()["ndcg@10"] if other in results else float("nan")
            figures[f"ndcg10_{name}{suffix}"] = ndcg
    return figures | {"us_per_candidate": us_per_candidate}
