"""Committing offsets without waiting for the broker's answer."""

import logging
import time
from collections.abc import Collection, Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

log = logging.getLogger(__name__)

Offsets = dict[TopicPartition, OffsetAndMetadata]

ANSWER_MS = 5_000  # a broker that is away must not keep us longer from hearing that we should stop
LOST_S = 60.0  # longer than the client waits for an answer: none comes any more


class Commits:
    """Offsets on their way to the broker, one commit at a time; what is added meanwhile goes with the next.

    The broker takes longer for a commit than we for a small batch. Of what is not committed at a crash, or when a
    partition is taken away, the events are read again, which changes nothing.
    """

    def __init__(self, consumer: KafkaConsumer) -> None:
        self.consumer = consumer
        self.sent: Offsets = {}  # not answered yet
        self.sent_at = 0.0
        self.waiting: Offsets = {}

    def add(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Commit these soon."""
        self.waiting.update(offsets)
        self.go_on()

    def go_on(self) -> None:
        """Send what waits, if the broker has answered the last commit. (A poll of the consumer brings its answers.)"""
        if self.waiting and (not self.sent or time.monotonic() - self.sent_at > LOST_S):
            self.sent, self.waiting, self.sent_at = self.waiting, {}, time.monotonic()
            self.consumer.commit_async(self.sent, callback=self.answered)

    def answered(self, _: Offsets, answer: object) -> None:
        """Take the broker's answer. What it did not take is left to the next commit of the same partition."""
        sent, self.sent = self.sent, {}
        if isinstance(answer, Exception):
            log.warning("offsets not committed: %s; the events may be read again", answer)
            if getattr(answer, "retriable", False):
                self.waiting = {**sent, **self.waiting}

    def drop(self, partitions: Collection[TopicPartition]) -> None:
        """Somebody else commits these partitions from now on."""
        for partition in partitions:
            self.sent.pop(partition, None)
            self.waiting.pop(partition, None)

    def finish(self) -> None:
        """Commit everything and wait for it.

        Raises
        ------
        KafkaError
            If it is not committed.
        """
        everything = {**self.sent, **self.waiting}
        self.sent, self.waiting = {}, {}
        if everything:
            self.consumer.commit(everything, timeout_ms=ANSWER_MS)
