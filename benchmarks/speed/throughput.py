"""Throughput of the updater, from events to stored capsules, beside the loop that one would write first.

On a real Kafka, one topic of two partitions for each run; its events are published before the clock starts. One after
the other: a consumer that only decodes, the same of a shop's own shape by a mapping, the updater (poll to commit,
capsules in LMDB, each batch synced to disk), two updaters of one group, and the peer (loop_peer.py) for some seconds.
Each process has about one core. All events must have been applied and be in the store, or there is no figure.

The model is the default one (L = 50, d = 64, K = 4), trained for a moment.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from tqdm import tqdm

from benchmarks.harness.report import finish
from benchmarks.harness.shop_shape import in_shop_shape
from benchmarks.harness.task import READ, READ_MAPPED, UPDATE, Report, Task
from benchmarks.harness.worker_process import WorkerProcess, do_events, share_partitions
from benchmarks.harness.workload import create_topic, publish, stored_behaviours, synthetic, trained_for_a_moment
from benchmarks.speed.loop_peer import peer_events_per_s
from mindstream.log_options import must_be_there
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.data.interactions import InteractionLog
from model_export.evaluation.report import table
from model_export.readers import read_log
from stream.events.event import encode
from stream.kafka.cluster import Cluster
from stream.store.lmdb_store import LmdbStore
from testbed.real_kafka import RealKafka

__all__ = ["Bench", "check_reports", "check_store", "elapsed_s", "main"]

PARTITIONS = 2
PEER_SECONDS = 10.0
CHECKED_AT_ONCE = 1_000

LogPath = Annotated[
    Path | None,
    typer.Option("--log", help="Interaction log to measure as well; figures named log_...", callback=must_be_there),
]


def main(
    log: LogPath = None,
    events: Annotated[int, typer.Option(help="Synthetic events.", min=1)] = 1_000_000,
    users: Annotated[int, typer.Option(help="Users that they are of.", min=1)] = 100_000,
) -> None:
    """Measure events a second of one and two updaters, and of a kafka-python loop."""
    torch.set_num_threads(1)
    interactions = read_log(log) if log else None
    figures: dict[str, float] = {}
    with RealKafka() as kafka:
        figures |= _measure(synthetic(events, users), Cluster(kafka.bootstrap_servers), "synthetic")
        if interactions:
            print(interactions.describe())
            of_log = _measure(interactions, Cluster(kafka.bootstrap_servers), "log")
            figures |= {f"log_{name}": value for name, value in of_log.items()}
    finish(figures)


@dataclass(frozen=True)
class Bench:
    """Parts that the runs of one log share."""

    log: InteractionLog
    cluster: Cluster
    name: str
    bundle: Bundle
    folder: Path

    @property
    def events(self) -> int:
        """Return the number of events."""
        return len(self.log.events)

    def topic(self, run: str) -> str:
        """Return a name that no other run of the same Kafka has."""
        return f"{self.name}-{run}-{self.folder.name}"

    def run(self, work: str, workers: int = 1) -> list[Report]:
        """Publish the log to a new topic, let workers do it, and return their reports.

        Raises
        ------
        OSError
            If not all events were applied, each once.
        """
        run = f"{work}-{workers}"
        topic, home = self.topic(run), self.folder / run
        create_topic(self.cluster, topic, PARTITIONS)
        task = Task(work, self.cluster.bootstrap_servers, topic, str(home), str(self.bundle.path))
        with ExitStack() as stack:
            started = [stack.enter_context(WorkerProcess(task)) for _ in range(workers)]
            share_partitions(started, PARTITIONS)
            publish(self.log, self.cluster, topic, in_shop_shape if work == READ_MAPPED else encode)
            with tqdm(total=self.events, desc=f"{work}, {workers} at work", unit="event") as bar:
                do_events(started, self.events, bar.update)
            reports = [worker.finish() for worker in started]
        check_reports(reports, self.log)
        if work == UPDATE:
            check_store(home, self.log)
        return reports


def _measure(log: InteractionLog, cluster: Cluster, name: str) -> dict[str, float]:
    """Measure all figures of a log, print and return them."""
    with tempfile.TemporaryDirectory(prefix="mindstream-") as made:
        folder = Path(made)
        checkpoint, bundle = trained_for_a_moment(log, folder / "bundles")
        bench = Bench(log, cluster, name, bundle, folder)
        [reading] = bench.run(READ)
        [reading_mapped] = bench.run(READ_MAPPED)
        [updating] = bench.run(UPDATE)
        both = bench.run(UPDATE, 2)
        read = bench.topic(f"{READ}-1")
        peer, batching_peer = (
            peer_events_per_s(
                checkpoint,
                folder / f"{name}.sqlite",
                cluster.bootstrap_servers,
                read,
                bench.events,
                PEER_SECONDS,
                commit_each,
            )
            for name, commit_each in (("peer", True), ("batching-peer", False))
        )
    ours, decode_only = bench.events / elapsed_s([updating]), bench.events / elapsed_s([reading])
    mapped = bench.events / elapsed_s([reading_mapped])
    figures = {
        "events_per_s": ours,
        "peer_events_per_s": peer,
        "ratio": ours / peer,
        "batching_peer_events_per_s": batching_peer,
        "batching_ratio": ours / batching_peer,
        "decode_only_events_per_s": decode_only,
        "decode_ratio": ours / decode_only,
        "mapped_decode_only_events_per_s": mapped,
        "mapped_decode_cost": decode_only / mapped,
        "two_process_speedup": bench.events / elapsed_s(both) / ours,
    }
    _print_figures(log, figures, updating)
    return figures


def elapsed_s(reports: Sequence[Report]) -> float:
    """Return the seconds from the first event of any worker to the last commit of any."""
    return (max(one.ended_ns for one in reports) - min(one.began_ns for one in reports)) / 1e9


def check_reports(reports: Sequence[Report], log: InteractionLog) -> None:
    """Raise OSError unless exactly the log's events were applied."""
    counts = [one.counts for one in reports]
    applied = sum(one["applied"] for one in counts)
    if applied != len(log.events):
        raise OSError(f"{log.source}: {applied:,} of {len(log.events):,} events were applied; the counts are {counts}")


def check_store(home: Path, log: InteractionLog) -> None:
    """Raise OSError unless the histories in the store have all behaviours."""
    settings = Settings(home=home)
    counts = log.events.user_id.value_counts()
    expected = stored_behaviours(counts, settings.history_length)
    user_ids, found = counts.index.tolist(), 0
    with LmdbStore(settings.state) as store:
        for at in range(0, len(user_ids), CHECKED_AT_ONCE):
            states = store.get_many(user_ids[at : at + CHECKED_AT_ONCE])
            found += sum(len(state.history.item_ids) for state in states if state)
    if found != expected:
        raise OSError(f"{log.source}: {found:,} behaviours are stored; right is {expected:,}")


def _print_figures(log: InteractionLog, figures: Mapping[str, float], updating: Report) -> None:
    """Print the speed of each way, and the shares of the updater's time."""
    rows = [
        ("updater", f"{figures['events_per_s']:,.0f}"),
        ("two updaters", f"{figures['events_per_s'] * figures['two_process_speedup']:,.0f}"),
        ("kafka-python, SQLite and torch, event by event", f"{figures['peer_events_per_s']:,.0f}"),
        ("the same, SQLite commits once a poll", f"{figures['batching_peer_events_per_s']:,.0f}"),
        ("kafka-python and decoding only", f"{figures['decode_only_events_per_s']:,.0f}"),
        ("the same, a shop's own shape by a mapping", f"{figures['mapped_decode_only_events_per_s']:,.0f}"),
    ]
    print(f"\n{log.source}: {len(log.events):,} events of {log.events.user_id.nunique():,} users\n")
    print(table(["", "events/s"], rows))
    batches, whole = updating.counts["batches"], sum(updating.seconds.values())
    print(f"\nWhere the updater's time went; {batches:,} batches of {len(log.events) / batches:,.0f} events\n")
    spent = sorted(updating.seconds.items(), key=lambda one: -one[1])
    print(
        table(
            ["", "µs an event", "%"],
            [(name, f"{1e6 * s / len(log.events):.1f}", f"{100 * s / whole:.0f}") for name, s in spent],
        )
    )
