"""Work that goes on in a thread of its own while a block lasts."""

from threading import Event, Thread
from typing import Self


class Background:
    """Does `work` from entering the context until leaving it; `work` ends soon after `stopping` is set."""

    def __init__(self) -> None:
        self.stopping = Event()
        self.thread = Thread(target=self.work, daemon=True)

    def work(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.thread.join()
