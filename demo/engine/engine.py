"""The demo without Streamlit: a broker, an updater, a store, a recommender, and clicks through Kafka."""

import random
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace

from demo.engine.live_metrics import Pulse
from demo.engine.offsets import Offsets
from demo.engine.paths import log_file, one_interest_models
from demo.engine.personas import Personas
from demo.engine.retraining_process import Retraining
from demo.engine.served import Served, make_served, one_interest_recommender
from demo.engine.shopper import USER_ID as TEST_SHOPPER
from demo.engine.shopper import Shopper
from demo.engine.traffic import Traffic
from index.recommend.candidates import Candidates
from mindstream.settings import Settings
from model_export.bundle.extractor import Extractor
from model_export.bundle.homes.open_registry import open_registry
from model_export.bundle.last_good import open_last_good
from model_export.bundle.registry import NoEarlierBundleError
from model_export.bundle.serving import Serving
from model_export.readers import read_log
from stream.events.event import Event
from stream.events.position import Position
from stream.events.producer import EventProducer
from stream.kafka.cluster import Cluster
from stream.kafka.connect import existing_cluster
from stream.kafka.embedded_broker import EmbeddedBroker, running_embedded
from stream.kafka.group.reader import POLL_MS
from stream.kafka.topic_life import TopicLife
from stream.store.open_store import open_store, redis_address
from stream.store.state import UserState
from stream.updater.rest import LOOK_MS, Rest
from stream.updater.updater import Updater

__all__ = ["CANDIDATES", "Click", "Engine"]

APPLIED_WITHIN_S = 10.0
LOOK_EVERY_S = 0.002
READY_WITHIN_S = 45.0  # the updater may have to join its group a second time
CANDIDATES = 100


@dataclass(frozen=True)
class Click:
    """A click that has become recommendations.

    Attributes
    ----------
    latency_ms : from publishing the event to having new candidates.
    """

    user_id: str
    item_id: str
    event_type: str
    latency_ms: float


class Engine:
    """The parts of Mindstream that one demo process runs, shared by all its pages.

    Raises
    ------
    OSError, BundleError
        If no broker answers, the store cannot be opened, or no model was published; the message says what to do.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.closing = ExitStack()
        self.stop = threading.Event()
        self.going = threading.Event()  # not set: the updater is paused
        self.going.set()
        self.rest = Rest()
        self.failure: BaseException | None = None
        try:
            self.open()
        except BaseException:
            self.closing.close()
            raise

    def open(self) -> None:
        """Start everything; what was started is closed in the opposite order."""
        settings = self.settings
        self.registry = open_registry(settings.published, settings.cache)
        open_last_good(self.registry)  # before anything is started: without a model there is nothing to show
        self.store = self.closing.enter_context(open_store(settings))
        self.cluster = self._open_cluster()
        self.updater = self._start_updater() if settings.demo_updater else None
        # Joining the group takes seconds; what follows is done meanwhile.
        self.serving = self.closing.enter_context(
            Serving(self.registry, lambda bundle: make_served(bundle, self.store, settings.rule))
        )
        self.one = one_interest_recommender(one_interest_models(settings), self.store)
        self.life = TopicLife(self.cluster, settings.topic)
        self.closing.callback(self.life.close)
        self.producer = self.closing.enter_context(EventProducer(self.cluster, settings.topic, settings.event_bytes))
        self._open_room(Offsets(self.cluster, settings))
        self._wait_for_partitions()

    def _open_room(self, offsets: Offsets) -> None:
        """Start what the machine room needs."""
        self.closing.callback(offsets.close)
        self.pulse = Pulse(offsets)
        interactions = read_log(log_file(self.settings))
        self.personas = Personas(interactions, self.settings.rule)
        self.traffic = Traffic(interactions, self.producer, without=self.personas.user_ids)
        self.closing.callback(self.traffic.stop)
        self.shopper = Shopper(self.shop, lambda: self.traffic.rate > 0 and self.going.is_set())
        self.closing.callback(self.shopper.stop)
        self.retraining = Retraining()
        self.closing.callback(self.retraining.stop)

    def _open_cluster(self) -> Cluster:
        """Return the configured Kafka, else the embedded broker: one that runs, or one of our own."""
        if found := existing_cluster(self.settings):
            return found
        broker = self.closing.enter_context(EmbeddedBroker(self.settings.state))
        return replace(broker.cluster, partitioner=self.settings.partitioner)

    def _start_updater(self) -> Updater:
        """Run an updater in a thread."""
        extractors = self.closing.enter_context(Serving(self.registry, Extractor))
        updater = Updater(self.cluster, self.store, extractors, self.settings, observer=self.rest)
        thread = threading.Thread(target=self._keep_updating, args=(updater,), name="updater", daemon=True)
        thread.start()
        self.closing.callback(thread.join, 10)
        self.closing.callback(self.going.set)
        self.closing.callback(self.stop.set)
        return updater

    def _wait_for_partitions(self) -> None:
        """Return once the updater can read."""
        if self.updater and not self.updater.reader.ready.wait(READY_WITHIN_S):
            raise OSError(f"the updater got no partition of {self.settings.topic} within {READY_WITHIN_S:.0f} s")

    def _keep_updating(self, updater: Updater) -> None:
        """Run the updater like `Updater.run`, with a pause if it is asked for."""
        try:
            while not self.stop.is_set():
                self.going.wait()
                self._step(updater)
        except Exception as error:  # shown on the page: nothing changes there any more
            self.failure = error
        finally:
            updater.close()

    def _step(self, updater: Updater) -> None:
        """Do one batch, and rest after it if the embedded broker has had nothing for a while.

        Apache Kafka answers a fetch when there is something, so there waiting costs nothing.
        """
        resting = self.cluster.life is not None and self.rest.is_due() and not updater.reader.membership.is_joining()
        updater.step(LOOK_MS if resting else POLL_MS)
        updater.tell_health()
        if resting:
            self.rest.take()

    @property
    def served(self) -> Served:
        """Return what is served now; take it once for each answer."""
        return self.serving.current

    def click(self, user_id: str, item_id: str, event_type: str = "click") -> Click:
        """Publish an event and wait until it has changed the user's recommendations.

        By MINDSTREAM_BEHAVIOURS some types of events may count for nothing, and change nothing.

        Raises
        ------
        OSError
            If the broker does not take it, or no updater applies it in time.
        """
        start = time.perf_counter()
        self.publish(Event(user_id, item_id, int(time.time() * 1000), event_type))
        self.recommend(user_id)
        click = Click(user_id, item_id, event_type, (time.perf_counter() - start) * 1000)
        if self.settings.rule.counts(event_type):
            self.pulse.took(click.latency_ms)
        return click

    def shop(self) -> None:
        """Make a click of the test shopper."""
        self.click(TEST_SHOPPER, random.choice(self.served.bundle.item_ids))

    def publish(self, *events: Event) -> None:
        """Publish events of one user and wait until the last one is applied, if it counts."""
        for event in events[:-1]:
            self.producer.send(event)
        partition, offset = self.producer.publish(events[-1])
        self.rest.wake()
        if self.settings.rule.counts(events[-1].event_type):  # no updater notes the position of the others
            self.wait_for(events[-1].user_id, Position(self.life.id, partition, offset))

    def is_broken(self) -> bool:
        """Tell whether only a new engine can go on."""
        return self.failure is not None or self._lost_its_broker()

    def _lost_its_broker(self) -> bool:
        """Tell whether another process ran the embedded broker, and has ended."""
        return self.cluster.life is not None and running_embedded(self.settings.state) != self.cluster

    def trouble(self) -> str | None:
        """Say what keeps clicks from coming back, as a sentence; None if all is well."""
        if self.failure:
            return f"The updater has stopped: {self.failure}. It is started again."
        if self.updater and self.updater.trouble:
            return f"The updater waits: {self.updater.trouble}."
        if self._lost_its_broker():
            return "The process that ran the embedded broker has ended. A new one is started."
        return None

    def wait_for(self, user_id: str, position: Position) -> None:
        """Wait until the user's stored state covers this position.

        Returns at once if the updater is paused.
        """
        deadline = time.monotonic() + APPLIED_WITHIN_S
        while time.monotonic() < deadline and self.going.is_set():
            state = self.state(user_id)
            if state is not None and state.position.covers(position):
                return
            if self.failure:
                raise OSError(f"the updater has stopped: {self.failure}")
            time.sleep(LOOK_EVERY_S)
        if not self.going.is_set():
            raise OSError("the updater is paused; the event waits in Kafka, and counts once the updater goes on")
        raise OSError(
            f"the event at {self.settings.topic}[{position.partition}]@{position.offset} was published but not applied "
            f"within {APPLIED_WITHIN_S:.0f} s; is an updater running?"
        )

    def state(self, user_id: str) -> UserState | None:
        """Read the stored state of a user."""
        [state] = self.store.get_many([user_id])
        return state

    def recommend(self, user_id: str, exclude_seen: bool = False) -> Candidates:
        """Find candidates by the model that is served."""
        return self.served.recommender.recommend(user_id, CANDIDATES, exclude_seen)

    def bring_in(self, user_id: str) -> None:
        """Publish what the log knows of a user, unless the user is known here already."""
        if user_id in self.personas.user_ids and self.state(user_id) is None:
            self.publish(*self.personas.events(user_id))

    def roll_back(self) -> str:
        """Make the model before the current one current again, here at once; return its version.

        Raises
        ------
        ValueError
            If there is none, said without the registry's advice, which is for a terminal.
        """
        try:
            version = self.registry.rollback().version
        except NoEarlierBundleError as error:
            raise ValueError("There is no earlier model to go back to.") from error
        self.serving.look()
        return version

    def places(self) -> dict[str, str]:
        """Return where broker and store are, without secrets, and which log is shown."""
        redis = redis_address(self.settings)
        kind = "embedded" if self.cluster.life else "Apache Kafka"
        return {
            "Broker": f"{kind}, {self.cluster.bootstrap_servers}",
            "Store": f"Redis, {redis}" if redis else f"LMDB, {self.settings.state}",
            **({"Log": self.settings.log.name} if self.settings.log else {}),
        }

    def close(self) -> None:
        """Stop all threads, leave the consumer group, close the store."""
        self.closing.close()
