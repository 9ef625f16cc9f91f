"""Latency from `EventProducer.send` to stored capsules, at a steady pace, on a real Kafka and LMDB.

The updater is a process of its own, the producer this one. Beside it, with the same pace and in the same run, what
kafka-python takes from sending to polling alone: nobody who reads with it can be quicker. The first two seconds of each
do not count. Times are of the host's monotonic clock.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from tqdm import tqdm

from benchmarks.harness.report import finish
from benchmarks.harness.task import READ, UPDATE, Polled, Stored, Task
from benchmarks.harness.worker_process import WorkerProcess, do_events, share_partitions, wait
from benchmarks.harness.workload import create_topic, synthetic, trained_for_a_moment
from model_export.bundle.bundle import Bundle
from model_export.data.interactions import InteractionLog
from model_export.evaluation.report import table
from stream.events.producer import EventProducer
from stream.events.replay import events_of
from stream.kafka.cluster import Cluster
from testbed.real_kafka import RealKafka

__all__ = ["SentEvent", "Trips", "main", "send_evenly"]

PARTITIONS = 2
USERS = 1_000  # so few that their histories fill
WARM_UP_S = 2


@dataclass
class SentEvent:
    """An event on its way.

    Attributes
    ----------
    at_ns, acknowledged_ns : when `send` was called, and when the broker had it.
    future : of the producer; it tells partition and offset.
    """

    user_id: str
    at_ns: int
    acknowledged_ns: int = 0
    future: Any = None

    def acknowledged(self, _: object) -> None:
        """Note that the broker has it."""
        self.acknowledged_ns = time.monotonic_ns()

    @property
    def place(self) -> tuple[int, int]:
        """Return partition and offset."""
        return self.future.value.partition, self.future.value.offset


def main(
    rate: Annotated[int, typer.Option(help="Events a second.", min=1)] = 1_000,
    seconds: Annotated[int, typer.Option(help="How long, after two seconds to warm up.", min=1)] = 30,
) -> None:
    """Measure milliseconds from sending an event to stored capsules, and Kafka's part."""
    torch.set_num_threads(1)
    log = synthetic(rate * (WARM_UP_S + seconds), USERS)
    warm_up = rate * WARM_UP_S
    with tempfile.TemporaryDirectory(prefix="mindstream-") as made, RealKafka() as kafka:
        folder, cluster = Path(made), Cluster(kafka.bootstrap_servers)
        _, bundle = trained_for_a_moment(log, folder / "bundles")
        ours = _measure(UPDATE, log, rate, cluster, bundle, folder)
        plain = _measure(READ, log, rate, cluster, bundle, folder)
    counted = ours.sent[warm_up:]
    _report(
        {
            "stored": ours.stored_ms()[warm_up:],
            "producer": np.array([(one.acknowledged_ns - one.at_ns) / 1e6 for one in counted]),
            "polled": ours.polled_ms()[warm_up:],
            "kafka": plain.polled_ms()[warm_up:],
        },
        rate=(len(counted) - 1) / max(1e-9, (counted[-1].at_ns - counted[0].at_ns) / 1e9),
    )


@dataclass(frozen=True)
class Trips:
    """Events that were sent, and the times at which they were polled and stored."""

    sent: list[SentEvent]
    polled: list[Polled]
    stored: list[Stored]

    def polled_ms(self) -> np.ndarray:
        """Return the milliseconds from sending to polling, (events,)."""
        at_ns = {(one.partition, one.offset): one.at_ns for one in self.polled}
        return np.array([(at_ns[one.place] - one.at_ns) / 1e6 for one in self.sent])

    def stored_ms(self) -> np.ndarray:
        """Return the milliseconds from sending to the first state that has the event, (events,)."""
        of_user: dict[str, list[Stored]] = defaultdict(list)
        for state in self.stored:
            of_user[state.user_id].append(state)
        return np.array([(_stored_ns(of_user[one.user_id], one.place[1]) - one.at_ns) / 1e6 for one in self.sent])


def _stored_ns(states: Sequence[Stored], offset: int) -> int:
    """Return the time at which a user's event at an offset was first stored.

    Raises
    ------
    OSError
        If none has.
    """
    at_ns = [state.at_ns for state in states if state.offset >= offset]
    if not at_ns:
        raise OSError(f"the event at offset {offset} was never stored")
    return min(at_ns)


def _measure(work: str, log: InteractionLog, rate: int, cluster: Cluster, bundle: Bundle, folder: Path) -> Trips:
    """Send a log evenly to a worker on a new topic.

    Raises
    ------
    OSError
        If the worker has not done all events, each once.
    """
    topic = f"{work}-{folder.name}"
    create_topic(cluster, topic, PARTITIONS)
    task = Task(work, cluster.bootstrap_servers, topic, str(folder / work), str(bundle.path), noted=True)
    with WorkerProcess(task) as worker, EventProducer(cluster, topic) as producer:
        share_partitions([worker], PARTITIONS)
        do_events([worker], 0)
        sent = send_evenly(log, producer, rate, f"sending, {work}")
        producer.flush()
        wait([worker], lambda: worker.events, len(sent))
        done = worker.finish()
    if done.counts["applied"] != len(sent):
        raise OSError(f"{done.counts['applied']:,} events were done of {len(sent):,} sent")
    return Trips(sent, done.polled, done.stored)


def send_evenly(log: InteractionLog, producer: EventProducer, rate: int, work: str) -> list[SentEvent]:
    """Send events at a steady rate a second, and return when each was sent."""
    sent, start = [], time.monotonic()
    for number, event in enumerate(tqdm(events_of(log), total=len(log.events), desc=work, unit="event")):
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
        one = SentEvent(event.user_id, time.monotonic_ns())
        one.future = producer.send(event)
        one.future.add_callback(one.acknowledged)
        sent.append(one)
    return sent


def _report(took_ms: dict[str, np.ndarray], rate: float) -> None:
    """Print the median and the 99th percentile of each way."""
    names = {
        "stored": "sent to capsules stored",
        "producer": "sent to acknowledged",
        "polled": "sent to polled by the updater",
        "kafka": "sent to polled, kafka-python alone",
    }
    found = {name: np.percentile(took_ms[name], [50, 99]).tolist() for name in names}
    print(f"\n{len(took_ms['stored']):,} events, {rate:,.0f} a second\n")
    print(table(["ms", "p50", "p99"], [(names[name], *(f"{ms:.1f}" for ms in both)) for name, both in found.items()]))
    figures = {f"{name}_p50_ms": both[0] for name, both in found.items()}
    figures |= {f"{name}_p99_ms": both[1] for name, both in found.items()}
    ours = {f"p{percent}_ms": figures.pop(f"stored_p{percent}_ms") for percent in (50, 99)}
    over = {f"p{percent}_over_kafka": ours[f"p{percent}_ms"] / figures[f"kafka_p{percent}_ms"] for percent in (50, 99)}
    finish({**ours, **over, **figures, "rate": rate})
