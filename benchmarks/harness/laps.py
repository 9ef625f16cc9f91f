"""Where the time goes: seconds in some methods of some objects, each without those that it calls."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Laps"]


class Laps:
    """Counts the seconds in methods that are looked at.

    Attributes
    ----------
    seconds : name -> seconds in the method, less those in other methods that are looked at.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.clock = clock
        self.inside: list[float] = []  # of each method that is running: the seconds in those it called

    def look_at(self, methods: Mapping[str, tuple[object, str]]) -> None:
        """From now on count these: name -> object and its method."""
        for name, (owner, method) in methods.items():
            setattr(owner, method, self._counted(name, getattr(owner, method)))

    def _counted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method that counts its seconds under a name."""

        def call(*arguments: Any, **named: Any) -> Any:
            self.inside.append(0.0)
            started = self.clock()
            try:
                return method(*arguments, **named)
            finally:
                took = self.clock() - started
                self.seconds[name] += took - self.inside.pop()
                if self.inside:
                    self.inside[-1] += took

        return call
