"""Asking people whether what a command is about to do is meant."""

import sys
from typing import Annotated

import typer

__all__ = ["Sure", "confirm"]

EXIT_NOT_CONFIRMED = 1

Sure = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def confirm(yes: bool) -> None:
    """Ask on the terminal whether it is meant, unless --yes was given; end with status 1 where it is not.

    Raises
    ------
    ValueError
        If nobody can be asked.
    """
    if not yes and not _is_meant():
        print("nothing was changed", file=sys.stderr)
        raise typer.Exit(EXIT_NOT_CONFIRMED)


def _is_meant() -> bool:
    """Ask on the terminal; what is no terminal must say --yes."""
    if not sys.stdin.isatty():
        raise ValueError("nobody can be asked here; --yes says that it is meant")
    return typer.confirm("Is that meant?")
