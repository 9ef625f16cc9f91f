"""The seconds in each part of some work, without the parts inside it."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Laps"]


class Laps:
    """Seconds by part of the work.

    Attributes
    ----------
    seconds : part -> seconds in it, less those in other parts inside it.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.clock = clock
        self.inside: list[float] = []  # of each part that is going on: the seconds in the parts inside it

    @contextmanager
    def lap(self, part: str) -> Iterator[None]:
        """Count the seconds of a block under the name of a part, also where the block raises."""
        self.inside.append(0.0)
        started = self.clock()
        try:
            yield
        finally:
            took = self.clock() - started
            self.seconds[part] += took - self.inside.pop()
            if self.inside:
                self.inside[-1] += took
