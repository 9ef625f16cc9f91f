"""A topic with open transactions, and a topic that is deleted while updaters read it."""

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice

from confluent_kafka import Producer

from benchmarks.faults.found import Found
from benchmarks.scenario.comparison import behaviours_in, behaviours_of, difference, states_of
from benchmarks.scenario.home import Home, counted
from benchmarks.scenario.load import clicks
from benchmarks.scenario.verdict import verdict
from benchmarks.scenario.world import PARTITIONS, World
from stream.events.event import Event, encode
from testbed.java_broker import free_ports
from testbed.stream_process import StreamProcess, wait_until

__all__ = ["deleted_topic", "open_transaction"]

SAID_WITHIN_S = 60.0
GONE = "is gone from the broker"


class Monitored:
    """An updater with its pages of metrics and health."""

    def __init__(self, home: Home) -> None:
        [port] = free_ports(1)
        self.address = f"http://127.0.0.1:{port}"
        self.running = home.start(MINDSTREAM_METRICS_PORT=str(port))

    def __enter__(self) -> "Monitored":
        self.command: StreamProcess = self.running.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self.running.__exit__(None, None, None)

    def page(self, path: str) -> tuple[int, str]:
        """Return a page's status and text; 0 where nobody listens."""
        with suppress(OSError):
            try:
                with urllib.request.urlopen(f"{self.address}/{path}", timeout=10) as answer:
                    return int(answer.status), answer.read().decode()
            except urllib.error.HTTPError as refused:
                with refused:
                    return refused.code, refused.read().decode()
        return 0, ""

    def total(self, metric: str) -> float | None:
        """Return the sum of a metric over its labels; None where it has no value yet."""
        values = re.findall(rf"^mindstream_{metric}\{{.*\}} (\S+)$", self.page("metrics")[1], flags=re.MULTILINE)
        return sum(map(float, values)) if values else None

    def is_ready(self) -> bool:
        """Tell whether /readyz says ok."""
        return self.page("readyz")[0] == 200


def open_transaction(world: World, held: int = 20, transactions: int = 200, open_s: float = 35.0) -> Found:
    """Publish in transactions, some of which are taken back or stay open.

    One stays open longer than the watchdog waits.
    """
    with world.home() as home, Monitored(home) as updater:
        wait_until(updater.is_ready, "/readyz says ok")
        events = clicks(home.bundle.item_ids, event_ids=True)
        producer = _transactional(home)
        taken_back = _publish_transactions(home, producer, events, transactions)
        world.say(f"a transaction of {held} events stays open for {open_s:.0f} s")
        producer.begin_transaction()
        _produce(home, producer, islice(events, held))
        said = _comes_true(lambda: updater.total("open_transaction_events") == updater.total("lag_events") == held)
        noted = _comes_true(lambda: "is behind an open transaction" in updater.page("readyz")[1])
        time.sleep(open_s)
        stays_ready = updater.is_ready()
        producer.commit_transaction(60)
        drain_s = home.catches_up()
        reached = _comes_true(lambda: home.committed() == home.published() and updater.total("lag_events") == 0)
        updater.command.end()
        counts = counted(updater.command)
        faults = verdict(home) | {
            "lag_not_said": int(not (said and noted and stays_ready)),
            "stuck_partitions": counts["stuck"],
            "not_caught_up": int(not reached),
            "lost_by_the_broker": counts["lost"],
        }
    figures = {"transactions": transactions + 1, "taken_back": taken_back, "held": held, "drain_s": drain_s}
    return Found(faults, figures)


def _transactional(home: Home) -> Producer:
    """Make a producer of transactions that partitions as ours do."""
    producer = Producer(
        {
            "bootstrap.servers": home.kafka.bootstrap_servers,
            "transactional.id": home.settings.topic,
            "partitioner": "murmur2_random",
        }
    )
    producer.init_transactions(60)
    return producer


def _publish_transactions(home: Home, producer: Producer, events: Iterator[Event], transactions: int) -> int:
    """Publish transactions of three events each and take every fifth back.

    Return how many were taken back.
    """
    taken_back = 0
    for number in range(transactions):
        producer.begin_transaction()
        _produce(home, producer, islice(events, 3))
        if number % 5 == 4:
            producer.abort_transaction(60)
            taken_back += 1
        else:
            producer.commit_transaction(60)
    return taken_back


def _produce(home: Home, producer: Producer, events: Iterable[Event]) -> None:
    """Publish events and wait until the broker has them."""
    for event in events:
        key, value = encode(event)
        producer.produce(home.settings.topic, value, key)
    assert producer.flush(60) == 0, "the broker did not take all events"


def deleted_topic(world: World, events: int = 2_000, gone_s: float = 15.0) -> Found:
    """Delete the topic under two updaters, and make it again later.

    The broker makes what is asked for.
    """
    with world.home() as home, Monitored(home) as one, Monitored(home) as two:
        wait_until(lambda: one.is_ready() and two.is_ready(), "both updaters are ready")
        published = list(islice(clicks(home.bundle.item_ids), 2 * events))
        producer = Producer({"bootstrap.servers": home.kafka.bootstrap_servers, "partitioner": "murmur2_random"})
        _produce(home, producer, published[:events])
        home.catches_up()
        world.say(f"the topic is gone for {gone_s:.0f} s")
        with home.kafka.admin() as admin:
            admin.delete_topics([home.settings.topic])
        said = _comes_true(lambda: all(GONE in updater.page("readyz")[1] for updater in (one, two)))
        time.sleep(gone_s)
        with home.kafka.admin() as admin:
            made_again = home.settings.topic in admin.list_topics()
            if not made_again:
                shape = {"num_partitions": PARTITIONS, "replication_factor": 1}
                admin.create_topics({home.settings.topic: shape}, wait_for_metadata=True)
        back = time.monotonic()
        producer = Producer({"bootstrap.servers": home.kafka.bootstrap_servers, "partitioner": "murmur2_random"})
        _produce(home, producer, published[events:])
        home.catches_up()
        ready = _comes_true(lambda: one.is_ready() and two.is_ready())
        resumed_s = time.monotonic() - back
        for updater in (one, two):
            updater.command.end()
        lost = sum(counted(updater.command)["lost"] for updater in (one, two))
        faults = difference(behaviours_of(published), behaviours_in(states_of(home.store))) | {
            "made_again_by_updaters": int(made_again),
            "gone_not_said": int(not said),
            "not_ready_again": int(not ready),
            "lost_by_the_broker": lost,
        }
    return Found(faults, {"events": len(published), "resumed_after_s": resumed_s})


def _comes_true(happens: Callable[[], bool], within_s: float = SAID_WITHIN_S) -> bool:
    """Return whether something becomes true in time."""
    deadline = time.monotonic() + within_s
    while not (found := happens()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found
