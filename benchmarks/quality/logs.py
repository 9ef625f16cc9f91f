"""Small logs of many shapes, read as a user would read them: what is read and said, and whether it is right."""

import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from typer.testing import CliRunner

from benchmarks.harness.report import finish
from benchmarks.quality.log_cases import Expectation, Figures, Outcome, Verdict, judged, load_cases
from mindstream import settings
from mindstream.cli import app_for
from mindstream.log_options import LogPath, takes_log
from model_export.data.behaviours import behaviours_of
from model_export.data.interactions import InteractionLog
from model_export.evaluation.report import table
from model_export.readers import Mapping, read_log

__all__ = ["described", "main", "outcome_of"]

_WIDTH = 70  # of the last column


def main(
    cases: Annotated[Path, typer.Option(help="Folder of cases, each a folder with an expect.json.", exists=True)],
    only: Annotated[str, typer.Option(help="Only cases with this in their names.")] = "",
) -> None:
    """Read every case as `mindstream model describe` does, and compare with what is right."""
    rows: list[tuple[object, ...]] = []
    verdicts: list[Verdict] = []
    for folder, readings in load_cases(cases).items():
        for expected in readings if only in folder.name else []:
            outcome = outcome_of(folder, expected)
            verdicts.append(judged(expected, outcome))
            rows.append((folder.name, *_cells(expected, outcome, verdicts[-1])))
    print(table(["case", "path and options", "read", "said", "verdict", "why"], rows))
    finish(
        {
            "right": sum(one.kind == "right" for one in verdicts),
            "wrong": sum(one.kind == "wrong" for one in verdicts),
            "refused_without_a_way": sum(one.kind == "refused" for one in verdicts),
            "silent_losses": sum(one.silent for one in verdicts),
            "readings": len(verdicts),
        }
    )


def _cells(expected: Expectation, outcome: Outcome, verdict: Verdict) -> tuple[str, ...]:
    """Return the cells of a reading after the name of its case."""
    if outcome.figures is None:
        read, said = "an error", ""
    else:
        days = f", {outcome.figures.first} to {outcome.figures.last}" if outcome.figures.first else ""
        read = f"{outcome.figures.interactions} of {outcome.figures.users} with {outcome.figures.items}{days}"
        said = f"{outcome.figures.left_out} left out" if outcome.figures.left_out else "all"
    kind = f"{verdict.kind}, silent" if verdict.silent else verdict.kind
    why = " ".join(verdict.why.split())
    asked = " ".join([expected.path, *expected.options])
    return asked, read, said, kind, why if len(why) <= _WIDTH else f"{why[: _WIDTH - 1]}…"


def outcome_of(folder: Path, expected: Expectation) -> Outcome:
    """Read one case by the command and as a log, from within its folder."""
    with contextlib.chdir(folder):
        words = [expected.path, *expected.options]
        printed, error = described(words)
        if error is None:
            figures, error = _attempt(lambda: _figures(_read_by(words)))
    if error is not None:
        return Outcome(
            printed, error=_sentence(error), crashed=not isinstance(error, ValueError | OSError | click.UsageError)
        )
    return Outcome(printed, figures)


def described(words: Sequence[str]) -> tuple[str, BaseException | None]:
    """Return what `mindstream model describe` prints for these words, and what it raised."""
    found = CliRunner().invoke(app_for(["model"]), ["model", "describe", *words])
    error = None if isinstance(found.exception, SystemExit) and not found.exit_code else found.exception
    if isinstance(error, SystemExit):  # the command line itself was wrong: click has printed why
        error = click.UsageError(found.output.strip())
    return found.output, error


def _attempt(read: Callable[[], Figures]) -> tuple[Figures | None, Exception | None]:
    try:
        return read(), None
    except Exception as error:  # whatever a log brings about is what is measured
        return None, error


def _sentence(error: BaseException) -> str:
    plain = isinstance(error, ValueError | OSError | click.UsageError)
    return str(error) if plain else f"{type(error).__name__}: {error}"


def _read_by(words: Sequence[str]) -> InteractionLog:
    """Read the log that a command with these words reads, and keep what counts as a behaviour."""
    log: InteractionLog = typer.main.get_command(_app).main(list(words), standalone_mode=False)
    return behaviours_of(log, settings.load().rule)


_app = typer.Typer(pretty_exceptions_enable=False)


@_app.command()
@takes_log
def _read(log: LogPath, mapping: Mapping) -> Any:
    return read_log(log, mapping)


def _figures(log: InteractionLog) -> Figures:
    times = log.events.event_time_ms
    items = log.items[log.items.item_id.isin(log.events.item_id.unique())]
    return Figures(
        interactions=len(log.events),
        users=log.events.user_id.nunique(),
        items=len(items),
        prices=int(items.price.notna().sum()),
        left_out=sum(log.dropped.values()),
        first=_day(times.min()) if log.timed else None,
        last=_day(times.max()) if log.timed else None,
        titles=frozenset(items.title),
    )


def _day(time_ms: int) -> date:
    return datetime.fromtimestamp(time_ms / 1000, UTC).date()
