"""The archive on disk: cuts are added, small files merged, rows and days removed, each as one change."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from mindstream.archive.folder import STATE, ArchiveFolder, Change
from stream.archive.columns import table_of
from stream.archive.cutting import Cut, Part, plan_cut
from stream.archive.erasing import sieve_of
from stream.archive.merging import Size
from stream.archive.names import ArchiveFile, as_archive_file, check_no_overlap, oldest_kept
from stream.archive.state import ArchiveState, Erasure, Log, decoded, encoded, with_progress_of

__all__ = ["Archive"]

log = logging.getLogger(__name__)


class Archive:
    """The archive of one topic in a folder, which several processes may change.

    Parameters
    ----------
    topic : the topic's name.
    keep_days : days that are kept before that of today; None: all.
    marker_days : for how long it is remembered who was forgotten.

    Raises
    ------
    OSError
        If the folder cannot be written.
    ValueError
        If it is another topic's, holds offsets twice, or its state cannot be read.
    """

    def __init__(self, path: Path, topic: str, keep_days: int | None = None, marker_days: float = 7.0) -> None:
        self.path, self.topic = path, topic
        self.keep_days, self.marker_days = keep_days, marker_days
        self.folder = ArchiveFolder(path)
        self.folder.make()
        with self.folder.writing():
            self._open()

    def _open(self) -> None:
        """Check what is there, and make the state if there is none."""
        files = self.files()
        check_no_overlap(files)
        known = self.state() if (self.path / STATE).exists() else ArchiveState(self.topic)
        if known.topic != self.topic:
            raise ValueError(
                f"the archive {self.path} is of topic {known.topic}, and MINDSTREAM_TOPIC is {self.topic}; "
                "each topic needs a folder of its own (MINDSTREAM_ARCHIVE)"
            )
        state = with_progress_of(known, files)
        if state != known or not (self.path / STATE).exists():
            self.folder.commit(Change(self._with_state({}, state)))
        if strangers := self._strangers():
            log.warning(
                "%d files in the archive %s are not its own and stay as they are, forgotten users in them too; e.g. %s",
                *(len(strangers), self.path, strangers[0]),
            )

    def files(self) -> list[ArchiveFile]:
        """List the files, in order."""
        found = (as_archive_file(path) for path in self._paths())
        return sorted(one for one in found if one is not None)

    def _paths(self) -> Iterator[str]:
        return (file.relative_to(self.path).as_posix() for file in self.path.glob("day=*/*.parquet"))

    def _strangers(self) -> list[str]:
        return sorted(path for path in self._paths() if as_archive_file(path) is None)

    def state(self) -> ArchiveState:
        """Read the state.

        Raises
        ------
        OSError
            If it is not there any more.
        """
        file = self.path / STATE
        try:
            content = file.read_bytes()
        except FileNotFoundError as error:
            raise OSError(f"the archive's state {file} is gone: somebody has removed it meanwhile") from error
        return decoded(content, str(file))

    def oldest(self, now_ms: int) -> date:
        """Return the oldest day that is kept."""
        return oldest_kept(self.keep_days, now_ms)

    def cut(self, parts: Mapping[Log, Part], now_ms: int) -> Cut:
        """Archive what was read; all of it, or nothing where an error is raised.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        with self.folder.writing():
            made = plan_cut(parts, self.state(), self.oldest(now_ms), now_ms, self.marker_days)
            if made.taken:
                tables = {file.path: table_of(rows, file.life) for file, rows in made.files.items()}
                self.folder.commit(Change(self._with_state(self._written(tables), made.state)))
        return made

    def size(self, file: ArchiveFile) -> Size:
        """Return the size of a file, from its footer."""
        found = pq.read_metadata(self.path / file.path)
        return Size(found.num_rows, frozenset(found.schema.to_arrow_schema().names))

    def merge(self, files: Sequence[ArchiveFile]) -> bool:
        """Make one file of several that follow one another; tell whether it was done.

        It is not where one of them is not there any more: somebody else has merged it.

        Raises
        ------
        BlockingIOError
            If somebody reads the archive.
        """
        merged = replace(files[0], last=files[-1].last)
        with self._replacing(files) as state:
            if state is None:
                return False
            sieve = sieve_of(state)
            tables = [sieve.kept(pq.read_table(self.path / one.path, partitioning=None)) for one in files]
            table = pa.concat_tables(tables, promote_options="default")
            self._replace([one.path for one in files], {merged.path: table})
        return True

    def erase(self, file: ArchiveFile) -> int:
        """Remove the rows of forgotten users from a file; return how many they were.

        Raises
        ------
        BlockingIOError
            If somebody reads the archive.
        """
        place = self.path / file.path
        if not self._touches(place):
            return 0
        with self._replacing([file]) as state:
            if state is None:
                return 0
            table = pq.read_table(place, partitioning=None)
            kept = sieve_of(state).kept(table)
            if len(kept) < len(table):
                self._replace([file.path], {file.path: kept})
        return len(table) - len(kept)

    def _touches(self, place: Path) -> bool:
        """Tell whether a file has forgotten users' rows; readers need not wait for that."""
        try:
            return sieve_of(self.state()).touches(
                pq.read_table(place, columns=["user_id"], partitioning=None)["user_id"]
            )
        except FileNotFoundError:  # merged meanwhile, and without those rows
            return False

    def note_life(self, life: str) -> None:
        """Note that a topic is read from its beginning, where nothing is known of it yet."""
        with self.folder.writing():
            state = self.state()
            if life not in state.progress:
                known = msgspec.structs.replace(state, progress={**state.progress, life: {}})
                self.folder.commit(Change(self._with_state({}, known)))

    def finish_erasures(self, done: Sequence[Erasure]) -> None:
        """Note that no file holds rows of these erasures any more."""
        with self.folder.writing():
            self.folder.commit(Change(self._with_state({}, self.state().without_due(done))))

    def remove_older(self, now_ms: int) -> int:
        """Remove the files of days that are not kept; return how many they were.

        Raises
        ------
        BlockingIOError
            If somebody reads the archive.
        """
        old = [one for one in self.files() if one.day < self.oldest(now_ms)]
        if not old:
            return 0
        with self._replacing([]):
            self.folder.commit(Change(remove=[one.path for one in old], replaces=True))
        return len(old)

    @contextmanager
    def _replacing(self, files: Sequence[ArchiveFile]) -> Iterator[ArchiveState | None]:
        """Replace these files while nobody reads; None where one of them is not there any more."""
        with self.folder.writing(), self.folder.without_readers():
            yield self.state() if all((self.path / one.path).exists() for one in files) else None

    def _replace(self, before: Sequence[str], after: Mapping[str, pa.Table]) -> None:
        """Replace files by others; a table without rows becomes no file."""
        added = self._written({path: table for path, table in after.items() if len(table)})
        removed = [path for path in before if path not in added.values()]
        self.folder.commit(Change(added, removed, replaces=True))

    def _written(self, tables: Mapping[str, pa.Table]) -> dict[str, str]:
        """Write tables (path -> table) to files on their way; return name there -> path."""
        for number, table in enumerate(tables.values()):
            place = self.folder.new / str(number)
            pq.write_table(table, place, compression="zstd")
            self.folder.written(place)
        return {str(number): path for number, path in enumerate(tables)}

    def _with_state(self, added: Mapping[str, str], state: ArchiveState) -> dict[str, str]:
        """Write the state to a file on its way; return all names -> paths."""
        place = self.folder.new / "state"
        place.write_bytes(encoded(state))
        self.folder.written(place)
        return {**added, "state": STATE}
