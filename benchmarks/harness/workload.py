"""The events of a benchmark, and a model that knows their items."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from confluent_kafka import Producer
from kafka.errors import KafkaError
from tqdm import tqdm

from model_export.bundle.bundle import Bundle
from model_export.data.interactions import InteractionLog
from model_export.export.bundle_writer import export
from model_export.models.checkpoint import Checkpoint
from model_export.models.presets import DEFAULT, preset
from model_export.rankers.ranked_checkpoint import RankedCheckpoint, new_ranker
from model_export.rankers.ranker_config import ranker_preset
from model_export.ranking.ranker_training import RankerTraining
from model_export.training.train import train
from stream.events.event import Event, encode
from stream.events.replay import events_of
from stream.kafka.cluster import Cluster

__all__ = [
    "FIRST_MS",
    "ITEMS",
    "STEPS",
    "create_topic",
    "publish",
    "stored_behaviours",
    "synthetic",
    "trained_for_a_moment",
]

ITEMS = 10_000
ZIPF = 1.0  # the item of rank r is taken in proportion to r ** -ZIPF
FIRST_MS = 1_720_000_000_000
TRAINED_ON, STEPS, BATCH = 50_000, 3, 32  # events, steps on them, and examples of a step
IN_FLIGHT = 100_000
WITHIN_S = 60.0


def synthetic(events: int, users: int, seed: int = 7) -> InteractionLog:
    """Make clicks a millisecond apart, of users who are all alike.

    Of the items few are popular.
    """
    rng = np.random.default_rng(seed)
    shares = np.arange(1, ITEMS + 1) ** -ZIPF
    item_ids = np.array([f"item-{number:05}" for number in range(ITEMS)])
    user_ids = np.array([f"user-{number:07}" for number in range(users)])
    columns = {
        "user_id": user_ids[rng.integers(users, size=events)],
        "item_id": rng.permutation(item_ids)[rng.choice(ITEMS, size=events, p=shares / shares.sum())],
        "event_type": np.full(events, "click"),
    }
    frame = pd.DataFrame(columns, dtype="str").assign(event_time_ms=FIRST_MS + np.arange(events))
    items = pd.DataFrame({"item_id": item_ids, "title": item_ids, "category": ""}, dtype="str").assign(price=np.nan)
    profiles = pd.DataFrame({"user_id": np.unique(frame.user_id)}, dtype="str")
    return InteractionLog(frame, items, profiles, f"{events:,} synthetic events")


def trained_for_a_moment(
    log: InteractionLog, folder: Path, ranker: str | None = None, **changed: Any
) -> tuple[Checkpoint, Bundle]:
    """Train the default model for a moment, on all items of a log.

    What its weights are makes no difference to the time.

    Parameters
    ----------
    ranker : name of a ranker that goes with it, with the weights that it begins with; None: no ranker.
    changed : fields of the model's ModelConfig.
    """
    chosen = preset(DEFAULT)
    first = replace(log.between(0, min(1.0, TRAINED_ON / len(log.events))), items=log.items)
    training = replace(chosen.training, steps=STEPS, batch_size=BATCH, valid_share=0, test_share=0)
    checkpoint = train(first, replace(chosen.model, **changed), training, progress=False)
    if ranker is not None:
        checkpoint = replace(checkpoint, ranker=_untrained(ranker, checkpoint))
    return checkpoint, export(checkpoint, folder, progress=False)


def _untrained(name: str, checkpoint: Checkpoint) -> RankedCheckpoint:
    """Make a ranker with the weights that it begins with."""
    model = new_ranker(ranker_preset(name).config, checkpoint.vocabulary)
    trend = np.zeros(len(checkpoint.vocabulary.item_ids), dtype=np.float32)
    return RankedCheckpoint(model.eval(), [1.0], trend, RankerTraining.candidates)


def create_topic(cluster: Cluster, topic: str, partitions: int) -> None:
    """Create a new topic.

    Raises
    ------
    OSError
        If it cannot be created, or is there already: its events would count too.
    """
    admin = cluster.admin()
    try:
        admin.create_topics({topic: {"num_partitions": partitions, "replication_factor": -1}}, wait_for_metadata=True)
    except KafkaError as error:
        raise OSError(f"topic {topic} on {cluster.bootstrap_servers} cannot be created: {error}") from error
    finally:
        admin.close()


def publish(
    log: InteractionLog, cluster: Cluster, topic: str, encode: Callable[[Event], tuple[bytes | None, bytes]] = encode
) -> None:
    """Publish a log as fast as it goes, partitioned as kafka-python would.

    Parameters
    ----------
    encode : key and value of the record of an event.

    Raises
    ------
    OSError
        If the broker does not take an event.
    """
    refused: list[object] = []
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "partitioner": "murmur2_random"})
    for number, event in enumerate(tqdm(events_of(log), total=len(log.events), desc="publishing", unit="event")):
        key, value = encode(event)
        producer.produce(topic, value, key, on_delivery=lambda error, _: refused.append(error) if error else None)
        if number % 1_000 == 0:
            while len(producer) > IN_FLIGHT / 2:
                producer.poll(0.05)
    left = producer.flush(WITHIN_S)
    if left or refused:
        raise OSError(f"{left + len(refused)} events were not accepted by {topic}: {refused[:1] or 'no answer'}")


def stored_behaviours(counts: Iterable[int], most: int) -> int:
    """Return how many behaviours a store keeps, of users with so many events.

    At most `most` of each.
    """
    return sum(min(count, most) for count in counts)
