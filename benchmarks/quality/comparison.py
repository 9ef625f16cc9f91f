"""A comparison on one log: its models, baselines and anchors, each trained and measured in a process of its own."""

from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from tqdm import tqdm

from benchmarks.quality.anchors.choice import ANCHORS, HAVE_SEEDS
from benchmarks.quality.measured import measure_anchor, measure_baselines, train_and_measure, with_settings
from benchmarks.quality.ranker_results import RankerResult, TrainingResult, mean_result
from model_export.data.interactions import InteractionLog
from model_export.models.presets import Preset

__all__ = ["Comparison", "Results", "compare_all"]

WORKERS = 2  # trainings at a time, each on one thread


@dataclass(frozen=True)
class Comparison:
    """What is compared on one log.

    Attributes
    ----------
    models : name -> settings.
    main_model : the name of the one whose split of the users all share.
    anchors : see `fit_anchor`.
    with_wals : WALS is among the baselines.
    seeds : trainings of each model and of each anchor that is drawn by chance.
    steps : most training steps of the models; None: their own.
    """

    log: InteractionLog
    models: dict[str, Preset]
    main_model: str
    anchors: Sequence[str] = ()
    with_wals: bool = False
    seeds: int = 1
    steps: int | None = None


@dataclass(frozen=True)
class Results:
    """Results of one comparison.

    Attributes
    ----------
    models : name -> its trainings.
    others : most popular, the baselines and the anchors; of several seeds the means.
    """

    models: dict[str, list[TrainingResult]]
    others: list[RankerResult]


@dataclass(frozen=True)
class _Running:
    """A comparison that processes work on."""

    baselines: Future[list[RankerResult]]
    anchors: dict[str, list[Future[RankerResult]]]
    models: dict[str, list[Future[TrainingResult]]]

    def futures(self) -> list[Future[Any]]:
        """Return all that is waited for."""
        anchors: list[Future[Any]] = [run for runs in self.anchors.values() for run in runs]
        return [self.baselines, *anchors, *(run for runs in self.models.values() for run in runs)]

    def results(self) -> Results:
        """Return what was found, as soon as all is there."""
        anchors = [mean_result(ANCHORS[name], [run.result() for run in runs]) for name, runs in self.anchors.items()]
        models = {name: [run.result() for run in runs] for name, runs in self.models.items()}
        return Results(models, [*self.baselines.result(), *anchors])


def compare_all(comparisons: Sequence[Comparison]) -> list[Results]:
    """Train and measure everything that is compared, on the same two processors."""
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        running = [_start(pool, comparison) for comparison in comparisons]
        futures = [future for one in running for future in one.futures()]
        for future in tqdm(as_completed(futures), total=len(futures), desc="training and judging", unit="model"):
            future.result()  # what failed is told at once
        return [one.results() for one in running]


def _start(pool: ProcessPoolExecutor, asked: Comparison) -> _Running:
    """Hand one comparison to the processes."""
    settings, seeds = asked.models[asked.main_model], range(1, asked.seeds + 1)
    baselines = pool.submit(measure_baselines, asked.log, settings, asked.with_wals)
    anchors = {
        name: [
            pool.submit(measure_anchor, name, seed, asked.log, settings)
            for seed in (seeds if name in HAVE_SEEDS else seeds[:1])
        ]
        for name in asked.anchors
    }
    models = {
        name: [pool.submit(train_and_measure, name, with_settings(one, seed, asked.steps), asked.log) for seed in seeds]
        for name, one in asked.models.items()
    }
    return _Running(baselines, anchors, models)
