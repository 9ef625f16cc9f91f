"""Work that goes on in threads of its own while a block lasts."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Self

__all__ = ["Background", "Threads"]


class Threads:
    """Threads that run from entering the context until `stop` or leaving it.

    Parameters
    ----------
    works : one for each; they return soon after `stopping` is set.
    """

    def __init__(self, works: Sequence[Callable[[], object]]) -> None:
        self.stopping = Event()
        self.threads = [Thread(target=work, daemon=True) for work in works]

    def stop(self) -> None:
        """Tell the work to stop, and return once it has ended."""
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Background(Threads, ABC):
    """Work in one thread."""

    def __init__(self) -> None:
        super().__init__([self.work])

    @abstractmethod
    def work(self) -> None:
        """Do the work; return soon after `stopping` is set."""
