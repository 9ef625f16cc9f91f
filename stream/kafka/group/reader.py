"""The reader of behaviour events, a member of the updaters' consumer group.

Partitions are shared cooperatively: whoever joins or leaves moves only the partitions that have to move. Nothing is
committed but what is said to be done, and no offset is ever jumped to without a word. The parts of it:

    membership.py      is the reader in the group, and are its partitions still its own?
    rebalances.py      the group gives its partitions out anew
    commits.py         offsets of what is done, and notes beside them
    offset_reset.py    an offset is missing, or no longer there
    progress_watch.py  the lag, and partitions that do not move (watchdog.py)
    life_watch.py      the topic is gone, or another one
    contact.py         does the broker answer?
"""

import logging
import threading
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import (
    FencedInstanceIdError,
    IllegalStateError,
    InvalidRequestError,
    KafkaError,
    RetriableError,
    SaslAuthenticationFailedError,
)

from mindstream.settings import Settings
from stream.kafka.batch import RecordBatch
from stream.kafka.cluster import Cluster
from stream.kafka.fetch.tolerant_fetch import HeldError, TolerantConsumer
from stream.kafka.group.commits import ANSWER_MS, Commits
from stream.kafka.group.contact import BrokerContact
from stream.kafka.group.life_watch import LifeWatch
from stream.kafka.group.membership import Membership
from stream.kafka.group.offset_reset import OFFSET_ERRORS, OffsetReset
from stream.kafka.group.progress_watch import ProgressWatch
from stream.kafka.group.rebalances import Rebalances
from stream.kafka.topic_life import TopicLife
from stream.monitoring.metrics import Metrics
from stream.monitoring.observer import Observer

__all__ = ["MOST_RECORDS", "POLL_MS", "EventReader"]

log = logging.getLogger(__name__)

POLL_MS = 200
MOST_RECORDS = 4_000  # of one poll; as few as there are where the topic is read as fast as it grows


class EventReader:
    """A member of the consumer group, which reads the topic of behaviour events.

    Parameters
    ----------
    gone : told the partitions that are taken away, while `poll` runs.
    observer : told what was polled and what is committed.
    start_ms : where to begin partitions of which the group has committed nothing: at the first record of this time
        (Unix, milliseconds) or later; 0: at the beginning.

    Attributes
    ----------
    ready : set once the group has given this reader its first partitions.
    trouble : why reading does not go on; None where all is well.
    note : what may look like trouble and is none; None where there is nothing to say.

    Raises
    ------
    OSError
        If no broker answers.
    """

    def __init__(
        self,
        cluster: Cluster,
        settings: Settings,
        metrics: Metrics,
        gone: Callable[[Collection[TopicPartition]], None],
        observer: Observer,
        start_ms: int = 0,
    ) -> None:
        self.cluster, self.settings, self.observer = cluster, settings, observer
        self.ready = threading.Event()
        self.paused = False
        self.polls = 0
        self.closing = ExitStack()
        try:
            self.life = TopicLife(cluster, settings.topic)
            self.closing.callback(self.life.close)
            self.consumer = self._new_consumer()
            self.closing.callback(self._close_consumer)
            self.contact, self.commits = BrokerContact(), Commits(self.consumer)
            listener = Rebalances(metrics, self.commits.drop, gone)
            self.membership = Membership(self.consumer, self.commits, listener, settings)
            self.closing.callback(self.membership.commit_before_leaving)
            self.reset = OffsetReset(self.consumer, self.commits, self.life, metrics, self.contact, start_ms)
            self.watch = ProgressWatch(
                self.consumer, self.membership, self.life, metrics, self.contact, self._join_with_new_consumer
            )
            self.life_watch = LifeWatch(self.life, self.reset, self.watch, self.contact)
            self.membership.join()
            with suppress(KafkaError):  # knowing the partitions first saves joining twice
                self.consumer.partitions_for_topic(settings.topic)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the group at once, so that others take over without waiting for a timeout.

        A static member (`MINDSTREAM_INSTANCE`) stays in it, and finds its partitions again when it is back in time.
        """
        self.closing.close()

    def _new_consumer(self) -> TolerantConsumer:
        """Make a consumer, which has joined nothing yet."""
        return self.cluster.consumer(
            self.settings.group, max_poll_records=MOST_RECORDS, group_instance_id=self.settings.instance
        )

    def _close_consumer(self) -> None:
        """Leave the group, and close the connections."""
        self.consumer.close(autocommit=False, timeout_ms=ANSWER_MS)

    def _join_with_new_consumer(self) -> None:
        """Leave the group, and join it by another consumer.

        One that lost the answer to a fetch (kafka-python 3.0.12, when a broker dies at the wrong moment) never fetches
        from that broker again, however often it joins.

        Raises
        ------
        OSError
            If no broker answers; all is as before then.
        """
        consumer = self._new_consumer()
        self.membership.leave()
        try:
            self._close_consumer()
        except KafkaError as error:
            log.warning("a consumer that did not read on could not be closed: %s", error)
        self.consumer = consumer
        self.commits.use(consumer)
        self.membership.consumer = self.reset.consumer = self.watch.consumer = consumer
        self.membership.join()

    def partitions(self) -> set[TopicPartition]:
        """Return the partitions that the group has given this reader."""
        return set(self.consumer.assignment())

    def poll(self, timeout_ms: int = POLL_MS) -> list[ConsumerRecord]:
        """Return the next records; those of one partition are in order.

        Who polls again without a `pause` is done with everything that came before, and so its offsets are committed,
        also those that hold no event: marks of transactions, and what a transaction took back.

        Raises
        ------
        OSError
            If they cannot be read. (A broker that is away is waited for.)
        ValueError
            If another updater has taken our name over.
        """
        with self.observer.timed("poll"):
            if not self.paused:  # what is not finished yet is of the life that is known
                self.life_watch.check()
            self.membership.check()
            records = self._poll_consumer(timeout_ms)
        self.observer.polled(records)
        return records

    def _poll_consumer(self, timeout_ms: int) -> list[ConsumerRecord]:
        """Poll once; put right what Kafka says is wrong, and return no records then."""
        try:
            polled = self._polled(timeout_ms)
        except FencedInstanceIdError as error:
            raise self.membership.name_taken() from error
        except OFFSET_ERRORS as error:
            self.reset.after(error)
            return []
        except InvalidRequestError:  # how the embedded broker answers one who joins a group that is just changing
            self.membership.join_changed()
            return []
        except (RetriableError, SaslAuthenticationFailedError) as error:  # a token may end on its way, a secret change
            self.contact.lost(f"{self.settings.topic} cannot be read: {error}")
            return []
        except KafkaError as error:
            raise OSError(f"events cannot be read from {self.settings.topic}: {error}") from error
        self._note_poll()
        return [record for records in polled.values() for record in records]

    def _polled(self, timeout_ms: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Look at the progress, commit what is due, and return what the consumer brings."""
        self.watch.check(self.polls, self.paused)
        self.commits.send_pending()
        if self.life_watch.is_same and not self.paused:
            self._commit_passed()
        try:
            return self.consumer.poll(timeout_ms=timeout_ms)
        except HeldError:  # said already, and other partitions go on
            return {}

    def _note_poll(self) -> None:
        """Take note of a poll that went well."""
        self.polls += 1
        self.membership.note_poll()
        if not self.ready.is_set() and self.consumer.assignment():
            self.ready.set()

    def pause(self) -> None:
        """Bring no more records until `resume`, but stay in the group."""
        self.paused = True
        self.consumer.pause(*self.consumer.assignment())

    def resume(self) -> None:
        """Go on where `pause` was called."""
        self.paused = False
        self.consumer.resume(*self.consumer.paused())
        self.watch.watchdog.forgive()

    def is_sure(self) -> bool:
        """Tell whether our partitions are surely ours, as the broker answered so recently."""
        return self.membership.is_sure()

    def still_reads(self, batch: RecordBatch) -> bool:
        """Tell whether a batch's partitions are ours; else whoever has them reads it again.

        A process that slept (SIGSTOP, a host too busy to run it) may have been thought dead. Then it asks the group by
        committing where the batch begins, which only a member may do.
        """
        if self.is_sure():
            return True
        starts = batch.starts()
        try:
            self.membership.make_sure({one: end._replace(offset=starts[one]) for one, end in batch.ends().items()})
        except OSError as error:
            log.warning("%d events are left to whoever reads them now: %s", len(batch.records), error)
            self.rewind(batch)
            return False
        return True

    def make_sure_of_all(self) -> None:
        """Raise OSError unless all partitions that we read are surely ours; between batches."""
        self.membership.make_sure_of_all()

    def rewind(self, batch: RecordBatch) -> None:
        """Go back to the start of a batch, in the partitions that are still ours."""
        for partition, offset in batch.starts().items():
            with suppress(IllegalStateError):  # not ours any more
                self.consumer.seek(partition, offset)

    def commit(self, batch: RecordBatch, wait: bool = False) -> None:
        """Commit a batch. A failure costs nothing: its events come again and change nothing.

        Parameters
        ----------
        wait : for the broker's answer; otherwise reading goes on meanwhile.

        Raises
        ------
        ValueError
            If another updater has taken our name over.
        """
        with self.observer.timed("commit"):
            try:
                self.commits.add(batch.ends())
            except FencedInstanceIdError as error:
                raise self.membership.name_taken() from error
            if wait:
                self.finish_commits()
        self.observer.committed(batch.records)

    def read_notes(self, partitions: Collection[int]) -> dict[int, str]:
        """Return what was committed last beside the offsets of these partitions.

        A partition of which that is not known is left out.
        """
        found = self.commits.read_notes([TopicPartition(self.settings.topic, number) for number in sorted(partitions)])
        return {one.partition: text for one, text in found.items()}

    def write_notes(self, partitions: Collection[int], text: str) -> None:
        """Commit a note beside the offsets of these partitions, from now on."""
        self.commits.note([TopicPartition(self.settings.topic, number) for number in partitions], text)

    def finish_commits(self) -> bool:
        """Wait until everything that is done is committed, and tell whether it is.

        If not, it is tried again later.
        """
        return self.commits.try_finish()

    def finish(self, all_done: bool) -> None:
        """Commit what the last polls have passed, before a `close`.

        Only if all that they brought is done.
        """
        if all_done and not self.paused:
            with suppress(KafkaError):  # what is not committed is passed again
                self._commit_passed()

    def _commit_passed(self) -> None:
        """Commit the positions of all partitions; all before them must be done."""
        self.life_watch.is_same = False  # until it is looked at again
        self.commits.add_passed()

    def start_over_if_made_again(self) -> bool:
        """Read a topic from its start if it was made again, and tell whether it was."""
        return self.reset.start_over_if_made_again()

    @property
    def trouble(self) -> str | None:
        """Return why reading does not go on; None if all is well."""
        held = "; ".join(why for why, _ in self.consumer.held.values())
        return self.life_watch.trouble or self.contact.trouble or held or self.watch.trouble

    @property
    def note(self) -> str | None:
        """Return what may look like trouble and is none; None if there is nothing to say."""
        if not self.consumer.assignment() and not self.membership.is_joining() and not self.life.gone:
            return "the group gives this updater no partitions: it has more updaters than the topic has partitions"
        return self.watch.transactions.note

    def waits_for_partitions(self) -> bool:
        """Tell whether the group has not said yet which partitions are ours."""
        return not self.consumer.assignment() and self.membership.is_joining()
