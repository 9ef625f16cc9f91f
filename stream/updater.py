"""The updater: behaviour events in, fresh capsules out, nothing lost and nothing applied twice.

    poll -> decode -> apply to histories -> encode -> write states -> write dead letters -> commit offsets

Offsets are committed last. A crash before that replays the events; the Position in each user's state tells those that
were applied already, so the replay changes nothing.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import (
    InvalidRequestError,
    KafkaError,
    LogTruncationError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from kafka.structs import MemberState

from model_export.extractor import Extractor
from settings import Settings
from stream import dead_letters
from stream.cluster import Cluster, TopicLife
from stream.dead_letters import DeadLetter
from stream.event import BadEventError, Event, Forget, decode
from stream.position import Position
from stream.state import Applied, apply
from stream.store import Store

log = logging.getLogger(__name__)

POLL_MS = 200
ANSWER_MS = 5_000  # a broker that is away must not keep us longer from hearing that we should stop
LIFE_CHECK_S = 1.0
JOINED_WITHIN_S = 15.0


class Updater:
    """Keeps the capsules in a store as fresh as the last event on a topic.

    Attributes
    ----------
    counts : events (applied), duplicates (replayed, skipped), dead_letters, unknown_items (applied to the history, but
        not known to the model), lost (removed by the broker before they were read), batches.
    ready : set once the group has given this updater its first partitions.
    """

    def __init__(self, cluster: Cluster, store: Store, extractor: Extractor, settings: Settings) -> None:
        """Connect and join the consumer group.

        Raises
        ------
        OSError
            If no broker answers.
        """
        self.store, self.extractor, self.settings = store, extractor, settings
        self.counts: Counter[str] = Counter()
        self.ready = threading.Event()
        self.closing = ExitStack()
        try:
            self.connect(cluster)
        except BaseException:
            self.close()
            raise

    def connect(self, cluster: Cluster) -> None:
        cluster.ensure_topics([self.settings.topic, self.settings.dead_letter_topic], self.settings.partitions)
        self.life = TopicLife(cluster, self.settings.topic)
        self.closing.callback(self.life.close)
        self.life_checked = time.monotonic()
        self.producer = cluster.producer()
        self.closing.callback(self.producer.close)
        self.consumer = cluster.consumer(self.settings.group, max_poll_records=2_000)
        self.closing.callback(self.consumer.close, autocommit=False, timeout_ms=ANSWER_MS)
        self.joined = time.monotonic()
        self.consumer.subscribe([self.settings.topic])
        with suppress(KafkaError):  # knowing the partitions first saves joining twice
            self.consumer.partitions_for_topic(self.settings.topic)

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then leave the group. Everything polled is written and committed by then."""
        try:
            while not stop.is_set():
                self.step()
        finally:
            self.close()

    def step(self) -> None:
        """One batch, from poll to commit."""
        self.check_life()
        self.check_membership()
        records = self.poll()
        if records:
            letters = self.apply(records)
            self.bury(letters)
            self.commit()

    def close(self) -> None:
        """Leave the group at once, so that others take over without waiting for a timeout."""
        self.closing.close()

    def check_life(self) -> None:
        """Start over where the topic was deleted and made again: its events are new, whatever their offsets."""
        if time.monotonic() - self.life_checked < LIFE_CHECK_S:
            return
        self.life_checked = time.monotonic()
        self.start_over_if_made_again()

    def check_membership(self) -> None:
        """Join again where that takes too long.

        kafka-python (3.0.12) may forget a join that a poll did not wait for, and then reads nothing any more.
        """
        if self.consumer.group_metadata().state == MemberState.STABLE:
            self.joined = time.monotonic()
        elif time.monotonic() - self.joined > JOINED_WITHIN_S:
            log.warning("group %s was not joined within %.0f s; trying again", self.settings.group, JOINED_WITHIN_S)
            self.join_again()

    def join_again(self) -> None:
        self.joined = time.monotonic()
        self.consumer.unsubscribe()
        self.consumer.subscribe([self.settings.topic])

    def start_over_if_made_again(self) -> bool:
        if not self.life.has_changed():
            return False
        log.warning("topic %s was made again, now with id %s; reading its start", self.life.topic, self.life.id)
        if self.consumer.assignment():  # none while the group is without the topic
            self.consumer.seek_to_beginning()
        return True

    def poll(self) -> list[ConsumerRecord]:
        """The next records; those of one partition are in order.

        Raises
        ------
        OSError
            If they cannot be read. (A broker that is away is waited for.)
        """
        try:
            polled = self.consumer.poll(timeout_ms=POLL_MS)
        except NoOffsetForPartitionError as error:
            self.start_at_the_beginning(error.args[0])
            return []
        except LogTruncationError as error:
            log.error("%s; reading its start", error)
            self.start_at_the_beginning(set(error.divergent_offsets))
            return []
        except OffsetOutOfRangeError as error:
            self.recover_offsets(error.args[0])
            return []
        except InvalidRequestError:  # how the embedded broker answers one who joins a group that is just changing
            self.join_again()
            return []
        except KafkaError as error:
            raise OSError(f"events cannot be read from {self.settings.topic}: {error}") from error
        if not self.ready.is_set() and self.consumer.assignment():
            self.ready.set()
        return [record for records in polled.values() for record in records]

    def start_at_the_beginning(self, partitions: set[TopicPartition]) -> None:
        """Read partitions that are new to the group, or that are no longer the log that was read before.

        Where they were read before after all, the events are replayed, which changes nothing.
        """
        self.start_over_if_made_again()
        self.consumer.seek_to_beginning(*partitions)

    def recover_offsets(self, gone: dict[TopicPartition, int]) -> None:
        """Continue where the log begins after the broker removed what comes next; count and say what is lost."""
        if self.start_over_if_made_again():
            return
        try:
            begins = self.consumer.beginning_offsets(list(gone), timeout_ms=ANSWER_MS)
        except KafkaError as error:
            log.warning("what is gone from %s cannot be asked yet: %s", list(gone), error)  # poll will say it again
            return
        for partition, offset in gone.items():
            go_on = begins[partition]
            lost = max(0, go_on - offset)  # none where the log was cut off, and ends before what was read
            self.counts["lost"] += lost
            where = f"{partition.topic}[{partition.partition}]@{offset}"
            log.error("%s is gone from the broker; going on at %d, %d events are lost", where, go_on, lost)
            self.consumer.seek(partition, go_on)

    def apply(self, records: Sequence[ConsumerRecord]) -> list[DeadLetter]:
        """Bring the stored states up to these records; give back those that are no events.

        All events of one user are applied together, and the user is encoded once.
        """
        by_user, letters = self.decode(records)
        states = self.store.get_many(list(by_user))
        length = self.settings.history_length
        pairs = zip(by_user.items(), states, strict=True)
        applied = [apply(user_id, state, events, length) for (user_id, events), state in pairs]
        changed = [one for one in applied if one is not None]
        capsules = self.extractor.encode([one.history.item_ids for one in changed], [one.profile for one in changed])
        self.store.put_many(one.with_capsules(made) for one, made in zip(changed, capsules, strict=True))
        self.count(by_user, changed, letters)
        return letters

    def decode(
        self, records: Sequence[ConsumerRecord]
    ) -> tuple[dict[str, list[tuple[Event | Forget, Position]]], list[DeadLetter]]:
        """Events by user, in order, and the records that are none."""
        by_user: dict[str, list[tuple[Event | Forget, Position]]] = {}
        letters = []
        for record in records:
            try:
                event = decode(record.value, record.key, record.timestamp)
            except BadEventError as error:
                letters.append(DeadLetter(record, error))
                continue
            position = Position(self.life.id, record.partition, record.offset)
            by_user.setdefault(event.user_id, []).append((event, position))
        return by_user, letters

    def count(
        self,
        by_user: dict[str, list[tuple[Event | Forget, Position]]],
        changed: list[Applied],
        letters: list[DeadLetter],
    ) -> None:
        applied, total = sum(len(one.behaviours) for one in changed), sum(map(len, by_user.values()))
        known = self.extractor.bundle.rows
        unknown = sum(item not in known for one in changed for item in one.behaviours)
        self.counts.update(
            batches=1,
            events=applied,
            duplicates=total - applied,
            dead_letters=len(letters),
            unknown_items=unknown,
        )

    def bury(self, letters: list[DeadLetter]) -> None:
        """Write the dead letters; they must be on the broker before their offsets are committed."""
        if not letters:
            return
        for letter in letters:
            log.warning("dead letter: %s: %s", letter.source, letter.error)
        dead_letters.send(self.producer, self.settings.dead_letter_topic, letters)

    def commit(self) -> None:
        """Commit what was polled. A failure costs nothing: the events come again and change nothing."""
        try:
            self.consumer.commit(timeout_ms=ANSWER_MS)
        except KafkaError as error:
            log.warning("offsets not committed: %s; the events will be read again", error)
