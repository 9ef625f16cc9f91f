"""The loop that one would write first instead of Mindstream: kafka-python, state in SQLite, the model in torch.

An event is parsed by json.loads and put to the user's last 50 items in SQLite, the capsules are computed by one call
of the same weights in torch (histories are not padded), all is written back, and SQLite commits, so that it is on disk
and others see it. Offsets are committed by kafka-python itself every five seconds. One who has seen that commits cost
most of the time would commit once for all events of a poll (up to 500); that is measured as well.

(Quix Streams 3.28 would be a peer as well. It wants other versions of pydantic than ours and cannot be installed beside
it.)
"""

import json
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord
from tqdm import tqdm

from model_export.bundle.time_gaps import time_gaps
from model_export.models.checkpoint import Checkpoint

__all__ = ["KEPT", "STANDS_STILL_MS", "Peer", "peer_events_per_s"]

KEPT = 50
TABLE = "CREATE TABLE IF NOT EXISTS users (user_id TEXT PRIMARY KEY, behaviours TEXT, capsules BLOB)"
FIND = "SELECT behaviours FROM users WHERE user_id = ?"
WRITE = "INSERT OR REPLACE INTO users VALUES (?, ?, ?)"
STANDS_STILL_MS = 10_000


class Peer:
    """The peer's way with a record: user state in SQLite, capsules by torch."""

    def __init__(self, checkpoint: Checkpoint, path: Path) -> None:
        self.model = checkpoint.model.eval()
        self.rows = {item_id: row for row, item_id in enumerate(checkpoint.vocabulary.item_ids)}
        with torch.inference_mode():
            self.items = self.model.item_table()
        self.database = sqlite3.connect(path)
        self.database.execute(TABLE)

    def apply(self, record: ConsumerRecord) -> None:
        """Apply one event."""
        event = json.loads(record.value)
        behaviours = [*self.behaviours(event["user_id"]), (event["item_id"], event["event_time_ms"])][-KEPT:]
        capsules = self.capsules(behaviours)
        self.database.execute(WRITE, (event["user_id"], json.dumps(behaviours), capsules.tobytes()))

    def behaviours(self, user_id: str) -> list[tuple[str, int]]:
        """Return a user's history: item and time of each behaviour."""
        found = self.database.execute(FIND, (user_id,)).fetchone()
        return json.loads(found[0]) if found else []

    def capsules(self, behaviours: Iterable[tuple[str, int]]) -> np.ndarray:
        """Compute the capsules of a history, float32 (K, d)."""
        known = [(self.rows[item_id], time_ms) for item_id, time_ms in behaviours if item_id in self.rows]
        rows, times_ms = np.array(known).T[:, None]
        mask = np.ones(rows.shape, dtype=bool)
        history, gaps = torch.from_numpy(rows), torch.from_numpy(time_gaps(times_ms, mask))
        with torch.inference_mode():
            logits, nobody = self.model.routing_logits[history].transpose(1, 2), torch.zeros(1, 0, dtype=torch.int64)
            vectors, _, _ = self.model.extract(self.items[history], torch.from_numpy(mask), logits, nobody, gaps)
        return vectors[0].numpy()

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def peer_events_per_s(
    checkpoint: Checkpoint,
    path: Path,
    bootstrap_servers: str,
    topic: str,
    events: int,
    seconds: float,
    commit_each: bool,
) -> float:
    """Measure the peer's events a second on the first events of a topic.

    At most so many and for at most so many seconds.

    Parameters
    ----------
    commit_each : whether SQLite commits each event, or all of a poll together.

    Raises
    ------
    OSError
        If the topic has fewer events.
    """
    options = {"group_id": f"{topic}-{path.stem}", "auto_offset_reset": "earliest"}
    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap_servers, **options)
    with closing(consumer), closing(Peer(checkpoint, path)) as peer, tqdm(desc="the peer", unit="event") as bar:
        done, started = 0, 0.0
        while done < events and (not started or time.perf_counter() - started < seconds):
            polled = consumer.poll(timeout_ms=STANDS_STILL_MS)
            if not polled:
                raise OSError(f"the peer read {done:,} events of {topic}, and no more came")
            started = started or time.perf_counter()
            for record in [record for records in polled.values() for record in records]:
                peer.apply(record)
                if commit_each:
                    peer.database.commit()
                done += 1
                bar.update()
            peer.database.commit()
        took = time.perf_counter() - started
        return done / took
