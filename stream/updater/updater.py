"""The updater: behaviour events in, fresh capsules out, nothing lost and nothing applied twice.

    poll -> decode -> apply to histories -> encode -> write states -> dead letters, interest updates -> commit offsets

Offsets are committed last. A crash before that replays the events; the Position in each user's state tells those that
were applied already, so the replay changes nothing. A state is written only over the one that it was made from: a user
whom somebody else has written since is read again, and what is new to the user is applied to that. Where a state or a
dead letter cannot be written, reading pauses, and the same batch is tried until it can: nothing is skipped, and the
group does not take the updater for dead.
"""

import gc
import logging
import threading
import time
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import ExitStack

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from mindstream.settings import Settings
from model_export.bundle.extractor import Extractor
from model_export.bundle.serving import Serving
from stream.dead_letters import writer as dead_letters
from stream.dead_letters.writer import DeadLetter
from stream.events.event import BadEventError, Event, Forget, decode
from stream.events.position import Position
from stream.kafka.batch import RecordBatch
from stream.kafka.cluster import Cluster
from stream.kafka.outbox import Outbox
from stream.kafka.reader import POLL_MS, EventReader
from stream.monitoring.health import Health
from stream.monitoring.metrics import STALLS, Metrics
from stream.store.protocol import Store
from stream.store.state import Applied, UserState, apply, encoded
from stream.updater import interest_updates
from stream.updater.sweeper import Sweeper

__all__ = ["MOST_TRIES", "Updater", "collect_less_garbage"]

log = logging.getLogger(__name__)

RETRY_MS = 500
MOST_TRIES = 10  # of a user whom others write; each time one of them got further
SWEEPING_MS = 5

UserEvents = dict[str, list[tuple[Event | Forget, Position]]]  # in the order of each user's partition


def collect_less_garbage() -> None:
    """For a process that does nothing but update: Python looks for circles of objects less often. A tenth is saved.

    What is loaded by now stays, and the thousands of small objects of a batch are in no circles.
    """
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


class Updater:
    """Keeps the capsules in a store as fresh as the last event on a topic.

    Parameters
    ----------
    serving : the extractor of the current model, which is looked at anew for each batch; where it is another one, the
        stored capsules are brought to it between batches. An Extractor alone stays, and nothing is swept.

    Attributes
    ----------
    extractor : of this batch.
    trouble : why reading is paused, None where it is not.
    """

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        serving: Serving[Extractor] | Extractor,
        settings: Settings,
        metrics: Metrics | None = None,
        health: Health | None = None,
    ) -> None:
        """Connect and join the consumer group.

        Raises
        ------
        OSError
            If no broker answers.
        """
        self.store, self.serving, self.settings = store, serving, settings
        self.metrics, self.health = metrics or Metrics(), health or Health()
        self.extractor = self.served()
        self.metrics.bundle(self.extractor.bundle.version)
        self.sweeper = Sweeper(store, self.metrics, self._announce_swept)
        self.trouble: str | None = None
        self.batch = RecordBatch()
        self.done: set[str] = set()  # parts of the batch that need not be done again
        self.written: set[str] = set()  # users of the batch who need not be done again
        self.closing = ExitStack()
        try:
            cluster.ensure_topics([settings.topic, settings.dead_letter_topic], settings.partitions)
            if settings.updates_topic:
                cluster.ensure_topics([settings.updates_topic], settings.partitions, interest_updates.TOPIC_CONFIG)
            self.outbox = Outbox(cluster)
            self.closing.callback(self.outbox.close)
            self.reader = EventReader(cluster, settings, self.metrics, self.leave_to_others)
            self.closing.callback(self.reader.close)
        except BaseException:
            self.close()
            raise

    @property
    def counts(self) -> Counter[str]:
        """What has happened so far, by the names of `Metrics.counts`."""
        return self.metrics.counts

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then leave the group. Everything polled is written and committed by then."""
        try:
            while not stop.is_set():
                self.step()
                self.tell_health()
        finally:
            self.close()

    def close(self) -> None:
        """Leave the group at once, so that others take over without waiting for a timeout."""
        self.closing.close()

    def step(self) -> None:
        """One batch, from poll to commit; or one more try of the batch that could not be finished."""
        if self.trouble:
            self.reader.pause()  # also what was assigned since
        arrived = RecordBatch(self.reader.poll(self._patience_ms()))  # may take partitions from the batch
        self.follow()
        if self.trouble:
            self.reader.rewind(arrived)  # of partitions that were assigned just now: their turn comes
        else:
            self.batch = arrived
        try:
            if self.batch.records:
                self.finish(self.batch)
        except OSError as error:
            self._wait_because(error)
        else:
            self.go_on()
            self.sweeper.step(idle=not arrived.records)

    def _patience_ms(self) -> int:
        """How long to wait for events."""
        if self.trouble:
            return RETRY_MS
        return SWEEPING_MS if self.sweeper.is_at_work() else POLL_MS

    def served(self) -> Extractor:
        """The extractor of the current model."""
        return self.serving.current if isinstance(self.serving, Serving) else self.serving

    def follow(self) -> None:
        """From this batch on, work with the model that is served now."""
        served = self.served()
        if served is not self.extractor:
            self.extractor = served
            self.metrics.swapped(served.bundle.version)
            log.info("capsules are of model %s from now on", served.bundle.version)
        if isinstance(self.serving, Serving):
            self.sweeper.follow(served, {one.partition for one in self.reader.consumer.assignment()})

    def tell_health(self) -> None:
        self.health.beat()
        trouble = self.trouble or self.reader.trouble
        if trouble:
            self.health.stuck(trouble)
        else:
            self.health.well()

    def leave_to_others(self, partitions: Collection[TopicPartition]) -> None:
        """Drop what is not finished of partitions that were taken away; it is not committed, so others read it."""
        self.batch = self.batch.without(partitions)

    def _wait_because(self, error: OSError) -> None:
        if str(error) != self.trouble:
            log.error("reading is paused: %s", error)
        self.trouble = str(error)
        self.metrics.stalled(next(part for part in STALLS if part not in self.done))

    def go_on(self) -> None:
        self.batch, self.done, self.written = RecordBatch(), set(), set()
        if self.trouble:
            log.info("reading goes on")
            self.trouble = None
            self.reader.resume()

    def finish(self, batch: RecordBatch) -> None:
        """Apply a batch and commit it; what was done of it before is not done again.

        Raises
        ------
        OSError
            If something cannot be written. The batch is not committed then, and may be finished again.
        """
        by_user, letters = self.decode(batch.records)
        is_stored = "store" in self.done
        if not (self.reader.still_reads(batch) if is_stored else self.update(batch, by_user)):
            return
        if not is_stored:
            self.count(batch, by_user, letters)
            self.done.add("store")
        if "dead_letters" not in self.done:
            self._bury(letters)
            self.done.add("dead_letters")
        self.announce(by_user)
        self.reader.commit(batch, wait=bool(letters))  # read again, they would be buried twice
        self.metrics.batch(len(batch.records))

    def decode(self, records: Sequence[ConsumerRecord]) -> tuple[UserEvents, list[DeadLetter]]:
        """Behaviours by user, and the records that are no events."""
        by_user: UserEvents = {}
        letters = []
        for record in records:
            try:
                event = decode(record.value, record.key, record.timestamp)
            except BadEventError as error:
                letters.append(DeadLetter(record, error))
                continue
            if isinstance(event, Event) and not self.settings.is_behaviour(event.event_type):
                continue
            position = Position(self.reader.life.id, record.partition, record.offset)
            by_user.setdefault(event.user_id, []).append((event, position))
        return by_user, letters

    def update(self, batch: RecordBatch, by_user: UserEvents) -> bool:
        """Apply a batch's events and write the states; False where somebody else reads its partitions now.

        Raises
        ------
        OSError
            Also where others write the same users all the time. Those who are written by then are not done again.
        """
        for _ in range(MOST_TRIES):
            left = {user_id: events for user_id, events in by_user.items() if user_id not in self.written}
            made = self.apply(left)
            if not self.reader.still_reads(batch):
                return False
            refused = self.write(made)
            self._count_users(
                [events for user_id, events in left.items() if user_id not in refused],
                [one for one, _ in made if one.user_id not in refused],
            )
            self.written |= left.keys() - refused
            if not refused:
                return True
        raise OSError(f"{len(refused)} users of the batch were written by others at each of {MOST_TRIES} tries")

    def apply(self, by_user: UserEvents) -> list[tuple[Applied, UserState]]:
        """The users that change, with their new states. All events of a user are applied together, encoded once."""
        states = self._states_of(by_user)
        length = self.settings.history_length
        pairs = zip(by_user.items(), states, strict=True)
        applied = [apply(user_id, state, events, length) for (user_id, events), state in pairs]
        changed = [one for one in applied if one is not None]
        with self.metrics.timed("encode"):
            capsules = encoded(self.extractor, changed)
        return [(one, one.with_capsules(made)) for one, made in zip(changed, capsules, strict=True)]

    def write(self, made: list[tuple[Applied, UserState]]) -> set[str]:
        """Write states; the users whose states are refused: somebody else has written them since they were read."""
        read = {one.user_id: one.read for one, _ in made}
        with self.metrics.timed("put"):
            refused = self.store.put_many((state for _, state in made), read)
        self.metrics.refused(len(refused))
        return refused

    def _count_users(self, events: list[list[tuple[Event | Forget, Position]]], applied: list[Applied]) -> None:
        """Count the events of users who are written, and what became of them."""
        known = self.extractor.bundle.rows
        self.metrics.count("replayed", sum(map(len, events)) - sum(one.events for one in applied))
        self.metrics.count("applied", sum(len(one.behaviours) for one in applied))
        self.metrics.count("duplicate", sum(one.duplicates for one in applied))
        self.metrics.count("forgotten", sum(one.forgotten for one in applied))
        self.metrics.count("unknown_item", sum(item_id not in known for one in applied for item_id in one.behaviours))

    def count(self, batch: RecordBatch, by_user: UserEvents, letters: list[DeadLetter]) -> None:
        """Count what else a batch was, once all of it is stored."""
        now = time.time()
        self.metrics.stored(now - record.timestamp / 1000 for record in batch.records)
        wanted = sum(map(len, by_user.values()))
        self.metrics.count("ignored", len(batch.records) - len(letters) - wanted)

    def _bury(self, letters: list[DeadLetter]) -> None:
        """Write the dead letters; they must be on the broker before their offsets are committed."""
        if not letters:
            return
        for letter in letters:
            where = {"topic": letter.record.topic, "partition": letter.record.partition, "offset": letter.record.offset}
            log.warning("dead letter: %s: %s", letter.source, letter.error, extra=where)
        dead_letters.send(self.outbox, self.settings.dead_letter_topic, letters)
        for reason, number in Counter(letter.error.reason for letter in letters).items():
            self.metrics.dead_letter(reason, number)

    def announce(self, by_user: UserEvents) -> None:
        """Publish the interests of these users as they are stored.

        Also of those whose events were all applied before: whoever applied them may have died before saying so.
        """
        if self.settings.updates_topic:
            users = dict(zip(by_user, self._states_of(by_user), strict=True))
            interest_updates.publish(self.outbox, self.settings.updates_topic, users)

    def _announce_swept(self, states: Sequence[UserState]) -> None:
        """Publish the interests of these users before they are written: once they are, no sweep finds them again.

        Raises
        ------
        OSError
            If it cannot be done, or somebody else may have published newer ones, because the group took us for dead.
        """
        if self.settings.updates_topic:
            self.reader.make_sure_of_all()
            users = {state.user_id: state for state in states}
            interest_updates.publish(self.outbox, self.settings.updates_topic, users)

    def _states_of(self, user_ids: Collection[str]) -> list[UserState | None]:
        """The stored states of these users.

        Raises
        ------
        OSError
            Also where one cannot be read: going on without it would lose its history, so somebody has to look at it.
        """
        try:
            with self.metrics.timed("get"):
                return self.store.get_many(list(user_ids))
        except ValueError as error:
            raise OSError(str(error)) from error
