"""The daily retrain: retrain, once or every night."""

import logging
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from mindstream import settings
from mindstream.commands.every_day import Nights, in_own_process, parse_hour
from mindstream.console import stop_on_signals
from mindstream.log_options import is_missing, takes_log
from mindstream.mapping import Mapping
from model_export.bundle.check import check
from model_export.bundle.homes.open_registry import open_registry
from model_export.commands.behaviours import read_behaviours
from model_export.commands.bundles import EXIT_REFUSED
from model_export.commands.options import (
    BatchSize,
    Dim,
    Force,
    HistoryLength,
    MaxDrop,
    MinHr,
    MinRecall,
    Model,
    Models,
    NumInterests,
    Ranker,
    Seed,
    Since,
    Start,
    Steps,
    Threads,
    Until,
    given_options,
    set_threads,
)
from model_export.evaluation.gate import LEAST_RECALL, Gate
from model_export.models.model_config import ModelConfig
from model_export.models.presets import DEFAULT, preset
from model_export.models.training_config import TrainingConfig
from model_export.rankers.ranker_config import RankerConfig, ranker_preset

__all__ = ["NIGHTS", "Request", "app", "retrain_once"]

MAX_DROP = 0.1  # nobody looks on at night
NIGHTS = "nights.json"  # in the home: when the next retrain is, and how the last ended

logger = logging.getLogger(__name__)  # `log` is an option

app = typer.Typer(pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Request:
    """All that a retrain is asked to do.

    Attributes
    ----------
    source : path or address of the log, read by `mapping`.
    since, until : the period that is learned from; `days`: so many days before today instead of `since`.
    models : folder or url of the registry.
    """

    source: str | Path
    mapping: Mapping
    since: datetime | None
    until: datetime | None
    days: int | None
    model: ModelConfig
    training: TrainingConfig
    gate: Gate
    models: str | Path
    threads: int = 1
    force: bool = False
    cold: bool = False
    ranker: RankerConfig | None = None

    def begin(self, now: datetime) -> datetime | None:
        """Return the first day that is learned from (UTC); None: the log's own."""
        if self.days is None:
            return self.since
        return datetime(now.year, now.month, now.day) - timedelta(days=self.days)


@app.command()
@takes_log
def retrain(
    mapping: Mapping,
    log: Annotated[str | None, typer.Option(help="Interaction log [default: $MINDSTREAM_LOG].")] = None,
    since: Since = None,
    until: Until = None,
    days: Annotated[
        int | None,
        typer.Option(help="Learn from events of so many days before today (UTC), and today's.", min=1, max=36_500),
    ] = None,
    every_day_at: Annotated[
        str | None, typer.Option(help="Do not end: retrain every day at this hour (UTC), such as 03:00.")
    ] = None,
    model: Model = DEFAULT,
    steps: Steps = None,
    batch_size: BatchSize = None,
    dim: Dim = None,
    num_interests: NumInterests = None,
    history_length: HistoryLength = None,
    start: Start = None,
    ranker: Ranker = None,
    seed: Seed = 7,
    threads: Threads = 1,
    cold: Annotated[bool, typer.Option("--cold", help="Do not begin with the current bundle's items.")] = False,
    min_hr: MinHr = None,
    max_drop: MaxDrop = MAX_DROP,
    min_recall: MinRecall = LEAST_RECALL,
    force: Force = False,
    models: Models = None,
) -> None:
    """Train, evaluate, export, index, gate and publish; exit status 1: refused, 2: error."""
    configured, chosen = settings.load(), preset(model)
    source = log or configured.log
    if source is None:
        raise ValueError("there is no log to learn from: give --log or set MINDSTREAM_LOG")
    if since is not None and days is not None:
        raise ValueError(
            f"--since ({since:%Y-%m-%d}) and --days ({days}) both say where to begin; right is one of them"
        )
    request = Request(
        *(source, mapping, since, until, days),
        replace(chosen.model, **given_options(dim=dim, num_interests=num_interests, history_length=history_length)),
        replace(chosen.training, seed=seed, **given_options(steps=steps, batch_size=batch_size, start=start)),
        Gate(min_hr, max_drop, min_recall),
        *(models or configured.published, threads, force, cold),
        None if ranker is None else ranker_preset(ranker).config,
    )
    if every_day_at is None and is_missing(source):
        raise FileNotFoundError(f"{'--log' if log else 'MINDSTREAM_LOG'}: no file or folder at {source}")
    if every_day_at is None:
        raise typer.Exit(retrain_once(request))
    hour = parse_hour(every_day_at)
    _warn_if_missing(source)
    task = partial(_retrain_in_own_process, request)
    Nights(hour, task, configured.home / NIGHTS).run(stop_on_signals())


def _warn_if_missing(source: str | Path) -> None:
    """Warn of a log that is not there: it may come before the night, or be misspelt."""
    if is_missing(source):
        logger.warning("the log %s is not there yet; if it is not there at night either, that night fails", source)


def _retrain_in_own_process(request: Request, stop: Event) -> int:
    """Do what is asked in a new process, and return its exit status."""
    return in_own_process(retrain_once, request, stop=stop)


def retrain_once(request: Request) -> int:
    """Do what is asked, say what came of it, and return the exit status.

    Raises
    ------
    ValueError, OSError
        If the log cannot be read or learned from, or another retrain is at work.
    """
    from mindstream.retrain import Plan, alone, retrain  # torch takes a while

    set_threads(request.threads)
    started = time.monotonic()
    home = settings.load().home
    plan = Plan(request.model, request.training, request.gate, home, request.force, request.cold, request.ranker)
    registry = open_registry(request.models, settings.load().cache, check)
    with alone(registry):
        period = request.begin(datetime.now(UTC)), request.until
        events = read_behaviours(request.source, request.mapping, *period, impressions=request.ranker is not None)
        done = retrain(events, plan, registry, progress=sys.stderr.isatty())
    for objection in done.verdict.objections:
        print(f"{'forced' if done.published else 'refused'}: {objection}", file=sys.stderr)
    what = f"published {done.bundle.version}" if done.published else f"refused {done.bundle.path}"
    size = f"{done.bundle.manifest.items:,} items, {len(events.events):,} interactions"
    print(f"{what}: {done.verdict}; {size}; {time.monotonic() - started:.0f} s", flush=True)
    return 0 if done.published else EXIT_REFUSED
