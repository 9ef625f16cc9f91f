"""The sweep of an updater, between its batches."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from model_export.bundle.extractor import Extractor
from stream.monitoring.metrics import Metrics
from stream.store.contract import Store
from stream.store.state import UserState
from stream.updater.sweep import Sweep

__all__ = ["AGAIN_S", "Notes", "Sweeper"]

log = logging.getLogger(__name__)

SHARE = 4  # while events come, it rests so many times as long as a step takes
AGAIN_S = 10.0  # after the store or the broker failed


class Notes(Protocol):
    """What an updater leaves for whoever reads a partition after it, until that is overwritten."""

    def read_notes(self, partitions: Collection[int]) -> Mapping[int, str]:
        """Return the last note of each of these partitions that is known."""
        ...

    def write_notes(self, partitions: Collection[int], text: str) -> None:
        """Leave a note with each of these partitions, which are ours."""
        ...

    def finish_commits(self) -> bool:
        """Wait until the notes are kept, and tell whether they are."""
        ...


class Sweeper:
    """The sweep of an updater's own partitions, to the model that it serves.

    A user belongs to the updater that reads the user's partition: so several updaters share the work, and while they
    take a new model over, one after the other, none undoes what another has done. A walk begins when there is another
    model, and when partitions come whose users may be of another one. That they are not, the updater before has noted
    beside its offsets: a note is there only while all users of a partition are of the model that it names. So where
    updaters come and go without another model, nobody walks.

    Parameters
    ----------
    announce : told the states with new capsules, before they are written.
    notes : where it is remembered of a partition that it was swept; None: nowhere, so all that comes is walked.

    Attributes
    ----------
    sweep : the walk that is going on, None where there is none.
    behind : partitions of ours whose users may be of another model.
    """

    def __init__(
        self, store: Store, metrics: Metrics, announce: Callable[[list[UserState]], None], notes: Notes | None = None
    ) -> None:
        self.store, self.metrics, self.announce, self.notes = store, metrics, announce, notes
        self.extractor: Extractor | None = None
        self.partitions: frozenset[int] = frozenset()
        self.behind: frozenset[int] = frozenset()
        self.sweep: Sweep | None = None
        self.rests_until = self.waits_until = 0.0
        self.trouble = ""

    def follow(self, extractor: Extractor, partitions: Collection[int]) -> None:
        """Begin a walk if this is another model, or partitions came that may be of another one."""
        came = frozenset(partitions) - self.partitions
        is_another = self.extractor is not None and extractor is not self.extractor
        self.behind &= frozenset(partitions)
        self.extractor, self.partitions = extractor, frozenset(partitions)
        if is_another:
            self._note(self.partitions, "")
            came = self.partitions
        behind = came if is_another else self._not_swept(came, extractor)
        self.behind |= behind
        if behind:
            self.begin(extractor)
        elif self.sweep is not None and not self.behind:
            self._end()

    def _not_swept(self, partitions: frozenset[int], extractor: Extractor) -> frozenset[int]:
        """Return those of these partitions of which nobody has noted that they are of this model."""
        if self.notes is None or not partitions:
            return partitions
        wanted = _note_of(extractor)
        swept = frozenset(one for one, note in self.notes.read_notes(partitions).items() if note == wanted)
        self.notes.write_notes(swept, wanted)
        return partitions - swept

    def _note(self, partitions: Collection[int], text: str) -> None:
        """Leave a note, and wait for it if it takes back what was noted before.

        That must not outlive the first write.
        """
        if self.notes is not None:
            self.notes.write_notes(partitions, text)
            if not text:
                self.notes.finish_commits()

    def begin(self, extractor: Extractor) -> None:
        """Begin a walk; one that is going on is given up."""
        self.sweep = Sweep(self.store, extractor, self._is_mine)
        self.began = time.monotonic()
        self.metrics.sweeping(True)

    def _is_mine(self, state: UserState) -> bool:
        """Tell whether the user is this updater's, and may be of another model."""
        return state.position.partition in self.behind

    def is_at_work(self) -> bool:
        """Tell whether a walk is going on that waits for nothing but its turn."""
        return self.sweep is not None and time.monotonic() >= self.waits_until

    def step(self, idle: bool) -> None:
        """Do a page of users, unless it is time for a rest.

        Parameters
        ----------
        idle : whether no events wait. While they do, only a fifth of the time is for sweeping.
        """
        started = time.monotonic()
        if self.sweep is None or not self.is_at_work() or (started < self.rests_until and not idle):
            return
        try:
            self._advance(self.sweep)
        except OSError as error:
            self._try_again(self.sweep, error)
        self.rests_until = time.monotonic() + SHARE * (time.monotonic() - started)

    def _advance(self, sweep: Sweep) -> None:
        """Do a page of users, and count it."""
        before = sweep.looked_at, sweep.swept
        more = sweep.step(self.announce)
        self.metrics.swept(sweep.looked_at - before[0], sweep.swept - before[1])
        self.trouble = ""
        if not more:
            self._finish(sweep)

    def _finish(self, sweep: Sweep) -> None:
        """End a walk that has seen all users, and note it."""
        self._note(self.behind, _note_of(sweep.extractor))
        self.behind = frozenset()
        self._end()
        if sweep.unreadable.count:
            log.warning("not swept: %s; `mindstream stream repair` lists all", sweep.unreadable)
        if sweep.swept:
            took_s = time.monotonic() - self.began
            log.info(
                "swept: capsules of %d users are of model %s now; %d users were looked at in %.1f s",
                *(sweep.swept, sweep.extractor.bundle.version, sweep.looked_at, took_s),
            )

    def _end(self) -> None:
        """Be done with the walk."""
        self.sweep = None
        self.metrics.sweeping(False)

    def _try_again(self, sweep: Sweep, error: OSError) -> None:
        """Begin anew after a failure, in a while."""
        if str(error) != self.trouble:
            log.warning("the sweep waits, and begins anew: %s", error)
        self.trouble = str(error)
        self.begin(sweep.extractor)
        self.waits_until = time.monotonic() + AGAIN_S


def _note_of(extractor: Extractor) -> str:
    """Return the note that says that all users of a partition are of this model."""
    return f"swept to {extractor.bundle.version}"
