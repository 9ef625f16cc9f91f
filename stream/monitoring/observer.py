"""An observer of an updater: what a benchmark, or a test, may be told of each batch without touching the updater."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from kafka.consumer.fetcher import ConsumerRecord

__all__ = ["PARTS", "Observer"]

PARTS = ("poll", "decode", "store get", "apply", "encode", "store put", "commit")  # an updater's work on a batch

_UNTIMED = nullcontext()  # one for all, since it keeps nothing


class Observer:
    """Hooks that an updater and its reader call; here they do nothing.

    Every call is for a batch, not for an event.
    """

    def polled(self, records: Sequence[ConsumerRecord]) -> None:
        """Take note of the records that one poll has brought; there may be none."""

    def committed(self, records: Sequence[ConsumerRecord]) -> None:
        """Take note of the records whose offsets were handed to Kafka.

        The broker may not have answered yet.
        """

    def timed(self, part: str) -> AbstractContextManager[object]:
        """Return a context around one part of a batch.

        Parameters
        ----------
        part : of PARTS. "store get" and "encode" lie inside "apply".
        """
        return _UNTIMED
