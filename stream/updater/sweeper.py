"""The sweep of an updater, between its batches."""

import logging
import time
from collections.abc import Callable, Collection

from model_export.bundle.extractor import Extractor
from stream.monitoring.metrics import Metrics
from stream.store.contract import Store
from stream.store.state import UserState
from stream.updater.sweep import Sweep

__all__ = ["AGAIN_S", "Sweeper"]

log = logging.getLogger(__name__)

SHARE = 4  # while events come, it rests so many times as long as a step takes
AGAIN_S = 10.0  # after the store or the broker failed


class Sweeper:
    """The sweep of an updater's own partitions, to the model that it serves.

    A user belongs to the updater that reads the user's partition: so several updaters share the work, and while they
    take a new model over, one after the other, none undoes what another has done. A walk begins when there is another
    model, and when partitions come: their users may be of the model that the updater before served.

    Parameters
    ----------
    announce : told the states with new capsules, before they are written.

    Attributes
    ----------
    sweep : the walk that is going on, None where there is none.
    """

    def __init__(self, store: Store, metrics: Metrics, announce: Callable[[list[UserState]], None]) -> None:
        self.store, self.metrics, self.announce = store, metrics, announce
        self.extractor: Extractor | None = None
        self.partitions: frozenset[int] = frozenset()
        self.sweep: Sweep | None = None
        self.rests_until = self.waits_until = 0.0
        self.trouble = ""

    def follow(self, extractor: Extractor, partitions: Collection[int]) -> None:
        """Begin a walk if this is another model, or partitions were not ours before."""
        is_new = extractor is not self.extractor or not self.partitions.issuperset(partitions)
        self.extractor, self.partitions = extractor, frozenset(partitions)
        if is_new and partitions:
            self.begin(extractor)

    def begin(self, extractor: Extractor) -> None:
        """Begin a walk; one that is going on is given up."""
        self.sweep = Sweep(self.store, extractor, self._is_mine)
        self.began = time.monotonic()
        self.metrics.sweeping(True)

    def _is_mine(self, state: UserState) -> bool:
        """Tell whether the user's events come to this updater."""
        return state.position.partition in self.partitions

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
        """End a walk that has seen all users."""
        self.sweep = None
        self.metrics.sweeping(False)
        if sweep.swept:
            took_s = time.monotonic() - self.began
            log.info(
                "swept: capsules of %d users are of model %s now; %d users were looked at in %.1f s",
                *(sweep.swept, sweep.extractor.bundle.version, sweep.looked_at, took_s),
            )

    def _try_again(self, sweep: Sweep, error: OSError) -> None:
        """Begin anew after a failure, in a while."""
        if str(error) != self.trouble:
            log.warning("the sweep waits, and begins anew: %s", error)
        self.trouble = str(error)
        self.begin(sweep.extractor)
        self.waits_until = time.monotonic() + AGAIN_S
