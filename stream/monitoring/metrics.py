"""The counts and times of an updater, as Prometheus reads them. Every call is for a batch, not for an event."""

from collections import Counter as Counts
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import cast

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from stream.monitoring.health import Health

__all__ = ["AGES_S", "RESULTS", "STALLS", "Metrics"]

RESULTS = (
    *("applied", "negative", "undone", "overruled", "ignored", "forgotten", "forgotten_before"),
    *("replayed", "duplicate", "dead_letter", "unknown_item", "lost"),
)
STALLS = ("decode", "store", "dead_letters", "updates")
TIMED = ("encode", "get", "put")
COUNTED = ("batches", "refused", "rebalances", "stalls", "stuck", "swaps", "bundles_refused", "swept")

BATCHES = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)  # events
WORK_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3)
AGES_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1_000, 3_000)


class Metrics:
    """The metrics of one updater, in a registry of its own.

    Attributes
    ----------
    registry : what /metrics shows.
    """

    def __init__(self) -> None:
        # The times since which counters count double the page, and say nothing of the work.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._events = self._counter("events", "Events, by what became of them.", "result")
        self._dead_letters = self._counter("dead_letters", "Records that were no events, by reason.", "reason")
        self._batches = self._counter("batches", "Batches that were stored and committed.")
        self._refused = self._counter("writes_refused", "States that the store refused: others had written meanwhile.")
        self._rebalances = self._counter("rebalances", "Times that partitions came or went.")
        self._stuck = self._counter("stuck_partitions", "Times that a partition had events and did not move.")
        self._stalls = self._counter("stalls", "Times that work had to wait for what did not answer.", "of")
        self._sizes = self._histogram("batch_events", "Events in a batch.", BATCHES)
        self._encoding = self._histogram("encode_seconds", "Encoding the users of a batch.", WORK_S)
        self._store = self._histogram("store_seconds", "One call of the store.", WORK_S, "operation")
        self._ages = _Ages("mindstream_event_to_stored_seconds", "From Kafka's having an event to its being stored.")
        self.registry.register(self._ages)
        self._lag = self._gauge("lag_events", "Events of a partition that were not read yet.", "partition")
        self._held = self._gauge(
            "open_transaction_events", "Events of a partition that wait for the end of a transaction.", "partition"
        )
        self._bundle = self._gauge("bundle_info", "1 for the model in use.", "version")
        self._swaps = self._counter("bundle_swaps", "Times that another model was taken over.")
        self._bundles_refused = self._counter("bundles_refused", "Faults for which a bundle was refused.")
        self._looked_at = self._counter("sweep_looked_at", "Users whom a sweep has looked at.")
        self._swept = self._counter("sweep_users", "Users whose capsules a sweep has made anew.")
        self._sweeping = self._gauge("sweeping", "1 while a sweep is going on, else 0.")
        self._healthy = self._gauge("healthy", "1 where /healthz says ok, else 0.")
        self._ready = self._gauge("ready", "1 where /readyz says ok, else 0.")
        self._timers = {"encode": self._encoding} | {one: self._store.labels(one) for one in TIMED[1:]}
        self._partitions: set[int] = set()
        self._show_zeros()

    def count(self, result: str, number: int = 1) -> None:
        """Count events of one result (of RESULTS); dead letters have a method of their own."""
        self._events.labels(_known(result, RESULTS)).inc(number)

    def dead_letter(self, reason: str, number: int = 1) -> None:
        """Count records that were no events, for one reason (of BadEventError)."""
        self._dead_letters.labels(reason).inc(number)
        self.count("dead_letter", number)

    def batch(self, events: int) -> None:
        """Count a batch of so many events that is done."""
        self._batches.inc()
        self._sizes.observe(events)

    def stored(self, ages_s: Iterable[float]) -> None:
        """Count events that are stored, by how many seconds before Kafka got each."""
        self._ages.add(np.fromiter(ages_s, dtype=float))

    def refused(self, writes: int) -> None:
        """Count states that the store refused."""
        self._refused.inc(writes)

    def rebalanced(self) -> None:
        """Count that partitions came or went."""
        self._rebalances.inc()

    def stuck(self, partitions: int) -> None:
        """Count partitions that had events and did not move."""
        self._stuck.inc(partitions)

    def stalled(self, of: str) -> None:
        """Count that work waits for something (of STALLS) that does not answer."""
        self._stalls.labels(_known(of, STALLS)).inc()

    def timed(self, what: str) -> AbstractContextManager[object]:
        """Time the block: "encode", or the store's "get" or "put"."""
        return cast(AbstractContextManager[object], self._timers[_known(what, TIMED)].time())

    def progress(self, behind: Mapping[int, tuple[int, int]]) -> None:
        """Set how far behind the reader is.

        A partition that is no longer ours has no lag here.

        Parameters
        ----------
        behind : partition -> events not read yet, and how many of them wait for nothing but an open transaction.
        """
        for partition in self._partitions - behind.keys():
            self._lag.remove(str(partition))
            self._held.remove(str(partition))
        for partition, (events, held) in behind.items():
            self._lag.labels(str(partition)).set(events)
            self._held.labels(str(partition)).set(held)
        self._partitions = set(behind)

    def bundle(self, version: str) -> None:
        """Set the version of the model in use."""
        self._bundle.clear()
        self._bundle.labels(version).set(1)

    def swapped(self, version: str) -> None:
        """Count that another model was taken over."""
        self._swaps.inc()
        self.bundle(version)

    def bundle_refused(self) -> None:
        """Count that a bundle was refused for a fault."""
        self._bundles_refused.inc()

    def swept(self, looked_at: int, made_anew: int) -> None:
        """Count users whom a sweep has looked at, and those whose capsules it made anew."""
        self._looked_at.inc(looked_at)
        self._swept.inc(made_anew)

    def sweeping(self, going_on: bool) -> None:
        """Set whether a sweep is going on."""
        self._sweeping.set(going_on)

    def watch(self, health: Health) -> None:
        """Show what this Health says whenever it is asked."""
        self._healthy.set_function(lambda: float(health.problem() is None))
        self._ready.set_function(lambda: float(health.unready() is None))

    @property
    def counts(self) -> Counts[str]:
        """Return how often each thing has happened so far.

        Events by result, and batches, writes that were refused, and so on.
        """
        found: Counts[str] = Counts({one.labels["result"]: int(one.value) for one in _samples(self._events)})
        for name in COUNTED:
            found[name] = int(sum(one.value for one in _samples(getattr(self, f"_{name}"))))
        return +found  # without those of which there were none

    def _show_zeros(self) -> None:
        """Show 0 for what has not happened yet, whose rate is then 0 and not unknown."""
        for result in RESULTS:
            self.count(result, 0)
        for of in STALLS:
            self._stalls.labels(of)

    def _counter(self, name: str, said: str, *labels: str) -> Counter:
        return Counter(f"mindstream_{name}", said, labels, registry=self.registry)

    def _gauge(self, name: str, said: str, *labels: str) -> Gauge:
        return Gauge(f"mindstream_{name}", said, labels, registry=self.registry)

    def _histogram(self, name: str, said: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"mindstream_{name}", said, labels, buckets=buckets, registry=self.registry)


def _samples(counter: Counter) -> list[Sample]:
    """Return the values of a counter, one for each of its labels."""
    return [one for metric in counter.collect() for one in metric.samples if one.name.endswith("_total")]


def _known(name: str, names: Collection[str]) -> str:
    """Return a label's value, or raise ValueError if it is misspelt.

    It would count where nobody looks.
    """
    if name not in names:
        raise ValueError(f"{name!r} is not counted; right is one of {', '.join(names)}")
    return name


class _Ages(Collector):
    """A histogram that takes a whole batch at once.

    prometheus_client's own takes one value a call.
    """

    def __init__(self, name: str, said: str) -> None:
        self.name, self.said = name, said
        self.edges = np.array(AGES_S)
        self.state = (np.zeros(len(AGES_S) + 1, dtype=int), 0.0)  # replaced as one, so that a reader sees both or none

    def add(self, ages_s: np.ndarray) -> None:
        """Count ages in seconds; clocks that differ may make one negative, which counts as 0."""
        ages_s = ages_s.clip(min=0)
        slots = np.searchsorted(self.edges, ages_s, side="left")
        counts, total = self.state
        self.state = counts + np.bincount(slots, minlength=len(counts)), total + float(ages_s.sum())

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Yield what Prometheus reads: how many were at most so old."""
        counts, total = self.state
        names = [str(float(edge)) for edge in AGES_S] + ["+Inf"]
        buckets = list(zip(names, counts.cumsum().tolist(), strict=True))
        yield HistogramMetricFamily(self.name, self.said, buckets=buckets, sum_value=total)
