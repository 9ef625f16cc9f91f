"""The HTTP API under many connections while an updater writes: answers a second, and how long they take.

API, updater, Kafka and the load (`benchmarks.harness.http_load`, on raw sockets) are processes of their own; events are
sent by this one. Beside it in the same run, as ceilings: the same server's /healthz, and its /openapi.json, which is
about as long as an answer and needs no user. The first two seconds of each do not count.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import torch
import typer

from benchmarks.harness.http_load import PATIENCE_S, LoadReport, LoadTask
from benchmarks.harness.report import finish
from benchmarks.harness.served_api import served
from benchmarks.harness.task import UPDATE, Task
from benchmarks.harness.worker_process import ROOT, WorkerProcess, do_events, share_partitions, wait
from benchmarks.harness.workload import create_topic, synthetic, trained_for_a_moment
from model_export.bundle.registry import Registry
from model_export.data.interactions import InteractionLog
from model_export.evaluation.report import table
from stream.events.producer import EventProducer
from stream.events.replay import events_of
from stream.kafka.cluster import Cluster
from testbed.real_kafka import RealKafka

__all__ = ["LoadFigures", "main", "report"]

PARTITIONS = 2
USERS = 1_000
EVENTS_BEFORE = 20_000  # so that every user has a history when the load begins
CEILING_S = 5.0


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
) -> None:
    """Measure answers a second and p99 of the HTTP API while capsules are updated."""
    torch.set_num_threads(1)
    log = synthetic(EVENTS_BEFORE, USERS)
    user_ids = sorted(set(log.events.user_id))
    with tempfile.TemporaryDirectory(prefix="mindstream-") as made, RealKafka() as kafka:
        home, cluster = Path(made), Cluster(kafka.bootstrap_servers)
        _, bundle = trained_for_a_moment(log, home / "bundles")
        Registry(home / "models").publish(bundle.path)
        topic = f"api-{home.name}"
        create_topic(cluster, topic, PARTITIONS)
        task = Task(UPDATE, cluster.bootstrap_servers, topic, str(home), str(bundle.path))
        with WorkerProcess(task) as worker, EventProducer(cluster, topic) as producer, served(home) as port:
            share_partitions([worker], PARTITIONS)
            do_events([worker], 0)
            _fill(log, producer, worker)
            paths = [f"/users/{user_id}/recommendations?n={n}" for user_id in user_ids]
            before, started = worker.events, time.monotonic()
            with _clicking(log, producer, rate):
                found = _load(LoadTask(port, paths, connections, seconds))
                events_a_second = (worker.events - before) / (time.monotonic() - started)
                healthz = _load(LoadTask(port, ["/healthz"], connections, min(seconds, CEILING_S)))
                static = _load(LoadTask(port, ["/openapi.json"], connections, min(seconds, CEILING_S)))
            worker.finish()
    report(found, healthz, static, n=n, connections=connections, seconds=seconds, events=events_a_second)


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
    """Ask from a process of its own.

    Raises
    ------
    OSError
        If nothing was answered.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.harness.http_load"],
        cwd=ROOT,
        input=msgspec.json.encode(task),
        stdout=subprocess.PIPE,
        check=False,
        timeout=task.warm_up_s + task.seconds + 2 * PATIENCE_S,
    )
    if done.returncode:
        raise OSError(f"the load of the benchmark ended with status {done.returncode}; see above")
    return _figures_of(msgspec.json.decode(done.stdout, type=LoadReport))


def _figures_of(report: LoadReport) -> LoadFigures:
    """Return the figures of a load.

    Raises
    ------
    OSError
        If nothing was answered.
    """
    if not report.took_ms:
        raise OSError(f"nothing was answered within {report.seconds:.0f} s, with {report.errors} errors")
    p50, p99 = np.percentile(report.took_ms, [50, 99]).tolist()
    answers = len(report.took_ms)
    return LoadFigures(answers / report.seconds, p50, p99, report.errors, report.bytes / answers)


def report(
    found: LoadFigures,
    healthz: LoadFigures,
    static: LoadFigures,
    n: int,
    connections: int,
    seconds: float,
    events: float,
) -> None:
    """Print answers a second and how long they took, beside the ceilings."""
    names = {f"recommendations, n = {n}": found, "ceiling: /openapi.json": static, "ceiling: /healthz": healthz}
    rows = [
        (name, f"{one.rate:,.0f}", f"{one.p50_ms:.0f}", f"{one.p99_ms:.0f}", f"{one.bytes:,.0f}", f"{one.errors:,}")
        for name, one in names.items()
    ]
    print(f"\n{connections} connections, {seconds} s, the updater at {events:,.0f} events a second\n")
    print(table(["", "a second", "p50 ms", "p99 ms", "bytes", "errors"], rows))
    finish(
        {
            "errors": found.errors,
            "requests_per_s": found.rate,
            "p50_ms": found.p50_ms,
            "p99_ms": found.p99_ms,
            "n": n,
            "connections": connections,
            "seconds": seconds,
            "updater_events_per_s": events,
            "static_per_s": static.rate,
            "healthz_per_s": healthz.rate,
        }
    )
