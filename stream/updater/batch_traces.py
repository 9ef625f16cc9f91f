"""Traces of the records of a batch: when each of its parts began and ended, told once it is committed."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from kafka.consumer.fetcher import ConsumerRecord

from stream.monitoring.observer import Observer

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from mindstream.tracing.tracing import Tracing

__all__ = ["MOST_TRACED", "BatchTraces"]

MOST_TRACED = 100  # records of a batch: a replay of a topic must not become a flood of spans


class BatchTraces(Observer):
    """An observer that writes the spans of records whose producer has sent a sampled `traceparent`.

    A record costs a look at its headers, and nothing where it has none. A batch without a traced record is not timed.

    Attributes
    ----------
    life : of the topic, which positions have; set before the first batch.
    """

    def __init__(self, tracing: "Tracing") -> None:
        self.tracing, self.life = tracing, ""
        self.parents: dict[tuple[int, int], SpanContext] = {}  # partition, offset -> the producer's span
        self.parts: list[tuple[str, int, int]] = []
        self.left_out = 0

    def polled(self, records: Sequence[ConsumerRecord]) -> None:
        """Remember the records that are traced; a batch that waits for a store keeps its own."""
        for record in records:
            if not record.headers or (parent := self.tracing.parent(record.headers)) is None:
                continue
            if len(self.parents) < MOST_TRACED:
                self.parents[record.partition, record.offset] = parent
            else:
                self.left_out += 1

    def timed(self, part: str) -> AbstractContextManager[object]:
        """Return a context that notes when a part of a traced batch was done."""
        return self._noted(part) if self.parents else super().timed(part)

    @contextmanager
    def _noted(self, part: str) -> Iterator[None]:
        """Note when a part began and ended; of one that is tried again, each try."""
        began_ns = time.time_ns()
        try:
            yield
        finally:
            self.parts.append((part, began_ns, time.time_ns()))

    def committed(self, records: Sequence[ConsumerRecord]) -> None:
        """Write the spans of the batch's traced records; what others read now is theirs to tell."""
        if not self.parents:
            return
        from mindstream.tracing.tracing import Part, Place

        parts = sorted((Part(*one) for one in self.parts if one[0] != "poll"), key=lambda part: part.began_ns)
        for record in records:
            parent = self.parents.get((record.partition, record.offset))
            if parent is not None and parts:
                place = Place(record.topic, self.life, record.partition, record.offset)
                self.tracing.applied(place, parent, parts, self.left_out)
        self.parents, self.parts, self.left_out = {}, [], 0
