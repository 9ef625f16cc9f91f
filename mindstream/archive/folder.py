"""A folder of event files that changes as a whole or not at all, and that can be read while it changes.

Beside the files, which anybody may read, there is a folder of our own, `_archive`:

    writer.lock    held by whoever changes the folder
    reader.lock    shared by those who read it, and held alone while files are replaced or removed
    new/           files on their way; what a process that was killed has left there is removed
    journal.json   the change that is just made; whoever opens the folder after a crash finishes it

The change is made once its journal has its name: from then on nothing but finishing it is possible. All files that it
adds are on the disk by then.
"""

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from mindstream.archive.locks import held_lock, sync

__all__ = ["OWN", "STATE", "ArchiveFolder", "Change", "reading"]

OWN = "_archive"  # readers of tables pass over names that begin so
STATE = f"{OWN}/state.json"  # how far the topic is read, and who was forgotten; `stream.archive.state` has its form
WAIT_S = 30.0


@dataclass(frozen=True)
class Change:
    """A change of the folder.

    Attributes
    ----------
    add : name in `new/` -> path in the folder; a file that has the path already is replaced.
    remove : paths of files.
    replaces : whether rows that were in the folder are somewhere else afterwards, or gone: nobody may read meanwhile.
    """

    add: Mapping[str, str] = field(default_factory=dict)
    remove: Sequence[str] = ()
    replaces: bool = False


class ArchiveFolder:
    """The folder of an archive.

    Attributes
    ----------
    path : the folder.
    own : the folder in it that is not data.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.own = path, path / OWN
        self.new, self.journal = self.own / "new", self.own / "journal.json"

    def make(self) -> None:
        """Make the folder, where it is not there yet.

        Raises
        ------
        OSError
            If it cannot be made or written to; names it.
        """
        try:
            self.new.mkdir(parents=True, exist_ok=True)
            for name in ("writer.lock", "reader.lock"):
                os.close(os.open(self.own / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666))
            sync(self.own)
        except OSError as error:
            raise OSError(f"the archive {self.path} cannot be written: {error.strerror or error}") from error

    @contextmanager
    def writing(self, wait_s: float = WAIT_S) -> Iterator[None]:
        """Change the folder while nobody else does.

        What a process that was killed has left half done is finished first.

        Raises
        ------
        BlockingIOError
            If others change it all the time.
        """
        busy = f"the archive {self.path} is being changed by another process, for more than {wait_s:.0f} s now"
        with held_lock(self.own / "writer.lock", fcntl.LOCK_EX, wait_s, busy):
            if self._replaces():
                with self.without_readers(wait_s):
                    self._finish()
            self._finish()
            self._remove_leftovers()
            yield

    @contextmanager
    def without_readers(self, wait_s: float = 0.0) -> Iterator[None]:
        """Replace files while nobody reads; inside of `writing`.

        Raises
        ------
        BlockingIOError
            If somebody reads.
        """
        with held_lock(self.own / "reader.lock", fcntl.LOCK_EX, wait_s, f"somebody reads the archive {self.path}"):
            yield

    @contextmanager
    def read_lock(self, wait_s: float = 20 * WAIT_S) -> Iterator[None]:
        """Read the folder as it is between two changes that replace files.

        Raises
        ------
        OSError
            If a change was left half done by a process that was killed, and cannot be finished here.
        """
        busy = f"the archive {self.path} is being changed, for more than {wait_s:.0f} s now"
        while True:
            with held_lock(self.own / "reader.lock", fcntl.LOCK_SH, wait_s, busy):
                if not self._replaces():
                    yield
                    return
            self._finish_as_reader()

    def _finish_as_reader(self) -> None:
        try:
            with self.writing():
                pass
        except OSError as error:
            raise OSError(
                f"the archive {self.path} was left half changed by a process that was killed, which cannot be "
                f"finished here ({error.strerror or error}); start `mindstream stream archive` once, which finishes it"
            ) from error

    def commit(self, change: Change) -> None:
        """Make a change; inside of `writing`, and of `without_readers` where it replaces files.

        Every file that it adds has been written to the disk (`written`).

        Raises
        ------
        OSError
            If it cannot be made now. Where its journal has been written by then, the next `writing` finishes it.
        """
        content = {"add": dict(change.add), "remove": list(change.remove), "replaces": change.replaces}
        draft = self.new / "journal"
        draft.write_text(json.dumps(content), encoding="utf-8")
        self.written(draft)
        os.replace(draft, self.journal)
        sync(self.own)
        self._finish()

    def written(self, file: Path) -> None:
        """Wait until a file is on the disk."""
        sync(file)

    def _replaces(self) -> bool:
        """Tell whether a change that replaces files is half done."""
        return bool(self._half_done().get("replaces"))

    def _half_done(self) -> dict[str, object]:
        try:
            content: dict[str, object] = json.loads(self.journal.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise OSError(f"{self.journal} is no journal of an archive ({error}); restore the folder") from error
        return content

    def _finish(self) -> None:
        """Finish the change of the journal; what is done of it already is not done again."""
        content = self._half_done()
        if not content:
            return
        added, removed = dict(content["add"]), list(content["remove"])  # type: ignore[call-overload]
        for name, path in added.items():
            self._move_in(self.new / name, self.path / path)
        for path in removed:
            (self.path / path).unlink(missing_ok=True)
        for folder in {(self.path / path).parent for path in (*added.values(), *removed)}:
            with suppress(FileNotFoundError):
                sync(folder)
        for folder in {(self.path / path).parent for path in removed}:
            _remove_if_empty(folder)
        sync(self.path)
        self.journal.unlink()
        sync(self.own)

    def _move_in(self, source: Path, target: Path) -> None:
        target.parent.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # it is there already
            os.replace(source, target)

    def _remove_leftovers(self) -> None:
        """Remove files on their way of which no journal speaks."""
        for file in self.new.iterdir():
            file.unlink()


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Read what is at a path; where that lies in an archive, as it is between two changes.

    Parameters
    ----------
    path : a file, a folder or a glob.

    Raises
    ------
    OSError
        If a change of the archive was left half done, and cannot be finished here.
    """
    places = (Path(path), *Path(path).parents)
    inside = next(
        (one for one in places if os.path.isfile(one / OWN / "reader.lock")), None
    )  # no path is an error here
    if inside is None:
        yield
        return
    with ArchiveFolder(inside).read_lock():
        yield


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise
