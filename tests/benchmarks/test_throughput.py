"""Throughput: short real runs in which every event counts, and that what is compared does the same work."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from kafka import TopicPartition

from benchmarks.harness import workload
from benchmarks.harness.laps import Laps
from benchmarks.harness.task import READ, UPDATE, Report, Task
from benchmarks.harness.worker_process import WorkerProcess, share_partitions, wait
from benchmarks.harness.workload import create_topic, publish, stored_behaviours, synthetic
from benchmarks.speed import throughput
from benchmarks.speed.loop_peer import KEPT, Peer, peer_events_per_s
from benchmarks.speed.throughput import Bench, check_reports, check_store, elapsed_s
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.data.interactions import InteractionLog
from model_export.data.simulator import SimulatedShop
from model_export.models.checkpoint import Checkpoint
from model_export.readers import write_table
from stream.events.event import Event
from stream.events.producer import EventProducer
from stream.kafka.cluster import Cluster
from stream.store.lmdb_store import LmdbStore
from testbed.java_broker import free_ports
from testbed.real_kafka import RealKafka

KEYS = {
    "events_per_s",
    "peer_events_per_s",
    "ratio",
    "batching_peer_events_per_s",
    "batching_ratio",
    "decode_only_events_per_s",
    "decode_ratio",
    "mapped_decode_only_events_per_s",
    "mapped_decode_cost",
    "two_process_speedup",
}


class Work:
    """Parts that take time on a clock of their own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.laps = Laps(lambda: self.now)

    def inner(self, seconds: float) -> str:
        with self.laps.lap("in"):
            self.now += seconds
            return "done"

    def outer(self) -> str:
        with self.laps.lap("out"):
            self.now += 1
            self.inner(seconds=10)
            self.now += 2
            return self.inner(20)

    def fails(self) -> None:
        with self.laps.lap("bad"):
            self.now += 100
            self.inner(5)
            raise OSError("no")


def test_a_part_s_seconds_are_without_those_of_the_parts_inside_it() -> None:
    work = Work()
    laps = work.laps
    assert work.outer() == "done"
    assert laps.seconds == {"in": 30, "out": 3}
    with pytest.raises(OSError, match="no"):
        work.fails()
    assert laps.seconds == {"in": 35, "out": 3, "bad": 100}
    work.outer()
    assert laps.seconds == {"in": 65, "out": 6, "bad": 100}


def test_the_synthetic_stream() -> None:
    log = synthetic(5_000, 70, seed=3)
    events = log.events
    assert set(np.diff(events.event_time_ms)) == {1}
    assert events.user_id.nunique() == len(log.profiles) == 70
    assert len(log.items) == workload.ITEMS
    assert set(events.item_id) < set(log.items.item_id)
    counts = events.item_id.value_counts()
    assert counts.iloc[0] / len(events) == pytest.approx(1 / (np.log(workload.ITEMS) + 0.5772), rel=0.2)
    assert synthetic(5_000, 70, seed=3).events.equals(events)


@pytest.mark.slow
def test_the_model_knows_items_that_come_later_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "ITEMS", 300)
    monkeypatch.setattr(workload, "TRAINED_ON", 400)
    log = synthetic(2_000, 20)
    checkpoint, bundle = workload.trained_for_a_moment(log, tmp_path)
    assert set(bundle.rows) == set(log.items.item_id)
    assert (bundle.manifest.history_length, bundle.item_embeddings.shape[1]) == (50, 64)
    assert checkpoint.data["events"] == 400
    assert checkpoint.steps == workload.STEPS


@pytest.fixture
def cluster(real_kafka: RealKafka) -> Cluster:
    return Cluster(real_kafka.bootstrap_servers)


def records_of(cluster: Cluster, topic: str, count: int) -> Iterator[tuple[bytes, int]]:
    """Key and partition of each record of a topic."""
    consumer = cluster.consumer(None)
    partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    try:
        assert sum(consumer.end_offsets(partitions).values()) == count
        for _, record in zip(range(count), consumer, strict=False):
            yield record.key, record.partition
    finally:
        consumer.close()


def test_published_events_stand_where_our_producer_would_put_them(cluster: Cluster, topic: str) -> None:
    log = synthetic(200, 40)
    publish(log, cluster, topic)
    place = dict(records_of(cluster, topic, 200))
    with EventProducer(cluster, topic) as producer:
        for user_id in log.profiles.user_id:
            partition, _ = producer.publish(Event(user_id, "cup", workload.FIRST_MS))
            assert place[user_id.encode()] == partition


def test_a_topic_that_is_there_is_not_mixed_with_ours(cluster: Cluster, topic: str) -> None:
    with pytest.raises(OSError, match=f"topic {topic} on .* cannot be created"):
        create_topic(cluster, topic, 2)


def test_the_peer_computes_the_same_capsules(checkpoint: Checkpoint, bundle: Bundle, tmp_path: Path) -> None:
    peer = Peer(checkpoint, tmp_path / "peer.sqlite")
    for history in (bundle.item_ids[:1], bundle.item_ids[3:20], [bundle.item_ids[4], "unknown", bundle.item_ids[9]]):
        times_ms = [10_000 * 4**place for place in range(len(history))]
        [ours] = Extractor(bundle).encode([history], times_ms=[times_ms])
        assert np.abs(peer.capsules(zip(history, times_ms, strict=True)) - ours.vectors).max() < 1e-5
    peer.close()


@pytest.mark.parametrize("commit_each", [True, False])
def test_the_peer_reads_and_keeps_the_last_items(
    cluster: Cluster, topic: str, checkpoint: Checkpoint, bundle: Bundle, tmp_path: Path, commit_each: bool
) -> None:
    sent = [bundle.item_ids[number % 30] for number in range(70)]
    with EventProducer(cluster, topic) as producer:
        for number, item_id in enumerate(sent):
            producer.send(Event("ann", item_id, workload.FIRST_MS + number))
    rate = peer_events_per_s(checkpoint, tmp_path / "a", cluster.bootstrap_servers, topic, 70, 60, commit_each)
    assert rate > 0
    peer = Peer(checkpoint, tmp_path / "a")
    assert [item_id for item_id, _ in peer.behaviours("ann")] == sent[-KEPT:]
    peer.close()


def test_a_peer_without_events_is_an_error(
    cluster: Cluster, topic: str, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.speed.loop_peer.STANDS_STILL_MS", 500)
    with pytest.raises(OSError, match=f"the peer read 0 events of {topic}"):
        peer_events_per_s(checkpoint, tmp_path / "a", cluster.bootstrap_servers, topic, 1, 60, commit_each=False)


def test_a_worker_that_ends_is_noticed(bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    nowhere = f"127.0.0.1:{free_ports(1)[0]}"
    task = Task(READ, nowhere, "t", str(tmp_path), str(bundle.path))
    ends = pytest.raises(OSError, match="a worker of the benchmark ended with status 1")
    with WorkerProcess(task) as worker, ends:
        share_partitions([worker], 2)
    assert f"no Kafka broker answers at {nowhere}" in capfd.readouterr().err


def test_workers_that_stand_still_are_noticed() -> None:
    with pytest.raises(OSError, match="stand still at 3 of 5"):
        wait([], lambda: 3, 5, patience_s=0.1)


def test_waiting_says_what_came() -> None:
    reached, seen = iter([0, 3, 3, 5]), list[int]()
    wait([], lambda: next(reached), 5, seen.append)
    assert seen == [3, 2]


def report_of(events: int, began: float = 0, ended: float = 1) -> Report:
    return Report(int(began * 1e9), int(ended * 1e9), {"applied": events, "batches": 1})


def test_the_time_is_that_of_all_workers() -> None:
    assert elapsed_s([report_of(1, 2, 7), report_of(1, 3, 9)]) == 7


def test_events_that_are_missing_or_came_twice_are_an_error(tmp_path: Path) -> None:
    log = synthetic(9, 2)
    check_reports([report_of(4), report_of(5)], log)
    for wrong in (4, 6):
        with pytest.raises(OSError, match=f"9 synthetic events: {4 + wrong} of 9 events were applied"):
            check_reports([report_of(4), report_of(wrong)], log)
    with pytest.raises(OSError, match="0 behaviours are stored; right is 9"):
        check_store(tmp_path, log)


def test_a_store_keeps_the_last_behaviours() -> None:
    assert stored_behaviours([3, 100, 101, 500], 100) == 303


@pytest.fixture
def log(shop: SimulatedShop) -> InteractionLog:
    return shop.log.between(0, 0.1)


def test_two_updaters_apply_every_event_once(
    cluster: Cluster, log: InteractionLog, bundle: Bundle, tmp_path: Path
) -> None:
    bench = Bench(log, cluster, "test", bundle, tmp_path)
    reports = bench.run(UPDATE, 2)
    assert sum(one.counts["applied"] for one in reports) == len(log.events)
    assert all(one.counts["applied"] > 0 for one in reports)
    with LmdbStore(Settings(home=tmp_path / "update-2").state) as store:
        stored = {user_id: state for user_id in store.users() for state in store.get_many([user_id])}
    for user_id, taken in log.events.groupby("user_id").item_id:
        state = stored[str(user_id)]
        assert state is not None
        assert Counter(state.history.item_ids) == Counter(taken)


def test_the_command_ends_with_its_figures(
    real_kafka: RealKafka,
    log: InteractionLog,
    checkpoint: Checkpoint,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_table(log, tmp_path / "log.parquet")
    monkeypatch.setattr(throughput, "RealKafka", lambda: nullcontext(real_kafka))
    monkeypatch.setattr(throughput, "synthetic", lambda events, users: log.between(0, 0.5))
    monkeypatch.setattr(throughput, "trained_for_a_moment", lambda *_: (checkpoint, bundle))
    throughput.main(tmp_path / "log.parquet", events=1, users=1)
    printed = capsys.readouterr().out
    figures = json.loads(printed.splitlines()[-1])
    assert set(figures) == KEYS | {f"log_{name}" for name in KEYS}
    assert all(value > 0 for value in figures.values()), figures
    assert figures["ratio"] == pytest.approx(figures["events_per_s"] / figures["peer_events_per_s"], rel=1e-3)
    for part in ("poll", "decode", "store get", "apply", "encode", "store put", "commit", "the rest"):
        assert printed.count(f"\n{part} ") == 2
