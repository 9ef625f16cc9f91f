"""How the commands over a whole store end where it holds users who cannot be read."""

import sys

import typer

from mindstream.printable import printable
from stream.store.unreadable import UnreadableTally

__all__ = ["EXIT_UNREADABLE", "end_with"]

EXIT_UNREADABLE = 1


def end_with(unreadable: UnreadableTally) -> None:
    """Say which users cannot be read, and end with status 1 if there are any."""
    if unreadable.count:
        say = f"{unreadable}; what is stored stays, and `mindstream stream repair` lists all with the reason"
        print(printable(say), file=sys.stderr)
        raise typer.Exit(EXIT_UNREADABLE)
