"""Latency: a short real run in which every event counts, and how times are matched."""

import json
import time
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from benchmarks.harness.task import Polled, Stored
from benchmarks.speed import latency
from benchmarks.speed.latency import SentEvent, Trips
from model_export.bundle.bundle import Bundle
from model_export.data.simulator import SimulatedShop
from model_export.models.checkpoint import Checkpoint
from testbed.real_kafka import RealKafka

MS = 1_000_000


def sent(user_id: str, partition: int, offset: int, at_ms: int) -> SentEvent:
    place = SimpleNamespace(partition=partition, offset=offset)
    return SentEvent(user_id, at_ms * MS, future=SimpleNamespace(value=place))


def test_an_event_is_polled_where_it_stands() -> None:
    trip = Trips([sent("ann", 0, 5, 10), sent("bob", 1, 5, 20)], [Polled(1, 5, 26 * MS), Polled(0, 5, 13 * MS)], [])
    assert trip.polled_ms().tolist() == [3, 6]


def test_an_event_is_stored_with_the_first_state_of_its_user_that_has_it() -> None:
    stored = [
        Stored("ann", 3, 11 * MS),
        Stored("bob", 9, 12 * MS),
        Stored("ann", 6, 15 * MS),  # with the events at 4 and 6
        Stored("ann", 7, 19 * MS),
    ]
    events = [sent("ann", 0, 4, 1), sent("ann", 0, 6, 2), sent("bob", 1, 9, 3), sent("ann", 0, 3, 0)]
    assert Trips(events, [], stored).stored_ms().tolist() == [14, 13, 9, 11]


def test_an_event_that_was_never_stored_is_an_error() -> None:
    with pytest.raises(OSError, match="offset 8 was never stored"):
        Trips([sent("ann", 0, 8, 1)], [], [Stored("ann", 7, 19 * MS), Stored("bob", 9, 19 * MS)]).stored_ms()


def test_events_are_sent_evenly(shop: SimulatedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    class Producer:
        def send(self, event: object) -> SimpleNamespace:
            now[0] += 0.03  # it takes a while
            return SimpleNamespace(add_callback=lambda call: call(None))

    clock = SimpleNamespace(
        monotonic=lambda: now[0],
        monotonic_ns=lambda: round(now[0] * 1e9),
        sleep=lambda seconds: now.__setitem__(0, now[0] + seconds),
    )
    monkeypatch.setattr(latency, "time", clock)
    events = latency.send_evenly(shop.log.between(0, 0.001), Producer(), 10, "")  # type: ignore[arg-type]
    assert [one.at_ns / MS for one in events] == pytest.approx([100 * number for number in range(len(events))])
    assert [one.acknowledged_ns - one.at_ns for one in events] == pytest.approx([30 * MS] * len(events))
    assert [one.user_id for one in events] == shop.log.events.user_id.tolist()[: len(events)]


def test_the_command_ends_with_its_figures(
    real_kafka: RealKafka,
    shop: SimulatedShop,
    checkpoint: Checkpoint,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(latency, "RealKafka", lambda: nullcontext(real_kafka))
    monkeypatch.setattr(latency, "synthetic", lambda events, _: shop.log.between(0, events / len(shop.log.events)))
    monkeypatch.setattr(latency, "trained_for_a_moment", lambda *_: (checkpoint, bundle))
    started = time.monotonic()
    latency.main(rate=50, seconds=2)
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(figures) == {"p50_ms", "p99_ms", "p50_over_kafka", "p99_over_kafka", "rate"} | {
        f"{way}_p{part}_ms" for way in ("producer", "polled", "kafka") for part in (50, 99)
    }
    assert all(value > 0 for value in figures.values())
    for part in ("p50", "p99"):
        over = figures[f"{part}_ms"] / figures[f"kafka_{part}_ms"]
        assert figures[f"{part}_over_kafka"] == pytest.approx(over, rel=0.01)  # figures are rounded
    assert figures["polled_p50_ms"] < figures["p50_ms"] <= figures["p99_ms"]
    assert figures["p99_ms"] < 1000 * (time.monotonic() - started)
