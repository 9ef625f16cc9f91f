"""Replaying a log: which events come out, without a Python object for every cell of the log at once."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from model_export.data.interactions import InteractionLog
from stream.events import replay
from stream.events.event import Event
from stream.events.replay import events_of


def log_of(events: int, users: int) -> InteractionLog:
    numbers = np.arange(events)
    frame = pd.DataFrame(
        {
            "user_id": pd.Categorical([f"u{number % users}" for number in numbers]),
            "item_id": pd.Categorical([f"i{number % 7}" for number in numbers]),
            "event_type": pd.Categorical(["impression" if number % 3 else "click" for number in numbers]),
            "event_time_ms": numbers,
        }
    )
    items = [f"i{number}" for number in range(7)]
    names = sorted({f"u{number % users}" for number in numbers})
    return InteractionLog(
        frame,
        pd.DataFrame({"item_id": items, "title": items, "category": "", "price": np.nan}),
        pd.DataFrame({"user_id": names, "city": ["York" if name == "u1" else "" for name in names]}),
        "log",
    )


@pytest.mark.parametrize("at_a_time", [1, 3, 10, 100])
def test_every_event_of_every_type_comes_out_once_and_in_order(at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "BLOCK", at_a_time)
    assert list(events_of(log_of(10, 4))) == [
        Event(
            f"u{number % 4}",
            f"i{number % 7}",
            number,
            "impression" if number % 3 else "click",
            profile={"city": "York"} if number == 1 else None,  # the first of u1, the only one with a profile
        )
        for number in range(10)
    ]
    assert {type(one.event_time_ms) for one in events_of(log_of(3, 2))} == {int}


def test_a_large_log_is_never_in_memory_as_objects() -> None:
    log = log_of(300_000, 1_000)
    tracemalloc.start()
    try:
        assert sum(1 for _ in events_of(log)) == 300_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12e6  # all strings of the log at once take 60 MB
