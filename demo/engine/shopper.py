"""A test shopper: while traffic runs, one visitor whose clicks are timed, so that the chart has something to show."""

import threading
from collections.abc import Callable

__all__ = ["USER_ID", "Shopper"]

USER_ID = "test-shopper"
EVERY_S = 0.5


class Shopper:
    """A thread that clicks now and then while it is wanted; a click that fails is for the page to say.

    Parameters
    ----------
    click : makes one click and waits for what comes of it.
    wanted : whether to click now.
    """

    def __init__(self, click: Callable[[], object], wanted: Callable[[], bool]) -> None:
        self.click, self.wanted = click, wanted
        self.failure: Exception | None = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name="shopper", daemon=True)
        self.thread.start()

    def run(self) -> None:
        """Click now and then, until it is stopped."""
        while not self.stopping.wait(EVERY_S):
            if self.wanted():
                self._try_click()

    def _try_click(self) -> None:
        """Make one click."""
        try:
            self.click()
            self.failure = None
        except (OSError, ValueError) as error:
            self.failure = error

    def stop(self) -> None:
        """Stop clicking."""
        self.stopping.set()
        self.thread.join(15)  # a click under way may wait for an updater
