"""Value of freshness: a model trained on the first 80 % of a log meets the rest through a real Kafka.

Before each event is applied it is noted whether its item is among the user's top 50: with capsules as fresh as the last
event, with capsules frozen at the start of the replay, with most-popular, and with item-kNN, fresh and frozen.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from kafka.consumer.fetcher import ConsumerRecord
from tqdm import tqdm

from benchmarks.harness.report import finish
from index.recommend.recommender import Recommender
from index.search.hnsw import HnswSettings
from index.search.index_files import build_index
from mindstream.log_options import must_be_there
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.serving import FixedServing
from model_export.commands.behaviours import read_behaviours
from model_export.commands.options import Switches
from model_export.data.dataset import build_sequences, build_vocabulary
from model_export.data.interactions import InteractionLog
from model_export.evaluation.cases import next_item_cases
from model_export.evaluation.item_knn import tune_item_knn
from model_export.evaluation.report import table
from model_export.evaluation.split import split_users
from model_export.export.bundle_writer import export
from model_export.models.presets import DEFAULT, PRESETS, Preset, preset
from model_export.models.switches import apply_settings
from model_export.training.train import train
from stream.events.event import Event, decode
from stream.events.replay import replay
from stream.kafka.batch import RecordBatch
from stream.kafka.cluster import Cluster
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState
from stream.updater.updater import Updater
from testbed.real_kafka import RealKafka

__all__ = ["main"]

TRAINED_ON = 0.8  # share of the log, in time order
VALID_SHARE = 0.05  # of the users; the model stops early by them, and item-kNN is tuned on them
QUICK_EVENTS = 15_000
TUNING_CASES = 3_000
N = 50

LogPath = Annotated[
    Path,
    typer.Option(
        "--log", help="Interaction log; a publisher's file or folder, CSV or Parquet.", callback=must_be_there
    ),
]


def main(
    log: LogPath,
    quick: Annotated[bool, typer.Option("--quick", help="Replay the first 15,000 events only.")] = False,
    model: Annotated[str, typer.Option(help=f"Which model: {', '.join(PRESETS)}.")] = DEFAULT,
    steps: Annotated[int | None, typer.Option(help="Most training steps.", min=1, show_default="the model's")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 7,
    ids_only: Annotated[bool, typer.Option("--ids-only", help="Leave out the side features of items.")] = False,
    switches: Switches = None,
) -> None:
    """Measure HR@50 with fresh and with frozen capsules on a log replayed through Kafka."""
    chosen = apply_settings(preset(model), switches or [])
    training = replace(chosen.training, seed=seed, steps=steps or chosen.training.steps, valid_share=VALID_SHARE)
    chosen = replace(chosen, training=replace(training, test_share=0))
    interactions = read_behaviours(log)
    interactions = interactions.without_side_features() if ids_only else interactions
    print(interactions.describe())
    past, future = interactions.between(0, TRAINED_ON), interactions.between(TRAINED_ON, 1)
    if quick:
        future = future.between(0, min(1.0, QUICK_EVENTS / len(future.events)))
    with tempfile.TemporaryDirectory() as folder, RealKafka() as kafka:
        bundle = _make_bundle(past, chosen, Path(folder))
        cluster = Cluster(kafka.bootstrap_servers)
        settings = Settings(bootstrap_servers=kafka.bootstrap_servers, topic="freshness", home=Path(folder))
        with LmdbStore(settings.state) as store:
            updater = Updater(cluster, store, FixedServing(bundle, Extractor), settings)
            try:
                for records in _published(past, cluster, updater, "catching up"):
                    _apply(updater, records)
                counter = _HitCounter(past, bundle, store)
                for records in _published(future, cluster, updater, "judging"):
                    for some in _one_event_a_user(records):
                        counter.note(some)
                        _apply(updater, some)
            finally:
                updater.close()
    _report(model, counter.hits, len(future.events))


def _make_bundle(log: InteractionLog, chosen: Preset, folder: Path) -> Bundle:
    """Train, export and index."""
    checkpoint = train(log, chosen.model, chosen.training)
    return build_index(export(checkpoint, folder / "bundles"), "auto", HnswSettings())


def _published(log: InteractionLog, cluster: Cluster, updater: Updater, what: str) -> Iterator[list[ConsumerRecord]]:
    """Replay a log into the topic and yield it as it comes back, committed batch by batch."""
    left = replay(log, cluster, updater.settings.topic, updater.settings.group, speed=None)
    with tqdm(total=left, desc=what, unit="event") as bar:
        while left:
            records = updater.reader.poll()
            if not records:
                continue
            yield records
            updater.reader.commit(RecordBatch(records))
            left -= len(records)
            bar.update(len(records))


def _apply(updater: Updater, records: Sequence[ConsumerRecord]) -> None:
    """Decode, apply and write a batch, as the updater does before it commits."""
    events = updater.decode(RecordBatch(records)).events
    updater.users.write(updater.users.change(events, updater.extractor))


def _one_event_a_user(records: Iterable[ConsumerRecord]) -> list[list[ConsumerRecord]]:
    """Split a batch so that no part has two events of one user.

    A user's events stay in order.
    """
    rounds: list[list[ConsumerRecord]] = []
    seen: Counter[bytes] = Counter()
    for record in records:
        turn = seen[record.key]
        seen[record.key] += 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(record)
    return rounds


class _HitCounter:
    """A count of the events whose item was among the top 50 before they were applied."""

    def __init__(self, past: InteractionLog, bundle: Bundle, store: LmdbStore) -> None:
        vocabulary = build_vocabulary(past)
        sequences = build_sequences(past, vocabulary)
        split, length = split_users(sequences.user_ids, VALID_SHARE, 0), bundle.manifest.history_length
        cases = next_item_cases(sequences, split.valid, length, TUNING_CASES, seed=7)
        self.knn = tune_item_knn(sequences, split.train, len(vocabulary.item_ids), cases, length)
        self.recommender, self.rows, self.store = Recommender(bundle, store), bundle.rows, store
        self.popular = set(self.recommender.recommend_for(None, N).item_ids)
        self.frozen: dict[str, set[str]] = {}
        self.frozen_knn: dict[str, set[str]] = {}
        self.hits: Counter[str] = Counter()

    def note(self, records: list[ConsumerRecord]) -> None:
        """Count the hits of events of different users against the states stored now."""
        decoded = [decode(record.value, record.key) for record in records]
        events = [event for event in decoded if isinstance(event, Event)]
        for event, state in zip(events, self.store.get_many([event.user_id for event in events]), strict=True):
            self._note_event(event, state)

    def _note_event(self, event: Event, state: UserState | None) -> None:
        fresh, knn = self.by_capsules(state), self._by_knn(state)
        # What a user's first event of the replay finds is what was there at its start.
        frozen = self.frozen.setdefault(event.user_id, fresh)
        frozen_knn = self.frozen_knn.setdefault(event.user_id, knn)
        tops = {"fresh": fresh, "frozen": frozen, "popular": self.popular, "knn": knn, "knn_frozen": frozen_knn}
        self.hits.update(name for name, top in tops.items() if event.item_id in top)

    def by_capsules(self, state: UserState | None) -> set[str]:
        """Return the items that the recommender finds for a state."""
        return set(self.recommender.recommend_for(state, N).item_ids)

    def _by_knn(self, state: UserState | None) -> set[str]:
        known = [self.rows[item_id] for item_id in state.history.item_ids if item_id in self.rows] if state else []
        if not known:
            return self.popular
        return {self.recommender.bundle.item_ids[row] for row in self.knn.top_of(known, N).tolist()}


def _report(model: str, hits: Counter[str], events: int) -> None:
    """Print HR@50 of each way to serve."""
    hr50 = {name: 100 * hits[name] / events for name in ("fresh", "frozen", "popular", "knn", "knn_frozen")}
    rows = [
        (f"{model}, capsules as fresh as the last event", f"{hr50['fresh']:.1f}"),
        (f"{model}, capsules frozen at the start", f"{hr50['frozen']:.1f}"),
        ("most popular", f"{hr50['popular']:.1f}"),
        ("item-kNN, fresh", f"{hr50['knn']:.1f}"),
        ("item-kNN, frozen", f"{hr50['knn_frozen']:.1f}"),
    ]
    error = 100 * float(np.sqrt(0.25 / events))
    print(f"\nHR@50 in % over {events:,} events (standard error at most {error:.1f})\n")
    print(table(["", "HR@50"], rows))
    finish({"model": model, **{f"hr50_{name}": value for name, value in hr50.items()}, "events": events})
