"""The HTTP API under many connections while an updater writes: answers a second, and how long they take.

API, updater, Kafka and the load (`benchmarks.harness.http_load`, on raw sockets) are processes of their own; events are
sent by this one. Beside it in the same run, as ceilings: the same server's /livez, and its /openapi.json, a page that
needs no user and is at least as long as an answer. Then half of that load, several processes, and the API that one
would write first (`benchmarks.speed.http_peer`), which must find the same items. The first two seconds do not count.
"""

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from benchmarks.harness.http_load import LoadTask
from benchmarks.harness.load_process import LoadProcess
from benchmarks.harness.report import finish
from benchmarks.harness.served_api import listening, served
from benchmarks.harness.task import UPDATE, Task
from benchmarks.harness.worker_process import WorkerProcess, do_events, share_partitions, wait
from benchmarks.harness.workload import create_topic, synthetic, trained_for_a_moment
from benchmarks.speed.http_peer import share_found
from model_export.bundle.registry import Registry
from model_export.data.interactions import InteractionLog
from model_export.evaluation.report import table
from stream.events.producer import EventProducer
from stream.events.replay import events_of
from stream.kafka.cluster import Cluster
from testbed.real_kafka import RealKafka

__all__ = ["LoadFigures", "Measured", "OneServer", "main", "report"]

PARTITIONS = 2
USERS = 1_000
EVENTS_BEFORE = 20_000  # so that every user has a history when the load begins
BESIDE_S = 15.0  # for what is measured beside
CEILINGS = ("/openapi.json", "/livez")
COMPARED = 50  # users whose answers are compared with the peer's


@dataclass(frozen=True)
class LoadFigures:
    """Answers a second, milliseconds at p50 and p99, errors, and bytes of an answer."""

    rate: float
    p50_ms: float
    p99_ms: float
    errors: int
    bytes: float


def main(
    seconds: Annotated[int, typer.Option(help="How long, after two seconds to warm up.", min=1)] = 60,
    connections: Annotated[int, typer.Option(help="Connections that ask at the same time.", min=1)] = 200,
    rate: Annotated[int, typer.Option(help="Events a second that the updater gets meanwhile.", min=1)] = 200,
    n: Annotated[int, typer.Option("-n", help="Candidates of an answer.", min=1, max=1_000)] = 100,
    workers: Annotated[int, typer.Option(help="Processes that are measured beside one; 1: none.", min=1)] = 2,
) -> None:
    """Measure answers a second and p99 of the HTTP API while capsules are updated."""
    torch.set_num_threads(1)
    log = synthetic(EVENTS_BEFORE, USERS)
    user_ids = sorted(set(log.events.user_id))
    paths = [f"/users/{user_id}/recommendations?n={n}" for user_id in user_ids]
    with tempfile.TemporaryDirectory(prefix="mindstream-") as made, RealKafka() as kafka:
        home, cluster = Path(made), Cluster(kafka.bootstrap_servers)
        _, bundle = trained_for_a_moment(log, home / "bundles")
        Registry(home / "models").publish(bundle.path)
        topic = f"api-{home.name}"
        create_topic(cluster, topic, PARTITIONS)
        task = Task(UPDATE, cluster.bootstrap_servers, topic, str(home), str(bundle.path))
        with WorkerProcess(task) as worker, EventProducer(cluster, topic) as producer:
            share_partitions([worker], PARTITIONS)
            do_events([worker], 0)
            _fill(log, producer, worker)
            before, started = worker.events, time.monotonic()
            with _clicking(log, producer, rate):
                with served(home) as port:
                    one = _measured(port, paths, connections, seconds)
                    ceilings = [_load(LoadTask(port, [path], connections, _shorter(seconds))) for path in CEILINGS]
                several = None
                if workers > 1:
                    with served(home, api_workers=workers) as port:
                        several = _measured(port, paths, connections, seconds)
                with listening(["-m", "benchmarks.speed.http_peer", str(home)]) as port:
                    peer = _load(LoadTask(port, paths, connections, _shorter(seconds)))
            events = (worker.events - before) / (time.monotonic() - started)
            worker.finish()
        same = share_found(home, user_ids[:COMPARED], n)
    print(f"\n{connections} connections, {seconds} s, n = {n}, the updater at {events:,.0f} events a second\n")
    static, livez = ceilings
    report(Measured(one, several, static, livez, peer, same), workers)


@dataclass(frozen=True)
class OneServer:
    """A server under all the load that it takes, and under half of that."""

    full: LoadFigures
    half: LoadFigures


@dataclass(frozen=True)
class Measured:
    """All figures of a run.

    Attributes
    ----------
    same : share of our candidates that the peer has too.
    """

    one: OneServer
    several: OneServer | None
    static: LoadFigures
    livez: LoadFigures
    peer: LoadFigures
    same: float


def _measured(port: int, paths: list[str], connections: int, seconds: int) -> OneServer:
    """Ask a server for as much as it answers, and then for half of that."""
    full = _load(LoadTask(port, paths, connections, seconds))
    return OneServer(full, _load(LoadTask(port, paths, connections, _shorter(seconds), rate=full.rate / 2)))


def _shorter(seconds: int) -> float:
    """Return for how long what stands beside is measured."""
    return min(seconds, BESIDE_S)


def _fill(log: InteractionLog, producer: EventProducer, worker: WorkerProcess) -> None:
    """Give every user a history."""
    for event in events_of(log):
        producer.send(event)
    producer.flush()
    wait([worker], lambda: worker.events, len(log.events))


@contextmanager
def _clicking(log: InteractionLog, producer: EventProducer, rate: int) -> Iterator[None]:
    """Send events of the log, again and again, so many a second, while the block lasts."""
    stop = threading.Event()

    def click() -> None:
        started, sent = time.monotonic(), 0
        while True:
            for event in events_of(log):
                if stop.wait(max(0.0, started + sent / rate - time.monotonic())):
                    return
                producer.send(event)
                sent += 1

    thread = threading.Thread(target=click, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _load(task: LoadTask) -> LoadFigures:
    """Ask from a process of its own."""
    report = LoadProcess(task).report()
    p50, p99 = np.percentile(report.took_ms, [50, 99]).tolist()
    answers = len(report.took_ms)
    return LoadFigures(answers / report.seconds, p50, p99, report.errors, report.bytes / answers)


def report(found: Measured, workers: int) -> None:
    """Print answers a second and how long they took, beside the ceilings and the peer."""
    one, several, peer = found.one, found.several, found.peer
    named = {"one process": one.full, "at half of that": one.half}
    if several is not None:
        named |= {f"{workers} processes": several.full, f"{workers} processes, half": several.half}
    named |= {"ceiling: /openapi.json": found.static, "ceiling: /livez": found.livez, "peer: FastAPI, hnswlib": peer}
    rows = [
        (name, f"{one.rate:,.0f}", f"{one.p50_ms:.0f}", f"{one.p99_ms:.0f}", f"{one.bytes:,.0f}", f"{one.errors:,}")
        for name, one in named.items()
    ]
    print(table(["", "a second", "p50 ms", "p99 ms", "bytes", "errors"], rows))
    figures = {
        "errors": sum(one.errors for one in named.values()),
        "requests_per_s": one.full.rate,
        "static_ratio": one.full.rate / found.static.rate,
        "p50_ms": one.full.p50_ms,
        "p99_ms": one.full.p99_ms,
        "p99_over_p50": one.full.p99_ms / one.full.p50_ms,
        "half_load_p99_ms": one.half.p99_ms,
        "static_per_s": found.static.rate,
        "livez_per_s": found.livez.rate,
        "peer_requests_per_s": peer.rate,
        "peer_same_answer": found.same,
    }
    if several is not None:
        figures |= {
            "workers": workers,
            "workers_requests_per_s": several.full.rate,
            "workers_p50_ms": several.full.p50_ms,
            "workers_p99_ms": several.full.p99_ms,
            "workers_half_load_p99_ms": several.half.p99_ms,
        }
    finish(figures)
