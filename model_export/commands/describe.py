"""What is in a log: describe."""

import json
import sys
from pathlib import Path
from typing import Annotated, TextIO

import typer

from mindstream import settings
from mindstream.log_options import LogPath, takes_log
from mindstream.mapping import Mapping
from model_export.commands.options import Since, Until
from model_export.data.period import events_between
from model_export.readers import read_log
from model_export.summary.figures import Summary, summarise
from model_export.summary.text import as_text

__all__ = ["app"]

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
@takes_log
def describe(
    log: LogPath,
    mapping: Mapping,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the events by day in the terminal.")] = False,
    png: Annotated[
        Path | None, typer.Option(help="File for the same as an image; needs the extra `plot` (vl-convert-python).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    since: Since = None,
    until: Until = None,
) -> None:
    """Print what is in a log, what looks suspicious, and what to do about it."""
    if png is not None and png.suffix.lower() != ".png":
        raise ValueError(f"--png is {png}; the name must end in .png")
    interactions = events_between(read_log(log, mapping), since, until)
    summary = summarise(interactions, settings.load().rule)
    if as_json:
        print(json.dumps(summary.as_json(), ensure_ascii=False))
    else:
        print(f"{interactions.describe()}\n\n{as_text(summary)}")
    if plot:
        _plot(summary, sys.stderr if as_json else sys.stdout)  # beside JSON stdout is for programs
    if png is not None:
        _write_png(summary, png)


def _plot(summary: Summary, where: TextIO) -> None:
    """Print the plot, or say on stderr why there is none."""
    if not summary.timed:
        print("there is no plot: the log has an order and no times", file=sys.stderr)
        return
    from rich.console import Console  # here, as is the plot: whoever wants none does not wait for it

    from model_export.summary.plot import bars_of

    print(file=where)
    Console(file=where).print(bars_of(summary.by_day))


def _write_png(summary: Summary, file: Path) -> None:
    """Write the image and say so on stderr.

    Raises
    ------
    ValueError
        If the log has no times, or what draws images is not installed.
    """
    if not summary.timed:
        raise ValueError(f"{summary.source} has an order and no times, so --png has nothing to draw")
    from model_export.summary.plot import write_png

    try:
        write_png(summary.by_day, file)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{error.name} is not installed; --png needs the extra `plot`: `pip install vl-convert-python`; --plot "
            "draws in the terminal without it"
        ) from error
    print(f"wrote {file}", file=sys.stderr)
