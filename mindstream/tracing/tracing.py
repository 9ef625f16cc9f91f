"""Spans of events and requests whose sender has a trace of its own, as W3C's `traceparent` says.

Who sends an event or asks decides what is traced: without a sampled `traceparent` nothing is written. A record's span
is in the producer's trace. An answer's is in the trace of who asks, and is linked with the last event that is in it.
For that nothing more is stored: a user's state has the Position of the last event, and the span that stands for a
Position has ids that are made from it.

Source: W3C Trace Context, section 3; OpenTelemetry, semantic conventions for messaging.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

__all__ = ["Part", "Place", "RequestTrace", "Tracing", "provider_to", "tracing_of"]

HEADER = "traceparent"
_PROPAGATOR = TraceContextTextMapPropagator()


@dataclass(frozen=True)
class Place:
    """Where a record lies.

    Attributes
    ----------
    life : of the topic, as a Position has it.
    """

    topic: str
    life: str
    partition: int
    offset: int


@dataclass(frozen=True)
class Part:
    """A part of a batch's work, and when it was: Unix time in nanoseconds."""

    name: str
    began_ns: int
    ended_ns: int


class _Ids:
    """An id generator of OpenTelemetry's: ids at random, but for a span that has to have certain ones."""

    def __init__(self) -> None:
        self.random = RandomIdGenerator()
        self.wanted: SpanContext | None = None

    def generate_span_id(self) -> int:
        """Return the id of the next span."""
        return int(self.wanted.span_id if self.wanted else self.random.generate_span_id())

    def generate_trace_id(self) -> int:
        """Return the id of the next trace."""
        return int(self.wanted.trace_id if self.wanted else self.random.generate_trace_id())

    def is_trace_id_random(self) -> bool:
        """Tell that trace ids need not be random."""
        return False


def provider_to(url: str, service: str) -> TracerProvider:
    """Return a provider that sends spans to a collector by OTLP over HTTP."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}), id_generator=_Ids())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces")))
    return provider


def tracing_of(provider: TracerProvider) -> "Tracing":
    """Return what writes into a provider."""
    if not isinstance(provider.id_generator, _Ids):
        provider.id_generator = _Ids()
    return Tracing(provider, provider.id_generator)


class RequestTrace:
    """The span of a request to the API, until it is answered."""

    def __init__(self, span: Any) -> None:
        self.span = span

    def answered_from(self, life: str, partition: int, offset: int) -> None:
        """Link the span with the last event that was applied to the user who is answered."""
        self.span.add_link(_stored(life, partition, offset))
        self.span.set_attribute("messaging.destination.partition.id", str(partition))
        self.span.set_attribute("messaging.kafka.offset", offset)

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the headers of records that the request publishes."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, set_span_in_context(self.span))
        return [(name, content.encode()) for name, content in carrier.items()]

    def end(self, method: str, route: str, status: int) -> None:
        """End the span; a route is a template, so that no user is named."""
        self.span.update_name(f"{method} {route}")
        self.span.set_attribute("http.request.method", method)
        self.span.set_attribute("http.route", route)
        self.span.set_attribute("http.response.status_code", status)
        self.span.end()


class Tracing:
    """A writer of spans, for one thread that does batches or one event loop that answers."""

    def __init__(self, provider: TracerProvider, ids: _Ids) -> None:
        self.ids = ids
        self.tracer = provider.get_tracer("mindstream")

    def parent(self, headers: Iterable[tuple[str | bytes, bytes | None]]) -> SpanContext | None:
        """Return the sender's span that headers name; None if there is no sampled one."""
        carrier = {}
        for name, content in headers:
            text = name.decode("latin-1") if isinstance(name, bytes) else name
            if text.lower() in (HEADER, "tracestate") and content:
                carrier[text.lower()] = content.decode("latin-1")
        if HEADER not in carrier:
            return None
        found = get_current_span(_PROPAGATOR.extract(carrier, Context())).get_span_context()
        return found if found.is_valid and found.trace_flags.sampled else None

    def request(self, parent: SpanContext) -> RequestTrace:
        """Begin the span of a request."""
        return RequestTrace(self.tracer.start_span("request", _within(parent), SpanKind.SERVER))

    def applied(self, place: Place, parent: SpanContext, parts: Sequence[Part], left_out: int = 0) -> None:
        """Write the spans of a record whose batch is committed.

        Parameters
        ----------
        parent : the producer's span.
        parts : of the batch that the record was in, in their order; there is at least one.
        left_out : how many traced records of the batch are not written.
        """
        began_ns, ended_ns = parts[0].began_ns, max(one.ended_ns for one in parts)
        stored = _stored(place.life, place.partition, place.offset)
        attributes = {
            "messaging.system": "kafka",
            "messaging.destination.name": place.topic,
            "messaging.destination.partition.id": str(place.partition),
            "messaging.kafka.offset": place.offset,
            "mindstream.left_out": left_out,
        }
        process = self.tracer.start_span(
            f"process {place.topic}", _within(parent), SpanKind.CONSUMER, attributes, [Link(stored)], began_ns
        )
        inside = process.get_span_context()
        for part in parts:
            self.tracer.start_span(part.name, _within(inside), start_time=part.began_ns).end(part.ended_ns)
        process.end(ended_ns)
        self.ids.wanted = stored
        try:
            anchor = self.tracer.start_span("stored", Context(), links=[Link(inside)], start_time=ended_ns)
        finally:
            self.ids.wanted = None
        anchor.end(max(ended_ns, time.time_ns()))


def _within(parent: SpanContext) -> Context:
    """Return the context of spans below this one."""
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _stored(life: str, partition: int, offset: int) -> SpanContext:
    """Return the span that stands for a Position: the same for whoever asks."""
    digest = blake2b(f"{life} {partition} {offset}".encode(), digest_size=24).digest()
    trace_id, span_id = int.from_bytes(digest[:16]) or 1, int.from_bytes(digest[16:]) or 1
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
