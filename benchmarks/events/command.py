"""Posting events over many connections while the broker is killed and started again.

API and Kafka are processes of their own; the clients are threads of this one, each on one connection. What is on the
topic at the end is compared with the answers, byte for byte: each event that was accepted is there once, and besides
them only such as were answered to be in doubt.
"""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from tqdm import tqdm

from benchmarks.events.clients import ACCEPTED, UNEXPECTED, Client, Posted, all_posted
from benchmarks.events.verdict import FAULTS, verdict
from benchmarks.harness.report import finish
from benchmarks.harness.served_api import served
from benchmarks.harness.workload import create_topic
from model_export.bundle.registry import Registry
from model_export.data.simulator import simulate
from model_export.evaluation.report import table
from model_export.export.bundle_writer import export
from stream.kafka.cluster import Cluster
from testbed.real_kafka import RealKafka
from testbed.small_model import small_checkpoint
from testbed.stream_process import wait_until

__all__ = ["main", "post_under_outages", "report"]

PARTITIONS = 4
AWAY_S = (2.0, 15.0)  # between the broker's end and its new start, in turn: within the API's patience, and beyond
ACCEPTS_WITHIN_S = 120.0


def main(
    outages: Annotated[int, typer.Option(help="How often the broker is killed.", min=0)] = 5,
    connections: Annotated[int, typer.Option(help="Connections that post at the same time.", min=1)] = 50,
    seconds: Annotated[float, typer.Option(help="Of load before each outage, and at the end.", min=1)] = 5.0,
) -> None:
    """Count events that were acknowledged and are not on the topic, or the other way round.

    Where that is not 0, the status is 1.
    """
    with tempfile.TemporaryDirectory(prefix="mindstream-") as made, RealKafka() as kafka:
        home, topic = Path(made), "posted-events"
        Registry(home / "models").publish(export(small_checkpoint(simulate(300, seed=1)), home, progress=False).path)
        create_topic(Cluster(kafka.bootstrap_servers), topic, PARTITIONS)
        with served(home, bootstrap_servers=kafka.bootstrap_servers, topic=topic) as port:
            posted, resumed = post_under_outages(kafka, port, outages, connections, seconds)
        records = [(record.key, record.value) for record in kafka.records(topic)]
    if not report(posted, records, resumed):
        raise typer.Exit(1)


def post_under_outages(
    kafka: RealKafka, port: int, outages: int, connections: int, seconds: float
) -> tuple[list[Posted], list[float]]:
    """Post while the broker is killed and started again.

    Returns
    -------
    What was posted; and for each outage the seconds from when the broker answers to the next accepted request.
    """
    resumed = []
    clients = [Client(port, number) for number in range(connections)]
    with ExitStack() as running:
        for client in clients:
            running.enter_context(client)
        for number in tqdm(range(outages), desc="outages"):
            time.sleep(seconds + random.uniform(0, 1))
            kafka.kill()
            time.sleep(AWAY_S[number % 2])
            kafka.restart()
            resumed.append(_until_accepted(clients))
        time.sleep(seconds)
        for client in clients:
            client.stopping.set()
    return all_posted(clients), resumed


def _until_accepted(clients: Sequence[Client]) -> float:
    """Wait until a request that was sent from now on is accepted; return the seconds."""
    started = time.monotonic()

    def accepted() -> bool:
        return any(one.at > started and one.result == ACCEPTED for client in clients for one in client.posted[-1:])

    wait_until(accepted, "events are accepted again", ACCEPTS_WITHIN_S)
    return time.monotonic() - started


def report(posted: Sequence[Posted], records: Sequence[tuple[bytes, bytes]], resumed: Sequence[float]) -> bool:
    """Print what became of the requests, and the figures as the last line.

    Returns
    -------
    Whether all that must be 0 is, and something was accepted at all.
    """
    found = verdict(posted, records)
    requests = Counter(one.result for one in posted)
    events = Counter(one.result for one in posted for _ in one.values)
    found["unexpected_answers"] = requests[UNEXPECTED]
    print(table(["answer", "requests", "events"], [(name, requests[name], events[name]) for name in sorted(requests)]))
    took_ms = [one.took_s * 1e3 for one in posted if one.result == ACCEPTED] or [float("nan")]
    finish(
        {
            **{name: count for name, count in found.items() if name != "acknowledged_lost"},
            "requests": len(posted),
            "events_accepted": events[ACCEPTED],
            "p50_ms": float(np.percentile(took_ms, 50)),
            "p99_ms": float(np.percentile(took_ms, 99)),
            "resumed_after_s": max(resumed, default=float("nan")),
            "acknowledged_lost": found["acknowledged_lost"],
        }
    )
    return bool(events[ACCEPTED]) and not any(found[name] for name in (*FAULTS, "unexpected_answers"))
