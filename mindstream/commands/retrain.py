"""The daily retrain: retrain."""

import sys
import time
from dataclasses import replace
from typing import Annotated

import typer

from mindstream import settings
from mindstream.log_options import takes_log
from mindstream.mapping import Mapping
from model_export.bundle.check import check
from model_export.bundle.registry import Registry
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
    Seed,
    Since,
    Steps,
    Threads,
    Until,
    given_options,
    set_threads,
)
from model_export.evaluation.gate import LEAST_RECALL, Gate
from model_export.models.presets import DEFAULT, preset

__all__ = ["app"]

MAX_DROP = 0.1  # nobody looks on at night

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
@takes_log
def retrain(
    mapping: Mapping,
    log: Annotated[str | None, typer.Option(help="Interaction log [default: $MINDSTREAM_LOG].")] = None,
    since: Since = None,
    until: Until = None,
    model: Model = DEFAULT,
    steps: Steps = None,
    batch_size: BatchSize = None,
    dim: Dim = None,
    num_interests: NumInterests = None,
    history_length: HistoryLength = None,
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
    from mindstream.retrain import Plan, alone, retrain  # torch takes a while

    set_threads(threads)
    started, configured, chosen = time.monotonic(), settings.load(), preset(model)
    plan = Plan(
        replace(chosen.model, **given_options(dim=dim, num_interests=num_interests, history_length=history_length)),
        replace(chosen.training, seed=seed, **given_options(steps=steps, batch_size=batch_size)),
        Gate(min_hr, max_drop, min_recall),
        configured.home,
        force,
        cold,
    )
    registry, source = Registry(models or configured.models, check), log or configured.log
    if source is None:
        raise ValueError("there is no log to learn from: give --log or set MINDSTREAM_LOG")
    with alone(registry):
        events = read_behaviours(source, mapping, since, until)
        done = retrain(events, plan, registry, progress=sys.stderr.isatty())
    for objection in done.verdict.objections:
        print(f"{'forced' if done.published else 'refused'}: {objection}", file=sys.stderr)
    what = f"published {done.bundle.version}" if done.published else f"refused {done.bundle.path}"
    size = f"{done.bundle.manifest.items:,} items, {len(events.events):,} interactions"
    print(f"{what}: {done.verdict}; {size}; {time.monotonic() - started:.0f} s")
    if not done.published:
        raise typer.Exit(EXIT_REFUSED)
