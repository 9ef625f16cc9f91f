"""A whole night on a real Kafka, for a shop that publishes by Segment: publish, update, archive, retrain, gate, swap.

Every part is the command that people have, as a process of its own. The archive is compared with what was published,
event by event, and both models are judged on the next day, which neither has seen.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.harness.report import finish
from benchmarks.night.calls import told_by, told_in
from benchmarks.night.days import Days, days_of
from benchmarks.night.night import Night, first_model, night_of
from benchmarks.night.verdict import archive_faults, hit_rates
from mindstream.log_options import must_be_there
from model_export.bundle.bundle import Bundle
from model_export.data.interactions import InteractionLog
from model_export.data.simulator import simulate
from model_export.evaluation.report import table
from model_export.readers import read_log
from testbed.real_kafka import RealKafka

__all__ = ["figures_of", "main"]

EVENTS_A_USER = 10  # that are published, about, of a user of the simulated shop; 50 in all


def main(
    events: Annotated[int, typer.Option(help="Events that are published before the night.", min=100)] = 20_000,
    data: Annotated[
        str | None,
        typer.Option(help="Interaction log with times, instead of the simulated shop.", callback=must_be_there),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Most steps of each training.", min=1, show_default="all")] = None,
) -> None:
    """Count what is lost or doubled up to the new model, and judge it on the next day.

    Where something is, or the updater still serves the old model, the status is 1.
    """
    log = read_log(data) if data else simulate(events // EVENTS_A_USER).log
    print(log.describe())
    days = days_of(log, events)
    options = [] if steps is None else ["--steps", str(steps)]
    with tempfile.TemporaryDirectory(prefix="mindstream-") as made, RealKafka() as kafka:
        folder = Path(made)
        before = first_model(days.known, folder / "first", options)
        with night_of(kafka, before, days, folder, options) as night:
            figures = figures_of(night, before, log, days)
    _report(night, figures)
    if figures["lost"] or figures["doubled"] or figures["of_old_model"]:
        raise typer.Exit(1)


def figures_of(night: Night, before: Bundle, log: InteractionLog, days: Days) -> dict[str, float]:
    """Return the figures of a night, while its home is there."""
    assert night.after is not None
    told = told_by(night.calls)
    (old, new), users = hit_rates([before, night.after], log, days)
    return {
        "events": told.total(),
        "replayed": len(days.known.events),
        "applied": night.applied,
        **archive_faults(told + told_in(days.known), night.archive),
        "published": night.published,
        "of_old_model": night.of_old_model,
        "users": users,
        "hr50_before": 100 * old,
        "hr50_after": 100 * new,
        **night.seconds,
    }


def _report(night: Night, figures: dict[str, float]) -> None:
    """Print what became of the night, and the figures as the last line."""
    error = 50 / np.sqrt(figures["users"])
    print(night.said)
    print(f"\nHR@50 in % of {figures['users']:,} users on the next day (standard error at most {error:.1f})\n")
    print(table(["", ""], [(name, _shown(value)) for name, value in figures.items()]))
    finish(figures)


def _shown(value: float) -> str:
    """Return a figure for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.1f}" if isinstance(value, float) else f"{value:,}"
