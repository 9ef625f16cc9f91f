"""The command `repair`: users who cannot be read are listed, set aside, deleted or put back."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from mindstream import settings
from mindstream.printable import printable
from stream.commands.users import as_bytes
from stream.repair.set_aside import find_unreadable, put_back, read_file, remove
from stream.store.contract import Store
from stream.store.open_store import open_store
from stream.store.unreadable import Unreadable

__all__ = ["app"]

EXIT_UNREADABLE = 1
WHAT_NEXT = (
    "they start anew with their next event; `mindstream stream dlq redrive` brings back those that became dead letters "
    "meanwhile, and docs/operating.md says how to have the older ones applied again"
)
ADVICE = (
    "--set-aside FILE moves what is stored of them into a file, so that they start anew; --delete deletes it; "
    "if a later version wrote it, use that one"
)

app = typer.Typer()


@app.command()
def repair(
    users: Annotated[list[str] | None, typer.Argument(metavar="USER", help="user_ids; without any, all.")] = None,
    set_aside: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Move what is stored of them to the end of this file.")
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete what is stored of them.")] = False,
    back: Annotated[
        Path | None,
        typer.Option("--put-back", metavar="FILE", help="Store again what was set aside, if it can be read by now."),
    ] = None,
) -> None:
    """List the users who cannot be read, with why; or set aside what is stored of them.

    Updaters may run meanwhile: what they have written since is left alone.
    The exit status is 1 where users cannot be read and stay so.
    """
    if sum([set_aside is not None, delete, back is not None]) > 1:
        raise ValueError("--set-aside, --delete and --put-back are three ways; right is one of them")
    if back is not None and users:
        raise ValueError("--put-back takes all users of its file, and no user_ids")
    for user in users or []:
        as_bytes(user)
    with open_store(settings.load()) as store:
        if back is not None:
            _put_back(store, back)
            return
        with _progress(users or store.users()) as looked_at:
            found = find_unreadable(store, looked_at)
            if set_aside is not None or delete:
                _remove(store, found, set_aside)
            else:
                _list(found)


@contextmanager
def _progress(users: Iterable[str]) -> Iterator[Iterable[str]]:
    """Show on a terminal how far a walk over users is."""
    with tqdm(users, desc="reading", unit=" users", delay=1, leave=False, disable=not sys.stderr.isatty()) as bar:
        yield bar


def _list(found: Iterable[Unreadable]) -> None:
    """Print the users who cannot be read, and what can be done."""
    count = 0
    for one in found:
        count += 1
        print(printable(f"{one.user_id}  {one.reason}"))
    print(f"{_users(count)} cannot be read" + (f": {ADVICE}" if count else ""), file=sys.stderr)
    if count:
        raise typer.Exit(EXIT_UNREADABLE)


def _remove(store: Store, found: Iterable[Unreadable], file: Path | None) -> None:
    """Remove what is stored of the users; a file, if any, has it before."""
    count = 0
    for user, is_removed in remove(store, found, file):
        count += is_removed
        if not is_removed:
            print(printable(f"{user}  was written meanwhile, and is left as it is"))
    done = "deleted" if file is None else f"set aside in {file}"
    print(f"{_users(count)} {done}" + (f"; {WHAT_NEXT}" if count else ""))


def _put_back(store: Store, file: Path) -> None:
    """Put back the users of a file whom this version can read."""
    outcome = put_back(store, read_file(file))
    for user in outcome.taken:
        print(printable(f"{user}  has begun anew since, which is left as it is"))
    for user, reason in outcome.still.items():
        print(printable(f"{user}  still cannot be read: {reason}"))
    print(f"{_users(len(outcome.back))} put back")
    if outcome.still:
        raise typer.Exit(EXIT_UNREADABLE)


def _users(count: int) -> str:
    """Write a number of users in words."""
    return f"{count:,} user{'s' * (count != 1)}"
