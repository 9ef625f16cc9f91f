"""The benchmark of faults: an updater, a broker and a store are killed, stopped and slowed down under load.

Updaters are processes of their own (`python -m stream run`), on a real Kafka and a real Redis. What they leave is
compared with what is on the topic, and with what an undisturbed updater makes of it.
"""

import logging
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from benchmarks.faults.found import MUST_BE_ZERO, Found, sums
from benchmarks.faults.rows import ROWS
from benchmarks.harness import report
from benchmarks.scenario.world import World
from model_export.bundle.bundle import Bundle
from model_export.data.simulator import simulate
from model_export.evaluation.report import table
from model_export.export.bundle_writer import export
from testbed.real_kafka import RealKafka
from testbed.small_model import small_checkpoint

__all__ = ["main"]


def main(
    only: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(ROWS)}; may be given again.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The short form of each.")] = False,
) -> None:
    """Count what is lost or applied twice when updaters, broker or store fail.

    Where that is not 0, the status is 1.
    """
    names = _chosen(only or [])
    with _quiet("stream", "kafka"), tempfile.TemporaryDirectory() as folder, RealKafka() as kafka:
        world = World(kafka, _small_bundle(Path(folder)), Path(folder))
        found = {name: _run(name, world, quick) for name in tqdm(names, desc="faults", unit="row")}
    _show(found)
    if not all(one.is_clean for one in found.values()):
        raise typer.Exit(1)


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Keep these loggers quiet: outages are what the rows are about."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _chosen(only: Iterable[str]) -> list[str]:
    """Return the rows that were asked for, all if none was."""
    only = list(only)
    for name in only:
        if name not in ROWS:
            raise ValueError(f"--only is {name!r}; right is one of {', '.join(ROWS)}")
    return only or list(ROWS)


def _small_bundle(folder: Path) -> Bundle:
    """Make a small model of a simulated shop."""
    return export(small_checkpoint(simulate(users=300, seed=1)), folder / "bundles", progress=False)


def _run(name: str, world: World, quick: bool) -> Found:
    """Run one row.

    One that does not come to its end is a fault too, and the others still have their turn.
    """
    row = ROWS[name]

    def say(text: str) -> None:
        tqdm.write(f"{name}: {text}", file=sys.stderr)

    try:
        return row.run(replace(world, say=say), **(row.quick if quick else {}))
    except (AssertionError, OSError, RuntimeError):
        say(traceback.format_exc())
        return Found({"unfinished": 1})


def _show(found: Mapping[str, Found]) -> None:
    """Print the table, what was measured, and the figures as the last line."""
    lines = [
        (name, ROWS[name].what, _words(dict.fromkeys(sorted(ROWS[name].looks_for), 0)), _outcome(one))
        for name, one in found.items()
    ]
    print(table(["", "fault", "expected", "found"], lines))
    for name, one in found.items():
        print(f"{name}: {_words(one.figures)}")
    figures: dict[str, float | None] = {**_counts(found)}
    for name, one in found.items():
        figures |= {f"{name.replace('-', '_')}_{figure}": value for figure, value in one.figures.items()}
    report.finish(figures)


def _counts(found: Mapping[str, Found]) -> dict[str, int | None]:
    """Add all faults up; None if no row has looked.

    Or if one that should have did not, and the others found none.
    """
    total: dict[str, int | None] = {**dict.fromkeys(MUST_BE_ZERO), **sums(one.faults for one in found.values())}
    for name, one in found.items():
        for fault in ROWS[name].looks_for - one.faults.keys():
            total[fault] = total.get(fault) or None
    return total


def _outcome(found: Found) -> str:
    """Say which faults there are."""
    return _words({name: count for name, count in found.faults.items() if count}) or "all 0"


def _words(values: Mapping[str, float]) -> str:
    """Write values as "lost 0, recovery p50 2.1 s, ..."."""
    return ", ".join(_word(name, value) for name, value in values.items())


def _word(name: str, value: float) -> str:
    """Write a name and its figure, with the unit behind it."""
    for ending, unit in (("_s", " s"), ("_mb", " MB")):
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} {value:,.1f}{unit}"
    return f"{name.replace('_', ' ')} {value:,.0f}"
