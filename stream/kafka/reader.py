"""The reader of behaviour events, a member of the updaters' consumer group.

Partitions are shared cooperatively: whoever joins or leaves moves only the partitions that have to move. Nothing is
committed but what is said to be done, and no offset is ever jumped to without a word.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress

from kafka import ConsumerRebalanceListener, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import (
    FencedInstanceIdError,
    IllegalStateError,
    InvalidRequestError,
    KafkaError,
    KafkaTimeoutError,
    LogTruncationError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RetriableError,
    SaslAuthenticationFailedError,
)
from kafka.structs import MemberState, OffsetAndMetadata

from mindstream.settings import Settings
from stream.kafka.batch import RecordBatch
from stream.kafka.cluster import Cluster, TopicLife
from stream.kafka.commits import ANSWER_MS, Commits, parts_of
from stream.kafka.fetch.tolerant_fetch import HeldError
from stream.kafka.progress import OpenTransactions, Progress, ask_progress, partition_names
from stream.kafka.start import seek_to_start
from stream.kafka.watchdog import Watchdog
from stream.monitoring.metrics import Metrics
from stream.monitoring.observer import Observer

__all__ = ["JOINED_WITHIN_S", "LIFE_CHECK_S", "MOST_RECORDS", "POLL_MS", "SURELY_OURS_S", "WATCH_S", "EventReader"]

log = logging.getLogger(__name__)

POLL_MS = 200
MOST_RECORDS = 4_000  # of one poll; as few as there are where the topic is read as fast as it grows
LIFE_CHECK_S = 1.0
JOINED_WITHIN_S = 15.0
WATCH_S = 10.0
STUCK_S = 30.0
STUCK_POLLS = 20
# Where offsets are not what they were, which `poll` puts right.
OFFSET_ERRORS = (NoOffsetForPartitionError, LogTruncationError, OffsetOutOfRangeError)
NO_LIFE = (
    "the log ends before it, so the topic was deleted and made again, or cut off; its events cannot be told from those "
    "of before, since this Kafka gives topics no ids (from 2.8 on it does): set another MINDSTREAM_TOPIC, or "
    "another MINDSTREAM_GROUP with an empty store"
)
SURELY_OURS_S = 8.0  # below the session timeout: nobody is given the partitions of one who was awake so recently


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
        self.settings, self.metrics, self.observer, self.start_ms = settings, metrics, observer, start_ms
        self.ready = threading.Event()
        self.paused = False
        self.passed_due = False  # whether the topic has just been seen to be the one whose offsets we have
        self.polls = 0
        self.away: str | None = None
        self.transactions = OpenTransactions()
        self.watchdog, self.watched = Watchdog(STUCK_S, STUCK_POLLS), time.monotonic()
        self.closing = ExitStack()
        try:
            self.life = TopicLife(cluster, settings.topic)
            self.closing.callback(self.life.close)
            self.life_checked = time.monotonic()
            self.consumer = cluster.consumer(
                settings.group, max_poll_records=MOST_RECORDS, group_instance_id=settings.instance
            )
            self.closing.callback(self.consumer.close, autocommit=False, timeout_ms=ANSWER_MS)
            self.commits = Commits(self.consumer)
            self.closing.callback(self._commit_all)
            self.listener = _Rebalances(metrics, self.commits.drop, gone)
            self.joined = self.sure = time.monotonic()
            self.consumer.subscribe([settings.topic], listener=self.listener)
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
        """
        with self.observer.timed("poll"):
            self._check_group()
            records = self._poll_consumer(timeout_ms)
        self.observer.polled(records)
        return records

    def _check_group(self) -> None:
        """Look before a poll at the topic's life and the membership."""
        if not self.paused:  # what is not finished yet is of the life that is known
            self._check_life()
        self._check_membership()

    def _poll_consumer(self, timeout_ms: int) -> list[ConsumerRecord]:
        """Poll once; put right what Kafka says is wrong, and return no records then."""
        try:
            self._check_progress()
            self.commits.send_pending()
            if self.passed_due and not self.paused:
                self.commit_passed()
            polled = self.consumer.poll(timeout_ms=timeout_ms)
        except FencedInstanceIdError as error:
            raise self._name_taken() from error
        except NoOffsetForPartitionError as error:
            self._start(error.args[0])
            return []
        except LogTruncationError as error:
            log.error("%s; reading its start", error)
            self._start_at_the_beginning(set(error.divergent_offsets))
            return []
        except OffsetOutOfRangeError as error:
            self._recover_offsets(error.args[0])
            return []
        except InvalidRequestError:  # how the embedded broker answers one who joins a group that is just changing
            self._join_again()
            return []
        except HeldError:  # said already, and other partitions go on
            polled = {}
        except (RetriableError, SaslAuthenticationFailedError) as error:  # a token may end on its way, a secret change
            self._note_away(f"{self.settings.topic} cannot be read: {error}")
            return []
        except KafkaError as error:
            raise OSError(f"events cannot be read from {self.settings.topic}: {error}") from error
        self._note_poll()
        return [record for records in polled.values() for record in records]

    def _note_poll(self) -> None:
        """Take note of a poll that went well: the broker takes us for a member."""
        self.polls += 1
        if self.is_sure():  # one who slept asks first, see `still_reads`
            self.sure = time.monotonic()
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
        self.watchdog.forgive()

    def is_sure(self) -> bool:
        """Tell whether our partitions are surely ours, as the broker answered so recently."""
        return time.monotonic() - self.sure < SURELY_OURS_S

    def still_reads(self, batch: RecordBatch) -> bool:
        """Tell whether a batch's partitions are ours; else whoever has them reads it again.

        A process that slept (SIGSTOP, a host too busy to run it) may have been thought dead. Then it asks the group by
        committing where the batch begins, which only a member may do.
        """
        if self.is_sure():
            return True
        starts = batch.starts()
        try:
            self._make_sure({one: end._replace(offset=starts[one]) for one, end in batch.ends().items()})
        except OSError as error:
            log.warning("%d events are left to whoever reads them now: %s", len(batch.records), error)
            self.rewind(batch)
            return False
        return True

    def make_sure_of_all(self) -> None:
        """Raise OSError unless all partitions that we read are surely ours; between batches."""
        try:
            reached = {one: self.consumer.position(one, timeout_ms=ANSWER_MS) for one in self.consumer.assignment()}
        except KafkaError as error:
            raise OSError(f"the broker does not answer: {error}") from error
        self._make_sure({one: OffsetAndMetadata(at, "", -1) for one, at in reached.items() if at is not None})

    def _make_sure(self, done: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Raise OSError unless these partitions are surely ours.

        All before the offsets must be done.
        """
        if self.is_sure():
            return
        try:
            self.consumer.commit(self.commits.noted(done), timeout_ms=ANSWER_MS)
        except KafkaError as error:
            raise OSError(f"the group gives no answer, or has taken partitions away: {error}") from error
        self.sure = time.monotonic()

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
                raise self._name_taken() from error
            if wait:
                self.finish_commits()
        self.observer.committed(batch.records)

    def read_notes(self, partitions: Collection[int]) -> dict[int, str]:
        """Return what was committed last beside the offsets of these partitions.

        A partition of which that is not known is left out.
        """
        try:
            found = {
                number: self.consumer.committed(self._partition(number), metadata=True, timeout_ms=ANSWER_MS)
                for number in sorted(partitions)
            }
        except KafkaError as error:
            log.debug("what was noted of %s cannot be read: %s", sorted(partitions), error)
            return {}
        known = {number: one for number, one in found.items() if one is not None}
        self.commits.know({self._partition(number): one.offset for number, one in known.items()})
        return {number: parts_of(one.metadata)[0] for number, one in known.items()}

    def write_notes(self, partitions: Collection[int], text: str) -> None:
        """Commit a note beside the offsets of these partitions, from now on."""
        self.commits.note([self._partition(number) for number in partitions], text)

    def _partition(self, number: int) -> TopicPartition:
        """Return the partition of that number."""
        return TopicPartition(self.settings.topic, number)

    def finish_commits(self) -> bool:
        """Wait until everything that is done is committed, and tell whether it is.

        If not, it is tried again later.
        """
        try:
            self.commits.finish()
        except KafkaError as error:
            log.warning("offsets not committed: %s; until they are, the events may be read again", error)
            return False
        return True

    def commit_passed(self) -> None:
        """Commit the positions of all partitions, also over offsets that hold no event.

        All before them must be done.

        Raises
        ------
        KafkaError
            If a position is not known, for the reason of which `poll` takes care.
        """
        self.passed_due = False
        try:
            positions = {one: self.consumer.position(one, timeout_ms=0) for one in self.consumer.assignment()}
        except KafkaTimeoutError:  # of a partition that came just now
            return
        reached = self.commits.reached  # a position may be before it for a while, see `TolerantConsumer`
        passed = {one: at for one, at in positions.items() if at is not None and at > reached.get(one, -1)}
        if passed:
            self.commits.add({one: OffsetAndMetadata(at, "", -1) for one, at in passed.items()})

    def finish(self, all_done: bool) -> None:
        """Commit what the last polls have passed, before a `close`.

        Only if all that they brought is done.
        """
        if all_done and not self.paused:
            with suppress(KafkaError):  # what is not committed is passed again
                self.commit_passed()

    def _commit_all(self) -> None:
        """Commit everything at the end.

        While the group gives its partitions out anew it takes no commits; that is waited for.
        """
        deadline = time.monotonic() + ANSWER_MS / 1_000
        while not self.finish_commits() and self.is_joining() and time.monotonic() < deadline:
            with suppress(KafkaError):  # what it brings is neither done nor committed, so others read it
                self.consumer.poll(timeout_ms=100)

    def is_joining(self) -> bool:
        """Tell whether the group is not settled."""
        return bool(self.consumer.group_metadata().state != MemberState.STABLE)

    def _name_taken(self) -> ValueError:
        """Return the error that says that another updater goes by our name."""
        return ValueError(
            f"MINDSTREAM_INSTANCE is {self.settings.instance!r}, and another updater of group {self.settings.group} "
            "goes by that name; each needs its own"
        )

    def _check_life(self) -> None:
        """Look now and then whether the topic was deleted and made again."""
        if time.monotonic() - self.life_checked < LIFE_CHECK_S:
            return
        self.life_checked = time.monotonic()
        was_gone = self.life.gone
        self.passed_due = not self.start_over_if_made_again() and not self.life.gone
        if self.life.trouble:
            self._note_away(self.life.trouble)
        elif self.away:
            self.watched = 0.0  # look at once whether all is well
        if self.life.gone and not was_gone:
            log.error("%s", self.trouble)

    def start_over_if_made_again(self) -> bool:
        """Read a topic from its start if it was made again, and tell whether it was.

        Its events are new, whatever their offsets.
        """
        if not self.life.has_changed():
            return False
        log.warning("topic %s was made again, now with id %s; reading its start", self.life.topic, self.life.id)
        ours = self.consumer.assignment()  # none while the group is without the topic
        if ours:
            self.consumer.seek_to_beginning()
            # The last commit may have been of the old life and taken for the new one: then its start would be skipped.
            self.commits.add({one: OffsetAndMetadata(0, "", -1) for one in ours})
        return True

    def _check_membership(self) -> None:
        """Join again if that takes too long.

        kafka-python (3.0.12) may forget a join that a poll did not wait for, and then reads nothing any more.
        """
        if not self.is_joining():
            self.joined = time.monotonic()
        elif time.monotonic() - self.joined > JOINED_WITHIN_S:
            log.warning("group %s was not joined within %.0f s; trying again", self.settings.group, JOINED_WITHIN_S)
            self._join_again()

    def _check_progress(self) -> None:
        """Look at the lag now and then; join again if a partition has events and does not move."""
        if time.monotonic() - self.watched < WATCH_S:
            return
        self.watched = time.monotonic()
        self._make_sure_of_name()
        try:
            progress = ask_progress(self.consumer, self.life.admin, self.consumer.assignment(), ANSWER_MS)
        except OFFSET_ERRORS:
            raise
        except KafkaError as error:
            self.metrics.progress({})  # unknown
            if not self.life.gone:
                self._note_away(str(error))
            return
        self._note_back()
        self.transactions.look(progress, self.watched)
        self.metrics.progress({one.partition: (found.lag, found.held) for one, found in progress.items()})
        if not self.paused:
            self._join_again_if_stuck({one: found for one, found in progress.items() if one not in self.consumer.held})

    def _make_sure_of_name(self) -> None:
        """Commit what is committed already, to hear whether our name is taken over.

        Only a commit tells: kafka-python (3.0.12) stops its heartbeats then without a word.
        """
        if self.settings.instance and not self.is_joining() and not self.commits.pending:
            self.commits.add({one: OffsetAndMetadata(at, "", -1) for one, at in self.commits.reached.items()})

    def _note_away(self, reason: str) -> None:
        """Take note that the broker does not answer; log the first time."""
        if self.away is None:
            log.warning("the broker does not answer (%s); reading goes on when it does", reason)
            self.away_since = time.monotonic()
        self.away = f"the broker does not answer: {reason}"

    def _note_back(self) -> None:
        """Take note that the broker answers; log where it did not before."""
        if self.away is not None:
            log.info("the broker answers again, after %.0f s", time.monotonic() - self.away_since)
        self.away = None

    def _join_again_if_stuck(self, progress: dict[TopicPartition, Progress]) -> None:
        """Join again if a partition has had events for long and has not moved.

        Where that was of no use, the log may be damaged there: then it is read around.
        """
        before = dict(self.watchdog.found)
        stuck = self.watchdog.stuck(progress, self.watched, self.polls)
        damaged = [one for one in stuck if before.get(one) == progress[one].position]
        for partition in damaged:
            self.consumer.read_around(partition, f"it has sent nothing for {STUCK_S:.0f} s")
        if stuck:
            self.metrics.stuck(len(stuck))
        if set(stuck) - set(damaged):
            log.error("%s has events and did not move for %.0f s; joining again", partition_names(stuck), STUCK_S)
            self._join_again()

    @property
    def trouble(self) -> str | None:
        """Return why reading does not go on; None if all is well."""
        held = "; ".join(why for why, _ in self.consumer.held.values())
        stuck = self.watchdog.found
        if self.life.gone:
            return (
                f"topic {self.life.topic} is gone from the broker: it was deleted, and is not made again by updaters; "
                "reading goes on by itself once somebody makes it"
            )
        return self.away or held or (f"{partition_names(stuck)} has events and does not move" if stuck else None)

    @property
    def note(self) -> str | None:
        """Return what may look like trouble and is none; None if there is nothing to say."""
        if not self.consumer.assignment() and not self.is_joining():
            return "the group gives this updater no partitions: it has more updaters than the topic has partitions"
        return self.transactions.note

    def waits_for_partitions(self) -> bool:
        """Tell whether the group has not said yet which partitions are ours."""
        return not self.consumer.assignment() and self.is_joining()

    def _join_again(self) -> None:
        """Leave the group and join it again.

        What is not committed by then is read again by whoever gets the partition.
        """
        self.joined = time.monotonic()
        self.finish_commits()
        self.listener.tell(self.consumer.assignment())  # kafka-python does not
        self.consumer.unsubscribe()
        self.consumer.subscribe([self.settings.topic], listener=self.listener)

    def _start(self, partitions: set[TopicPartition]) -> None:
        """Begin partitions of which the group has committed nothing."""
        if self.start_over_if_made_again():
            return
        try:
            seek_to_start(self.consumer, partitions, self.start_ms, ANSWER_MS)
        except KafkaError as error:
            self._note_away(f"where to begin cannot be asked: {error}")  # poll will say it again

    def _start_at_the_beginning(self, partitions: set[TopicPartition]) -> None:
        """Read partitions from their beginning, as their log is another one now.

        Where they were read before after all, the events are replayed, which changes nothing.
        """
        if not self.start_over_if_made_again():
            self.commits.drop(partitions)
            self.consumer.seek_to_beginning(*partitions)

    def _recover_offsets(self, gone: dict[TopicPartition, int]) -> None:
        """Go on where the log begins after the broker removed what comes next.

        What is lost is counted and logged.
        """
        if self.start_over_if_made_again():
            return
        try:
            begins = self.consumer.beginning_offsets(list(gone), timeout_ms=ANSWER_MS)
        except KafkaError as error:
            log.warning("what is gone from %s cannot be asked yet: %s", list(gone), error)  # poll will say it again
            return
        for partition, offset in gone.items():
            go_on = begins[partition]
            if go_on <= offset and not self.life.is_known:
                self.consumer.hold(partition, offset, NO_LIFE)
                continue
            lost = max(0, go_on - offset)  # none where the log was cut off, and ends before what was read
            self.metrics.count("lost", lost)
            where = f"{partition.topic}[{partition.partition}]@{offset}"
            # Marks of transactions and what compaction left out have offsets too; what is gone cannot be asked.
            log.error("%s is gone from the broker; going on at %d, up to %d events are lost", where, go_on, lost)
            self.consumer.seek(partition, go_on)


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    """A listener that passes on what is taken away.

    What is read is done before each poll, so there is nothing to finish.
    """

    def __init__(self, metrics: Metrics, *gone: Callable[[Collection[TopicPartition]], None]) -> None:
        self.metrics, self.gone = metrics, gone

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self.metrics.rebalanced()
        log.info("now reading %s", partition_names(assigned))

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        if revoked:
            log.info("no longer reading %s", partition_names(revoked))
            self.tell(revoked)

    def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        log.warning("thought dead by the group; somebody else reads %s", partition_names(lost))
        self.tell(lost)

    def tell(self, partitions: Collection[TopicPartition]) -> None:
        for told in self.gone:
            told(partitions)
