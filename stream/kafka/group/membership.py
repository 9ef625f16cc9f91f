"""Membership of the updaters' consumer group: joining, joining again where that is stuck, being sure to be in it."""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import InvalidRequestError, KafkaError
from kafka.structs import MemberState, OffsetAndMetadata

from mindstream.settings import Settings
from stream.kafka.group.commits import ANSWER_MS, Commits
from stream.kafka.group.rebalances import Rebalances

__all__ = ["JOINED_WITHIN_S", "SURELY_OURS_S", "Membership"]

log = logging.getLogger(__name__)

JOINED_WITHIN_S = 15.0
SURELY_OURS_S = 8.0  # below the session timeout: nobody is given the partitions of one who was awake so recently


class _GroupChanging(logging.Filter):
    """A filter that leaves out the client's error where a group is just changing, which `join_changed` says."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is about anything else."""
        return not (isinstance(record.args, tuple) and any(isinstance(one, InvalidRequestError) for one in record.args))


CHANGING = _GroupChanging()


class Membership:
    """The place of a consumer in its group.

    Attributes
    ----------
    joined : when the group was last settled (seconds, monotonic).
    said : whether it is said that the group takes long.
    sure : when the broker last took us for a member (seconds, monotonic).
    """

    def __init__(self, consumer: KafkaConsumer, commits: Commits, listener: Rebalances, settings: Settings) -> None:
        self.consumer, self.commits, self.listener, self.settings = consumer, commits, listener, settings
        self.joined = self.sure = time.monotonic()
        self.said = False
        logging.getLogger("kafka.coordinator").addFilter(CHANGING)  # once, however often it is added

    def join(self) -> None:
        """Join the group with the next polls."""
        self.consumer.subscribe([self.settings.topic], listener=self.listener)

    def is_joining(self) -> bool:
        """Tell whether the group is not settled."""
        return bool(self.consumer.group_metadata().state != MemberState.STABLE)

    def check(self) -> None:
        """Go on with a join that has not ended, and say so where the group takes long.

        kafka-python (3.0.12) forgets a join that a poll did not wait for, if new partitions or a new subscription were
        the reason for it, and then reads nothing any more. Nobody leaves the group meanwhile: a broker answers one
        request after the other, so leaving would wait until the join has ended, and all others with it.
        """
        if not self.is_joining():
            self.joined, self.said = time.monotonic(), False
            return
        self.consumer._coordinator.request_rejoin()
        if not self.said and time.monotonic() - self.joined > JOINED_WITHIN_S:
            log.warning(
                "group %s was not joined within %.0f s; waiting for its other members",
                *(self.settings.group, JOINED_WITHIN_S),
            )
            self.said = True

    def join_changed(self) -> None:
        """Join a group again that was changing while we joined.

        So the embedded broker answers with an InvalidRequestError, where others say that it is rebalancing.
        """
        log.info("group %s is changing; joining it again", self.settings.group)
        self.join_again()

    def join_again(self) -> None:
        """Leave the group and join it again.

        What is not committed by then is read again by whoever gets the partition.
        """
        self.leave()
        self.join()

    def leave(self) -> None:
        """Leave the group, after a try to commit what is done."""
        self.commits.try_finish()
        self.listener.tell(self.consumer.assignment())  # kafka-python does not
        self.consumer.unsubscribe()

    def commit_before_leaving(self) -> None:
        """Commit everything at the end.

        While the group gives its partitions out anew it takes no commits; that is waited for.
        """
        deadline = time.monotonic() + ANSWER_MS / 1_000
        while not self.commits.try_finish() and self.is_joining() and time.monotonic() < deadline:
            with suppress(KafkaError):  # what it brings is neither done nor committed, so others read it
                self.consumer.poll(timeout_ms=100)

    def is_sure(self) -> bool:
        """Tell whether our partitions are surely ours, as the broker answered so recently."""
        return time.monotonic() - self.sure < SURELY_OURS_S

    def note_poll(self) -> None:
        """Take note of a poll that went well: the broker takes us for a member.

        One who slept is not sure by that, but asks first, see `make_sure`.
        """
        if self.is_sure():
            self.sure = time.monotonic()

    def make_sure(self, done: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Ask the group, by a commit of `done`, whether these partitions are still ours.

        Only a member may commit. All before the offsets must be done.

        Raises
        ------
        OSError
            Unless they surely are.
        """
        if self.is_sure():
            return
        try:
            self.consumer.commit(self.commits.noted(done), timeout_ms=ANSWER_MS)
        except KafkaError as error:
            raise OSError(f"the group gives no answer, or has taken partitions away: {error}") from error
        self.sure = time.monotonic()

    def make_sure_of_all(self) -> None:
        """Ask the group whether all partitions that we read are still ours; between batches.

        Raises
        ------
        OSError
            Unless they surely are.
        """
        try:
            reached = {one: self.consumer.position(one, timeout_ms=ANSWER_MS) for one in self.consumer.assignment()}
        except KafkaError as error:
            raise OSError(f"the broker does not answer: {error}") from error
        self.make_sure({one: OffsetAndMetadata(at, "", -1) for one, at in reached.items() if at is not None})

    def make_sure_of_name(self) -> None:
        """Commit what is committed already, to hear whether our name is taken over.

        Only a commit tells: kafka-python (3.0.12) stops its heartbeats then without a word.
        """
        if self.settings.instance and not self.is_joining() and not self.commits.pending:
            self.commits.add({one: OffsetAndMetadata(at, "", -1) for one, at in self.commits.reached.items()})

    def name_taken(self) -> ValueError:
        """Return the error that says that another updater goes by our name."""
        return ValueError(
            f"MINDSTREAM_INSTANCE is {self.settings.instance!r}, and another updater of group {self.settings.group} "
            "goes by that name; each needs its own"
        )
