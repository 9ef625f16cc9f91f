"""Records that are no events, published among events, and the dead letters that have to come of them."""

from collections import Counter
from collections.abc import Collection
from itertools import islice
from typing import NamedTuple

from benchmarks.faults.found import Found
from benchmarks.scenario.bad import Injected, send_bad
from benchmarks.scenario.home import Home
from benchmarks.scenario.load import clicks
from benchmarks.scenario.verdict import verdict
from benchmarks.scenario.world import World
from stream.dead_letters.letter import read_record
from stream.events.producer import EventProducer

__all__ = ["Letters", "letters_of", "malformed", "publish_with_bad"]

A_HUNDREDTH = 100


class Letters(NamedTuple):
    """The letters on the dead letter topic that should be there and are not, or the reverse.

    Attributes
    ----------
    missing : bad records that have no letter which says what they were.
    strange : letters of what was no bad record, or that say something else of it.
    twice : letters that were there already. After a crash between letter and commit that is as it should be.
    """

    missing: int
    strange: int
    twice: int

    def faults(self) -> dict[str, int]:
        """Return the faults if a letter may come twice."""
        return {"dead_letters_missing": self.missing, "dead_letters_too_many": self.strange}


def letters_of(home: Home, injected: Collection[Injected]) -> Letters:
    """Compare the dead letter topic with the bad records.

    To be asked before `verdict`, which writes letters too.
    """
    letters = [read_record(record) for record in home.records(home.settings.dead_letter_topic)]
    found = Counter(Injected(one.source, one.reason, one.key, one.value) for one in letters)
    expected = set(injected)
    return Letters(len(expected - found.keys()), len(found.keys() - expected), found.total() - len(found))


def publish_with_bad(home: Home, events: int, bad: int) -> list[Injected]:
    """Publish clicks, and bad records evenly among them; return the bad ones.

    They are of all kinds.
    """
    sent = []
    with EventProducer(home.cluster, home.settings.topic) as producer:
        good = clicks(home.bundle.item_ids)
        for number in range(bad):
            for event in islice(good, events // bad):
                producer.send(event)
            sent.append(send_bad(producer, number))
        producer.flush()
        return [one.injected() for one in sent]


def malformed(world: World, events: int = 100_000) -> Found:
    """Send one record in a hundred that is no event, of ten kinds."""
    with world.home() as home:
        world.say(f"publishing {events:,} events")
        injected = publish_with_bad(home, events - events // A_HUNDREDTH, events // A_HUNDREDTH)
        with home.run() as command:
            world.say("catching up")
            drain_s = home.catches_up()
            command.end()
        letters = letters_of(home, injected)
        too_many = {"dead_letters_too_many": letters.strange + letters.twice}  # nothing crashed
        faults = verdict(home) | letters.faults() | too_many
    return Found(faults, {"records": events, "bad_records": len(injected), "drain_s": drain_s})
