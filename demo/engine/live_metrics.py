"""The machine room's figures: events a second, lag, dead letters, and how long clicks took."""

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from demo.engine.offsets import TopicProgress

__all__ = ["Beat", "Pulse"]

EVERY_S = 0.9  # several tabs look each second; the broker is asked once
KEPT = 180  # looks
LATENCIES = 2_000
WINDOW_S = 60
BUCKET_S = 5


class _Source(Protocol):
    """Whoever knows how far the updaters are."""

    def read(self) -> TopicProgress: ...


@dataclass(frozen=True)
class Beat:
    """One look: when (time.time()), what the broker said, and events a second since the look before."""

    at: float
    progress: TopicProgress
    per_second: float


class Pulse:
    """The last minutes, for all tabs of the process."""

    def __init__(self, source: _Source) -> None:
        self.source = source
        self.beats: deque[Beat] = deque(maxlen=KEPT)
        self.latencies: deque[tuple[float, float]] = deque(maxlen=LATENCIES)  # (time.time(), ms)
        self.lock = threading.Lock()

    def took(self, latency_ms: float) -> None:
        """Note that a click has become recommendations."""
        self.latencies.append((time.time(), latency_ms))

    def look(self) -> Beat:
        """Return the present figures; the broker is not asked again at once."""
        with self.lock:
            now = time.time()
            last = self.beats[-1] if self.beats else None
            if last and now - last.at < EVERY_S:
                return last
            progress = self.source.read()
            done = progress.done - last.progress.done if last else 0
            self.beats.append(Beat(now, progress, max(0, done) / (now - last.at) if last else 0.0))
            return self.beats[-1]

    def rates(self) -> pd.DataFrame:
        """Return time, events a second and lag of the looks that are kept."""
        beats = list(self.beats)
        return pd.DataFrame(
            {
                "time": _times([beat.at for beat in beats]),
                "per_second": [beat.per_second for beat in beats],
                "lag": [beat.progress.lag for beat in beats],
            }
        )

    def quantiles(self, now: float | None = None) -> dict[str, float]:
        """Return p50 and p99 in ms of the last minute; empty if nobody clicked."""
        since = (now or time.time()) - WINDOW_S
        recent = [ms for at, ms in list(self.latencies) if at >= since]
        return {"p50": _quantile(recent, 50), "p99": _quantile(recent, 99)} if recent else {}

    def latency_table(self) -> pd.DataFrame:
        """Return time, quantile and ms, for every five seconds in which somebody clicked."""
        found = pd.DataFrame(list(self.latencies), columns=["at", "ms"])
        buckets = found.groupby(found["at"] // BUCKET_S * BUCKET_S)["ms"]
        rows = [(at, f"p{percent}", _quantile(some.tolist(), percent)) for at, some in buckets for percent in (50, 99)]
        table = pd.DataFrame(rows, columns=["at", "quantile", "ms"])
        return table.assign(time=_times(table["at"].tolist()))


def _quantile(values: list[float], percent: int) -> float:
    """Return a percentile of some values."""
    return float(np.percentile(values, percent))


def _times(seconds: list[float]) -> pd.Series:
    """Return Unix seconds as charts want them."""
    return pd.to_datetime(pd.Series(seconds, dtype=float), unit="s", utc=True)
