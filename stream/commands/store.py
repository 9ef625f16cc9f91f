"""The commands for a whole store: `migrate` to today's format, `export-store` and `import-store` users."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Never

import typer
from tqdm import tqdm

from mindstream import settings
from mindstream.counted import counted
from stream.commands.endings import end_with
from stream.store.contract import Store, read_readable
from stream.store.open_store import open_store
from stream.store.state import UserState
from stream.store.unreadable import UnreadableTally
from stream.transfer.files import check_source, check_target, pages, read_users, write_users
from stream.transfer.into_store import import_users

__all__ = ["app"]

UsersFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="JSON lines (.jsonl, .jsonl.gz) or Parquet (.parquet).")
]

app = typer.Typer()


@contextmanager
def _progress(doing: str) -> Iterator["tqdm[Never]"]:
    """Show how many users are done; Ctrl-C says that, and that it may be started again."""
    with tqdm(desc=doing, unit=" users") as bar:
        try:
            yield bar
        except KeyboardInterrupt:
            bar.close()
            print(f"stopped after {counted(int(bar.n), 'user')}; start it again for the rest", file=sys.stderr)
            raise typer.Exit(128 + signal.SIGINT) from None


@app.command()
def migrate() -> None:
    """Write all users anew who are stored in an older format.

    The next event of a user does so by itself; this is for the others. It may
    be stopped and started again, and updaters may run meanwhile.
    """
    unreadable, written = UnreadableTally(), 0
    with open_store(settings.load()) as store, _progress("migrating") as bar:
        for page in pages(store.users()):
            renewed, faults = store.renew_many(page)
            written += renewed
            unreadable.add(faults)
            bar.update(len(page))
            bar.set_postfix(written=written)
    print(f"{counted(int(bar.n), 'user')} looked at, {written:,} written in today's format")
    end_with(unreadable)


@app.command("export-store")
def export_store(file: UsersFile) -> None:
    """Write all users into a file, for another store, another version or another place.

    Updaters may run meanwhile; each user is as of the moment it is read.
    """
    check_target(file)
    unreadable = UnreadableTally()
    with open_store(settings.load(), read_only=True) as store, _progress("exporting") as bar:
        written = write_users(file, _states_of(store, unreadable, bar))
        size = file.stat().st_size
    print(f"{counted(written, 'user')} in {file}, {counted(size, 'byte')}")
    end_with(unreadable)


def _states_of(store: Store, unreadable: UnreadableTally, bar: "tqdm[Never]") -> Iterator[UserState]:
    """Yield the states of all users of a store."""
    for page in pages(store.users()):
        states, faults = read_readable(store, page)
        unreadable.add(faults)
        yield from (state for state in states if state is not None)
        bar.update(len(page))


@app.command("import-store")
def import_store(file: UsersFile) -> None:
    """Write the users of a file into the store, where it has nothing newer of them.

    It may be stopped and started again, and updaters may run meanwhile: a
    user is written over what was read only.
    """
    check_source(file)
    unreadable, written, kept = UnreadableTally(), 0, 0
    with open_store(settings.load()) as store, _progress("importing") as bar:
        for outcome in import_users(store, read_users(file)):
            written, kept = written + outcome.written, kept + outcome.kept
            unreadable.add(outcome.unreadable)
            bar.update(outcome.written + outcome.kept + len(outcome.unreadable))
            bar.set_postfix(written=written)
    print(f"{counted(written, 'user')} written, {kept:,} left as stored, which is as new")
    end_with(unreadable)
