"""Waiting at the start for a broker or a store that does not answer yet."""

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from stream.kafka.cluster import BrokerAwayError
from stream.monitoring.health import Health

__all__ = ["StoppedError", "Waiting", "may_come_back"]

log = logging.getLogger("stream")

AGAIN_S = 2.0

Made = TypeVar("Made")


class StoppedError(Exception):
    """We were told to stop while we waited."""


class Waiting:
    """A start that goes on once others answer.

    Parameters
    ----------
    stop : set where we are told to stop.
    health : says meanwhile what is waited for.
    wait : whether to wait at all; else the first failure is raised.
    """

    def __init__(self, stop: threading.Event, health: Health, wait: bool) -> None:
        self.stop, self.health, self.wait = stop, health, wait

    def until_made(self, make: Callable[[], Made]) -> Made:
        """Call `make` until what it needs answers; return what it made.

        Raises
        ------
        StoppedError
            If we were told to stop before.
        OSError
            From `make`, where waiting does not help or is not wanted.
        """
        waited = False
        while not self.stop.is_set():
            self.health.beat()
            try:
                made = make()
            except OSError as error:
                if not self.wait or not may_come_back(error):
                    raise
                if not waited:
                    log.warning("waiting: %s", error)
                waited = True
                self.health.stuck(f"waiting: {error}")
                self.stop.wait(AGAIN_S)
            else:
                if waited:
                    log.info("what was waited for answers")
                self.health.well()
                return made
        raise StoppedError


def may_come_back(error: OSError) -> bool:
    """Tell whether what failed may work later, since nobody answered.

    Nobody has to change a setting for it.
    """
    cause = error.__cause__
    if isinstance(error, BrokerAwayError) or not type(cause).__module__.startswith("redis."):
        return isinstance(error, BrokerAwayError)
    from stream.store.redis.client import is_away  # here, because redis takes a moment to import, and is there already

    return is_away(cause)
