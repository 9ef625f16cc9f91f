"""The time from an event to its stored state, seen from outside: one at a time, of users of its own."""

import time
from itertools import count

from benchmarks.harness.background import Background
from benchmarks.scenario.home import Home
from stream.events.event import Event
from stream.events.producer import EventProducer

__all__ = ["Probe"]

EVENTS_A_USER = 40  # fewer than a history holds, so that one that is lost is seen
PAUSE_S = 0.03
LOOK_EVERY_S = 0.001


class Probe(Background):
    """Sends events and waits for each.

    Attributes
    ----------
    took_s : seconds from sending to the stored state, since it was last emptied.
    sent : events so far.
    """

    def __init__(self, home: Home) -> None:
        super().__init__()
        self.home = home
        self.took_s: list[float] = []
        self.sent = 0

    def work(self) -> None:
        """Send events one at a time, and time each until it is stored."""
        with EventProducer(self.home.cluster, self.home.settings.topic) as producer:
            for number in count():
                if self.stopping.wait(PAUSE_S):
                    return
                started = time.monotonic()
                user_id = f"probe-{number // EVENTS_A_USER}"
                event = Event(user_id, self.home.bundle.item_ids[number % 1_000], int(time.time() * 1_000))
                _, offset = producer.publish(event)
                self.sent += 1
                while self.stored(user_id) < offset and not self.stopping.is_set():
                    time.sleep(LOOK_EVERY_S)
                self.took_s.append(time.monotonic() - started)

    def stored(self, user_id: str) -> int:
        """Return the offset of a user's last event that is in the store, -1 if there is none."""
        [state] = self.home.store.get_many([user_id])
        return state.position.offset if state else -1
