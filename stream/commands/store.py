"""The commands for a whole store: `migrate` to today's format, `export-store` and `import-store` users."""

import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Never

import typer
from tqdm import tqdm

from mindstream import settings
from mindstream.printable import printable
from stream.store.contract import Store, read_readable
from stream.store.open_store import open_store
from stream.store.state import UserState
from stream.transfer.files import pages, read_users, right_name, write_users
from stream.transfer.into_store import import_users

__all__ = ["app"]

EXIT_UNREADABLE = 1
NAMED = 3  # of those who cannot be read; `repair` lists all
UsersFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="JSON lines (.jsonl, .jsonl.gz) or Parquet (.parquet).")
]

app = typer.Typer()


class _Unreadable:
    """The users who cannot be read: how many, and a few of them."""

    def __init__(self) -> None:
        self.count, self.examples = 0, list[str]()

    def add(self, user_ids: Iterable[str]) -> None:
        """Note some more."""
        for user_id in user_ids:
            self.count += 1
            self.examples = [*self.examples, user_id][:NAMED]

    def end(self) -> None:
        """Say who they are and end with status 1, if there are any."""
        if self.count:
            named = ", ".join(map(repr, self.examples))
            say = (
                f"{self.count:,} users cannot be read and stay as they are, such as {named}: `mindstream stream repair`"
            )
            print(printable(say), file=sys.stderr)
            raise typer.Exit(EXIT_UNREADABLE)


@contextmanager
def _progress(doing: str) -> Iterator["tqdm[Never]"]:
    """Show how many users are done; Ctrl-C says that, and that it may be started again."""
    with tqdm(desc=doing, unit=" users") as bar:
        try:
            yield bar
        except KeyboardInterrupt:
            bar.close()
            print(f"stopped after {bar.n:,} users; start it again for the rest", file=sys.stderr)
            raise typer.Exit(128 + signal.SIGINT) from None


@app.command()
def migrate() -> None:
    """Write all users anew who are stored in an older format.

    The next event of a user does so by itself; this is for the others. It may
    be stopped and started again, and updaters may run meanwhile.
    """
    unreadable, written = _Unreadable(), 0
    with open_store(settings.load()) as store, _progress("migrating") as bar:
        for page in pages(store.users()):
            renewed, faults = store.renew_many(page)
            written += renewed
            unreadable.add(faults)
            bar.update(len(page))
            bar.set_postfix(written=written)
    print(f"{bar.n:,} users looked at, {written:,} written in today's format")
    unreadable.end()


@app.command("export-store")
def export_store(file: UsersFile) -> None:
    """Write all users into a file, for another store, another version or another place.

    Updaters may run meanwhile; each user is as of the moment it is read.
    """
    unreadable = _Unreadable()
    with open_store(settings.load(), read_only=True) as store, _progress("exporting") as bar:
        write_users(file, _states_of(store, unreadable, bar))
        size = file.stat().st_size
    print(f"{bar.n - unreadable.count:,} users in {file}, {size:,} bytes")
    unreadable.end()


def _states_of(store: Store, unreadable: _Unreadable, bar: "tqdm[Never]") -> Iterator[UserState]:
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
    if not right_name(file).is_file():
        raise ValueError(f"there is no file {file}")
    unreadable, written, kept = _Unreadable(), 0, 0
    with open_store(settings.load()) as store, _progress("importing") as bar:
        for outcome in import_users(store, read_users(file)):
            written, kept = written + outcome.written, kept + outcome.kept
            unreadable.add(outcome.unreadable)
            bar.update(outcome.written + outcome.kept + len(outcome.unreadable))
            bar.set_postfix(written=written)
    print(f"{written:,} users written, {kept:,} left as they are: what is stored of them is as new")
    unreadable.end()
