"""Work that goes on in a thread of its own while a block lasts."""

from abc import ABC, abstractmethod
from threading import Event, Thread
from typing import Self

__all__ = ["Background"]


class Background(ABC):
    """Work in a thread, from entering the context until `stop` or leaving it."""

    def __init__(self) -> None:
        self.stopping = Event()
        self.thread = Thread(target=self.work, daemon=True)

    @abstractmethod
    def work(self) -> None:
        """Do the work; return soon after `stopping` is set."""

    def stop(self) -> None:
        """Tell the work to stop, and return once it has ended."""
        self.stopping.set()
        self.thread.join()

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
