"""The upkeep of an archive, between cuts and a file at a time: forgotten users, old days, small files."""

import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial

import pyarrow as pa

from stream.archive.archive import Archive
from stream.archive.merging import MOST_ROWS, Size, mergeable, plan_merges
from stream.archive.metrics import ArchiveMetrics
from stream.archive.names import ArchiveFile
from stream.archive.state import Erasure

__all__ = ["Upkeep", "now_ms"]

log = logging.getLogger(__name__)

LOOK_S = 60.0  # between two looks at what there is to do
ERASE_S = 600.0  # between two rounds of erasures, which look at all files
MERGE_S = 3_600.0  # between two merges of days that are over: a large file is written anew for what was late
AGAIN_S = 2.0  # after somebody was found reading
FINISH_S = 600.0  # for which they are waited for at the end
ALL = "upkeep"  # among the files, what concerns all of them
UNKNOWN = Size(MOST_ROWS, frozenset())  # of a file that cannot be read: it is merged with none


class Upkeep:
    """What is to be done about an archive's files.

    Attributes
    ----------
    trouble : why something cannot be done, as a sentence; None where all is well.
    """

    def __init__(self, archive: Archive, metrics: ArchiveMetrics, clock: Callable[[], float] = time.monotonic) -> None:
        self.archive, self.metrics, self.clock = archive, metrics, clock
        self.todo: deque[Callable[[], None]] = deque()
        self.next_look = self.next_try = self.next_round = self.next_merge = clock()
        self.failed: dict[str, str] = {}  # file -> why it cannot be worked on
        self.sizes: dict[ArchiveFile, Size] = {}

    def step(self) -> bool:
        """Do one thing, if there is one and its time has come; tell whether it was done."""
        now = self.clock()
        if now < self.next_try:
            return False
        if not self.todo and now >= self.next_look:
            self.look(erase=now >= self.next_round, merge=now >= self.next_merge)
        if not self.todo:
            return False
        try:
            self.todo[0]()
        except BlockingIOError as error:  # a reader, or another archiver: it stays to be done
            log.debug("upkeep waits: %s", error)
            self.next_try = now + AGAIN_S
            return False
        except OSError as error:
            if str(error) not in self.failed.values():
                log.error("upkeep of the archive %s waits: %s", self.archive.path, error)
            self.failed[ALL] = str(error)
            self.next_try = now + AGAIN_S
            return False
        self.todo.popleft()
        return True

    def look(self, erase: bool = True, merge: bool = True) -> None:
        """Look what there is to do.

        Parameters
        ----------
        erase : also whether a round of erasures is due.
        merge : merge the files of days that are over, too.
        """
        self.next_look = self.clock() + LOOK_S
        self.failed = {}
        due = (
            self.archive.state().due if erase else []
        )  # first: what is written after it was known is without those rows
        files = self.archive.files()
        if files and files[0].day < self.archive.oldest(now_ms()):
            self.todo.append(self._remove_older)
            files = [one for one in files if one.day >= self.archive.oldest(now_ms())]
        if due:
            self.next_round = self.clock() + ERASE_S
            self.todo += [partial(self._with, one, self._erase) for one in files]
            self.todo.append(partial(self._finish_erasures, due))
        if merge:
            self.next_merge = self.clock() + MERGE_S
        self.todo += [partial(self._with, run[0], partial(self._merge, run)) for run in self._merges(files, merge)]

    def finish(self, stopped: Callable[[float], bool]) -> None:
        """Do all that there is to do; readers are waited for, but not for ever.

        Parameters
        ----------
        stopped : waits for so many seconds, and tells whether to stop.

        Raises
        ------
        OSError
            If something cannot be written.
        """
        self.todo.clear()
        self.next_try = self.clock()
        self.look()
        until = self.clock() + FINISH_S
        while self.todo and ALL not in self.failed:
            if not self.step() and (stopped(AGAIN_S / 4) or self.clock() > until):
                log.warning("upkeep of the archive %s is left to the next time: somebody reads it", self.archive.path)
                return
        if ALL in self.failed:
            raise OSError(f"upkeep of the archive {self.archive.path} is not done: {self.failed[ALL]}")

    @property
    def trouble(self) -> str | None:
        """Return which files cannot be worked on, and why."""
        return "; ".join(f"{what} of the archive: {why}" for what, why in self.failed.items()) or None

    def _merges(self, files: list[ArchiveFile], of_days_over: bool) -> list[list[ArchiveFile]]:
        """Return the runs of files that become one."""
        today = datetime.fromtimestamp(now_ms() / 1000, UTC).date()
        self.sizes = {one: self.sizes[one] for one in files if one in self.sizes}
        for one in mergeable(files, today if of_days_over else date.min):
            try:
                self.sizes[one] = self.sizes.get(one) or self.archive.size(one)
            except FileNotFoundError:  # somebody else merges
                return []
            except (OSError, pa.ArrowException) as error:
                self._note_failure(one, error)
                self.sizes[one] = UNKNOWN
        return plan_merges(self.sizes, today if of_days_over else date.min)

    def _with(self, file: ArchiveFile, work: Callable[[ArchiveFile], None]) -> None:
        """Work on a file; one that cannot be read is left as it is, and said."""
        try:
            work(file)
        except BlockingIOError:
            raise
        except (OSError, pa.ArrowException) as error:
            self._note_failure(file, error)

    def _note_failure(self, file: ArchiveFile, error: Exception) -> None:
        log.error("%s of the archive %s cannot be worked on: %s", file.path, self.archive.path, error)
        self.failed[file.path] = str(error)

    def _erase(self, file: ArchiveFile) -> None:
        rows = self.archive.erase(file)
        if rows:
            self.metrics.rows("erased", rows)
            self.metrics.files("rewritten")

    def _finish_erasures(self, due: list[Erasure]) -> None:
        """Be done with a round; where a file could not be read, the next one looks again."""
        if not self.failed:
            self.archive.finish_erasures(due)
            log.info("%d users' rows from before they were forgotten are removed", len({one.user_id for one in due}))

    def _merge(self, run: list[ArchiveFile], _: ArchiveFile) -> None:
        if self.archive.merge(run):
            self.metrics.files("merged", len(run))

    def _remove_older(self) -> None:
        removed = self.archive.remove_older(now_ms())
        self.metrics.files("removed", removed)
        log.info("removed %d files of days before %s", removed, self.archive.oldest(now_ms()))


def now_ms() -> int:
    """Return the time, Unix time in milliseconds."""
    return int(time.time() * 1000)
