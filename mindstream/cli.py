"""The one command, `mindstream`; `python -m stream | model_export | index | demo` run the same code room by room."""

from mindstream import console  # first: until it is there, Ctrl-C is a traceback

# isort: split
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

import mindstream

__all__ = ["app_for", "main"]

# Command -> the module with its Typer app, and its line in the list of commands. Only the one that is asked for is
# imported: all of them take seconds.
ROOMS = {
    "stream": ("stream.commands.app", "Keep interest capsules fresh: run, produce, replay, show, dlq, ..."),
    "model": (
        "mindstream.commands.model",
        "Describe logs, train models, publish bundles: describe, train, export, publish, retrain, ...",
    ),
    "index": ("index.commands.app", "Retrieve candidates: build, query, similar, serve, items, ..."),
}
DEMO = "Prepare a model if there is none, then show the demo in a browser."


def main() -> None:
    """Run what the command line asks for."""
    console.run(app_for(sys.argv[1:]))


def app_for(words: Sequence[str]) -> typer.Typer:
    """Make the command, with the room that is asked for; the others are listed only.

    Parameters
    ----------
    words : of the command line, without the program's name.
    """
    # No completion: it would have to import all rooms at each press of the key.
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(_options)
    asked = next((word for word in words if not word.startswith("-")), "")
    for name, (module, line) in ROOMS.items():
        if name == asked:
            app.add_typer(import_module(module).app, name=name)
        else:
            app.command(name, help=line)(_do_nothing)
    app.command("demo", help=DEMO)(import_module("demo.command").main if asked == "demo" else _do_nothing)
    return app


def _do_nothing() -> None:
    """Stand in the list of commands for one that was not asked for."""


def _print_version(asked: bool) -> None:
    """Print the version and end, if it was asked for."""
    if asked:
        print(f"mindstream {mindstream.__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Keep every user's interests fresh, from events on Kafka to candidates."""
