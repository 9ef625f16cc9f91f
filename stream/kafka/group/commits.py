"""Committing offsets without waiting for the broker's answer."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

__all__ = ["ANSWER_MS", "Commits", "parts_of"]

log = logging.getLogger(__name__)

Offsets = dict[TopicPartition, OffsetAndMetadata]

ANSWER_MS = 5_000  # a broker that is away must not keep us longer from hearing that we should stop
EVERY_S = 0.1  # a commit costs the broker and the client as much as some events do
AGAIN_S = 0.5  # between two tries of what the broker did not take
BETWEEN = "\t"  # a note and the marks
LOST_S = 60.0  # longer than the client waits for an answer: none comes any more


def parts_of(metadata: str) -> tuple[str, str]:
    """Part what was committed beside an offset into the note and the marks of the store."""
    note, _, marks = metadata.partition(BETWEEN)
    return note, marks


class Commits:
    """Offsets to be committed, one commit on its way at a time, and not too many a second.

    What is added meanwhile goes with the next.

    The broker takes longer for a commit than we for a small batch. Of what is not committed at a crash, or when a
    partition is taken away, the events are read again, which changes nothing.

    Attributes
    ----------
    pending : what is not known to be committed, also what is on its way.
    reached : the offset that was last added for each partition of ours, or committed before.
    notes : what is committed beside the offset of a partition, for whoever reads it next; nothing where none is here.
    marks : says what else is committed beside each offset: by what the writes before it are known.
    """

    def __init__(self, consumer: KafkaConsumer) -> None:
        self.consumer = consumer
        self.pending: Offsets = {}
        self.reached: dict[TopicPartition, int] = {}
        self.notes: dict[TopicPartition, str] = {}
        self.marks: Callable[[], str] = str
        self.sent: Offsets = {}  # as it was sent, until the broker answers
        self.next_try = self.next_commit = 0.0
        self.trouble = ""

    def use(self, consumer: KafkaConsumer) -> None:
        """Commit by another consumer; no answer comes any more to what is on its way."""
        self.consumer, self.sent, self.next_try = consumer, {}, 0.0

    def add(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Commit these offsets soon."""
        self.pending.update(self.noted(offsets))
        self.reached.update({one: offset.offset for one, offset in offsets.items()})
        self.send_pending()

    def add_passed(self) -> None:
        """Commit the positions of all partitions, also over offsets that hold no event.

        All before them must be done.

        Raises
        ------
        KafkaError
            If a position is not known, for the reason of which the reader's `poll` takes care.
        """
        try:
            positions = {one: self.consumer.position(one, timeout_ms=0) for one in self.consumer.assignment()}
        except KafkaTimeoutError:  # of a partition that came just now
            return
        # A position may be before what was reached for a while, see `TolerantConsumer`.
        passed = {one: at for one, at in positions.items() if at is not None and at > self.reached.get(one, -1)}
        if passed:
            self.add({one: OffsetAndMetadata(at, "", -1) for one, at in passed.items()})

    def send_pending(self) -> None:
        """Send what is pending, if it is time and the broker has answered the last commit.

        A poll of the consumer brings answers.
        """
        now = time.monotonic()
        if self.pending and now >= self.next_try:
            self.sent, self.next_try, self.next_commit = dict(self.pending), now + LOST_S, now + EVERY_S
            self.consumer.commit_async(dict(self.sent), callback=partial(self.answered, self.sent))

    def answered(self, sent: Offsets, _: Offsets, answer: object) -> None:
        """Take the broker's answer to a commit.

        What it did not take is tried again, for as long as the partition is ours.
        """
        failed = isinstance(answer, Exception)
        if sent is self.sent:
            self.next_try = time.monotonic() + AGAIN_S if failed else self.next_commit
        if not failed:
            self._note_committed(sent)
        elif str(answer) != self.trouble:
            log.warning("offsets not committed: %s; until they are, the events may be read again", answer)
        self.trouble = str(answer) if failed else ""

    def _note_committed(self, committed: Offsets) -> None:
        """Forget these offsets; what was added for a partition meanwhile stays pending."""
        self.pending = {one: offset for one, offset in self.pending.items() if committed.get(one) != offset}

    def drop(self, partitions: Collection[TopicPartition]) -> None:
        """Forget partitions that somebody else commits from now on."""
        self.pending = {one: offset for one, offset in self.pending.items() if one not in partitions}
        self.reached = {one: offset for one, offset in self.reached.items() if one not in partitions}
        self.notes = {one: note for one, note in self.notes.items() if one not in partitions}

    def know(self, committed: Mapping[TopicPartition, int]) -> None:
        """Take note of offsets that are committed already.

        So a note may stand beside them before anything more is read.
        """
        self.reached = {**committed, **self.reached}

    def read_notes(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, str]:
        """Return what was committed last beside the offsets of these partitions.

        A partition of which that is not known is left out.
        """
        try:
            found = {
                one: self.consumer.committed(one, metadata=True, timeout_ms=ANSWER_MS) for one in sorted(partitions)
            }
        except KafkaError as error:
            log.debug("what was noted of %s cannot be read: %s", sorted(partitions), error)
            return {}
        known = {one: committed for one, committed in found.items() if committed is not None}
        self.know({one: committed.offset for one, committed in known.items()})
        return {one: parts_of(committed.metadata)[0] for one, committed in known.items()}

    def note(self, partitions: Collection[TopicPartition], text: str) -> None:
        """Commit a note beside the offsets of these partitions, soon and from now on."""
        self.notes.update(dict.fromkeys(partitions, text))
        known = {one: OffsetAndMetadata(self.reached[one], "", -1) for one in partitions if one in self.reached}
        self.add(known | {one: offset for one, offset in self.pending.items() if one in known})

    def noted(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> Offsets:
        """Return offsets as they are to be committed, with their notes and the store's marks."""
        marks = self.marks()
        end = f"{BETWEEN}{marks}" if marks else ""
        return {one: offset._replace(metadata=self.notes.get(one, "") + end) for one, offset in offsets.items()}

    def finish(self) -> None:
        """Commit everything and wait for it.

        Raises
        ------
        KafkaError
            If it is not committed; it is pending then as before.
        """
        everything = dict(self.pending)
        if everything:
            self.consumer.commit(dict(everything), timeout_ms=ANSWER_MS)
            self._note_committed(everything)

    def try_finish(self) -> bool:
        """Commit everything and wait for it; tell whether it is committed.

        If not, it is tried again later.
        """
        try:
            self.finish()
        except KafkaError as error:
            log.warning("offsets not committed: %s; until they are, the events may be read again", error)
            return False
        return True
