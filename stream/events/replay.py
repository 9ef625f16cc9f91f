"""Replaying an interaction log into the topic: at its own pace, a multiple of it, or as fast as it goes."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pandas as pd
from kafka import TopicPartition
from kafka.errors import KafkaError
from tqdm import tqdm

from model_export.data.interactions import InteractionLog
from stream.events.event import Event
from stream.events.producer import EventProducer
from stream.kafka.cluster import Cluster

__all__ = ["ANSWER_MS", "Brake", "event_times", "events_of", "profiles_of", "replay"]

AHEAD_AT_MOST = 10_000  # events; the embedded broker holds about 25,000 a partition before it drops the oldest
CHECK_EVERY = 1_000
BLOCK = 10_000  # events that are Python objects at a time
ORDER_FROM_MS = 946_684_800_000  # 2000-01-01: the stream takes no events of 1970, and clicks of today come later
ANSWER_MS = 5_000


def events_of(log: InteractionLog) -> Iterator[Event]:
    """Yield the log's events in time order; a user's first one carries the profile."""
    profiles = profiles_of(log.profiles)
    for start in range(0, len(log.events), BLOCK):
        block = log.events.iloc[start : start + BLOCK]
        times = event_times(block.event_time_ms, log.timed)
        columns = [block.user_id.tolist(), block.item_id.tolist(), times, block.event_type.tolist()]
        for user_id, item_id, event_time_ms, event_type in zip(*columns, strict=True):
            yield Event(user_id, item_id, event_time_ms, event_type, profile=profiles.pop(user_id, None))


def event_times(times: pd.Series, timed: bool) -> list[int]:
    """Return the times of events (Unix milliseconds).

    Positions of a log without times become seconds from 2000-01-01 on.
    """
    return times.tolist() if timed else (ORDER_FROM_MS + 1_000 * times).tolist()


def profiles_of(profiles: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return user_id -> profile, without users of whom nothing is known."""
    fields = [str(name) for name in profiles.columns if name != "user_id"]
    if not fields:
        return {}
    rows = profiles[fields].to_dict("records")
    known = [{str(name): value for name, value in row.items() if value} for row in rows]
    return {user_id: profile for user_id, profile in zip(profiles.user_id, known, strict=True) if profile}


def replay(
    log: InteractionLog,
    cluster: Cluster,
    topic: str,
    group: str,
    speed: float | None,
    progress: bool = True,
    stopped: Callable[[int], None] | None = None,
) -> int:
    """Publish a log and return how many events were published.

    Parameters
    ----------
    group : the updaters' consumer group; on the embedded broker, which forgets what is too far behind, the replay waits
        for it.
    speed : multiple of the log's own pace; None is as fast as the broker takes them.
    stopped : told how many were published where Ctrl-C ends it.
    """
    total = len(log.events)
    start_ms, start = (int(log.events.event_time_ms.iloc[0]) if total else 0), time.monotonic()
    with EventProducer(cluster, topic) as producer, _brake_for(cluster, topic, group) as brake:
        published = 0
        try:
            with tqdm(events_of(log), total=total, desc="replaying", unit="event", disable=not progress) as bar:
                for event in bar:
                    if speed is not None:
                        due = start + (event.event_time_ms - start_ms) / 1000 / speed
                        time.sleep(max(0.0, due - time.monotonic()))
                    producer.send(event)
                    published += 1
                    if brake and published % CHECK_EVERY == 0:
                        producer.flush()
                        brake.wait(bar)
        except KeyboardInterrupt:
            producer.flush()
            if stopped is not None:
                stopped(published)
            raise
        producer.flush()
    return published


def _brake_for(cluster: Cluster, topic: str, group: str) -> AbstractContextManager["Brake | None"]:
    """Make a Brake for the embedded broker; a real Kafka keeps what is not read yet."""
    return Brake(cluster, topic, group) if cluster.life else nullcontext()


class Brake:
    """A brake that keeps a producer from running too far ahead of a consumer group."""

    def __init__(self, cluster: Cluster, topic: str, group: str) -> None:
        self.consumer = cluster.consumer(group)  # never subscribes, so it is no member of the group
        self.topic = topic

    def lag(self) -> int:
        """Return the number of events on the topic that the group has not committed yet."""
        try:
            partitions = [TopicPartition(self.topic, p) for p in self.consumer.partitions_for_topic(self.topic)]
            ends = self.consumer.end_offsets(partitions, timeout_ms=ANSWER_MS)
            read = [self.consumer.committed(one, timeout_ms=ANSWER_MS) or 0 for one in partitions]
            return int(sum(ends.values()) - sum(read))
        except KafkaError as error:
            raise OSError(f"the broker does not say how far {self.topic} was read: {error}") from error

    def wait(self, bar: Any) -> None:
        """Return once the group is close behind."""
        while (lag := self.lag()) > AHEAD_AT_MOST:
            bar.set_postfix_str(f"waiting for an updater (mindstream stream run), {lag:,} events behind")
            time.sleep(0.05)
        bar.set_postfix_str("")

    def __enter__(self) -> "Brake":
        return self

    def __exit__(self, *_: object) -> None:
        self.consumer.close()
