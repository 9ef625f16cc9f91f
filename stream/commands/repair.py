"""The command `repair`: users who cannot be read are listed, set aside, deleted or put back."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from mindstream import settings
from mindstream.counted import counted
from mindstream.files import check_readable, check_writable
from mindstream.printable import printable
from stream.commands.endings import EXIT_UNREADABLE, Sure, confirm
from stream.commands.users import as_bytes
from stream.repair.set_aside import RIGHT, RIGHT_NEW, find_unreadable, put_back, read_file, remove
from stream.store.contract import Store, read_readable
from stream.store.open_store import open_store
from stream.store.unreadable import Unreadable, UnreadableTally

__all__ = ["app"]

WHAT_NEXT = (
    "they start anew with their next event; `mindstream stream dlq redrive` brings back those that became dead letters "
    "meanwhile, and docs/operating.md says how to have the older ones applied again"
)
NOBODY = "all users who are stored, and were looked at, can be read"
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
    delete: Annotated[
        bool, typer.Option("--delete", help="Name them, ask, and delete what is stored of them.")
    ] = False,
    yes: Sure = False,
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
    if back is not None:
        check_readable(back, RIGHT)
    if set_aside is not None:
        check_writable(set_aside, RIGHT_NEW)
    with open_store(settings.load()) as store:
        if back is not None:
            _put_back(store, back)
            return
        with _progress(users or store.users()) as looked_at:
            found = find_unreadable(store, looked_at)
            if set_aside is None and not delete:
                _list(found)
                return
            looked_for = _remove(store, _confirmed(found, yes) if delete else found, set_aside)
        _say_of_others(store, [user for user in users or [] if user not in looked_for])


@contextmanager
def _progress(users: Iterable[str]) -> Iterator[Iterable[str]]:
    """Show on a terminal how far a walk over users is."""
    with tqdm(users, desc="reading", unit=" users", delay=1, leave=False, disable=not sys.stderr.isatty()) as bar:
        yield bar


def _confirmed(found: Iterable[Unreadable], yes: bool) -> list[Unreadable]:
    """Return the users to delete, once somebody has confirmed that it is meant."""
    found = list(found)
    for one in found:
        print(printable(f"{one.user_id}  {one.reason}"))
    if found:
        print(f"what is stored of {counted(len(found), 'user')} will be deleted for good; --set-aside FILE keeps it")
        confirm(yes)
    return found


def _say_of_others(store: Store, users: Sequence[str]) -> None:
    """Say of the users who were named why nothing was done with them."""
    states, _ = read_readable(store, users) if users else ([], {})
    for user, state in zip(users, states, strict=True):
        print(printable(f"{user}  {'is not stored' if state is None else 'can be read'}, and is left as it is"))


def _list(found: Iterable[Unreadable]) -> None:
    """Print the users who cannot be read, and what can be done."""
    unreadable = UnreadableTally()
    for one in found:
        if one.user_id not in unreadable.seen:
            print(printable(f"{one.user_id}  {one.reason}"))
        unreadable.add([one.user_id])
    if unreadable.count:
        print(f"{counted(unreadable.count, 'user')} cannot be read: {ADVICE}", file=sys.stderr)
        raise typer.Exit(EXIT_UNREADABLE)
    print(NOBODY, file=sys.stderr)


def _remove(store: Store, found: Iterable[Unreadable], file: Path | None) -> set[str]:
    """Remove what is stored of the users, and return who they are.

    A file, if any, has it before.
    """
    count, users = 0, set()
    for user, is_removed in remove(store, found, file):
        count += is_removed
        users.add(user)
        if not is_removed:
            print(printable(f"{user}  was written meanwhile, and is left as it is"))
    done = "deleted" if file is None else f"set aside in {file}"
    print(f"{counted(count, 'user')} {done}; {WHAT_NEXT}" if count else NOBODY)
    return users


def _put_back(store: Store, file: Path) -> None:
    """Put back the users of a file whom this version can read."""
    outcome = put_back(store, read_file(file))
    for user in outcome.taken:
        print(printable(f"{user}  has begun anew since, which is left as it is"))
    for user, reason in outcome.still.items():
        print(printable(f"{user}  still cannot be read: {reason}"))
    print(f"{counted(len(outcome.back), 'user')} put back")
    if outcome.still:
        raise typer.Exit(EXIT_UNREADABLE)
