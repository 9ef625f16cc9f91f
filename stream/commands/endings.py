"""How commands end: people did not mean it, or users cannot be read."""

import sys
from typing import Annotated

import typer

from mindstream.printable import printable
from stream.store.unreadable import UnreadableTally

__all__ = ["EXIT_UNREADABLE", "Sure", "confirm", "end_with"]

EXIT_NOT_CONFIRMED = 1
EXIT_UNREADABLE = 1

Sure = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def confirm(yes: bool) -> None:
    """Ask on the terminal whether it is meant, unless --yes was given.

    Where it is not, the command ends with status 1.

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


def end_with(unreadable: UnreadableTally) -> None:
    """Say which users cannot be read, and end with status 1 if there are any."""
    if unreadable.count:
        say = f"{unreadable}; what is stored stays, and `mindstream stream repair` lists all with the reason"
        print(printable(say), file=sys.stderr)
        raise typer.Exit(EXIT_UNREADABLE)
