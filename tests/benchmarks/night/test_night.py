"""The benchmark of a night: what its parts count, and a small night on a real Kafka, by the commands themselves."""

import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.night.calls import MAPPING, calls_of, records_of, told_by, told_in
from benchmarks.night.command import figures_of
from benchmarks.night.days import DAY_MS, days_of
from benchmarks.night.night import night_of
from benchmarks.night.verdict import archive_faults, users_of_next_day
from mindstream.mapping import load_mapping
from model_export.bundle.bundle import Bundle
from model_export.bundle.registry import Registry
from model_export.data.interactions import ITEM_COLUMNS, InteractionLog
from model_export.data.simulator import SimulatedShop
from model_export.readers import read_log
from stream.events.event import Event
from stream.events.mapped.decoder import MappedDecoder
from testbed.real_kafka import RealKafka

MONDAY_MS = 1_780_272_000_000
SMALL = ["--dim", "16", "--num-interests", "3", "--history-length", "20", "--batch-size", "64", "--steps", "5"]


def log_of(*rows: tuple[str, str, str, float]) -> InteractionLog:
    """A log of (user, item, event type, days since Monday), in order."""
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "event_type", "event_time_ms"])
    events["event_time_ms"] = (MONDAY_MS + DAY_MS * events.event_time_ms).astype("int64")
    items = pd.DataFrame({"item_id": sorted(set(events.item_id))}, dtype="str")
    items = items.assign(title=items.item_id, category="", price=np.nan)[ITEM_COLUMNS]
    return InteractionLog(events, items, pd.DataFrame({"user_id": sorted(set(events.user_id))}, dtype="str"), "a log")


def week() -> InteractionLog:
    """Three days: ann and ben come back on the last, and cem is new then."""
    return log_of(
        ("ann", "mug", "click", 0.1),
        ("ben", "cup", "click", 0.2),
        ("ann", "wok", "buy", 1.1),
        ("ben", "pan", "click", 1.2),
        ("ann", "pan", "buy", 1.3),
        ("ben", "mug", "cart", 2.1),
        ("cem", "mug", "click", 2.2),
        ("ann", "tent", "click", 2.3),
    )


def test_a_log_is_cut_before_its_last_day_and_so_many_events_before() -> None:
    assert datetime.fromtimestamp(MONDAY_MS / 1_000, UTC).strftime("%A %H:%M") == "Monday 00:00"
    days = days_of(week(), 3)
    assert [len(part.events) for part in (days.known, days.published, days.following)] == [2, 3, 3]
    assert days.following_ms == MONDAY_MS + 2 * DAY_MS
    with pytest.raises(ValueError, match="a log has 5 events before its last day; of these 5 are to be published"):
        days_of(week(), 5)


def test_the_updaters_decoder_reads_the_calls_as_they_are_told(tmp_path: Path) -> None:
    calls = calls_of(days_of(week(), 3).published)
    told = told_by(calls)
    order_ms = MONDAY_MS + round(1.3 * DAY_MS)
    assert told == Counter(
        {
            ("ben", "pan", "Product Viewed", MONDAY_MS + round(1.2 * DAY_MS)): 1,
            ("ann", "wok", "Order Completed", order_ms): 1,  # one order of two products
            ("ann", "pan", "Order Completed", order_ms): 1,
        }
    )
    mapping = tmp_path / "segment.toml"
    mapping.write_text(MAPPING)
    decoder = MappedDecoder(load_mapping(mapping))
    events = [one for value in records_of(calls) for one in decoder.decode(value, None, order_ms) if value]
    assert told == Counter(
        (one.user_id, one.item_id, one.event_type, one.event_time_ms) for one in events if isinstance(one, Event)
    )
    assert len({one.event_id for one in events if isinstance(one, Event)}) == 3
    assert sum(decoder.left_out.values()) == 1  # the call of page


def test_who_came_back_on_the_next_day_is_asked() -> None:
    log = week()
    users = users_of_next_day(log, days_of(log, 3), 2)
    assert users.histories == [["wok", "pan"], ["cup", "pan"]]  # of ann the last two
    assert users.labels.tolist() == [[users.rows["tent"]], [users.rows["mug"]]]


@pytest.mark.slow
def test_a_night_loses_and_doubles_nothing_and_the_new_model_takes_over(
    real_kafka: RealKafka, shop: SimulatedShop, bundle: Bundle, tmp_path: Path
) -> None:
    log = shop.log.between(0.7, 1)
    days = days_of(log, 1_000)
    with night_of(real_kafka, bundle, days, tmp_path, [*SMALL, "--max-drop", "1"]) as night:
        told = told_by(night.calls) + told_in(days.known)
        assert night.published, night.said
        assert night.after is not None
        assert Registry(night.home.settings.models).current_version() == night.after.version != bundle.version
        assert f"; {night.after.manifest.items:,} items, {told.total():,} interactions; " in night.said
        assert told_in(read_log(night.archive)) == told  # what was there before, and what came in Segment's shape
        figures = figures_of(night, bundle, log, days)
        wanted = {"events": 1_000, "applied": told.total(), "lost": 0, "doubled": 0, "of_old_model": 0}
        assert {name: figures[name] for name in wanted} == wanted
        assert 0 < figures["hr50_after"] <= 100
        [file, *_] = sorted(night.archive.glob("day=*/*.parquet"))
        rows = len(pd.read_parquet(file))
        shutil.copy(file, file.with_name("again.parquet"))
        assert archive_faults(told, night.archive) == {"lost": 0, "doubled": rows}
        file.unlink()
        file.with_name("again.parquet").unlink()
        assert archive_faults(told, night.archive) == {"lost": rows, "doubled": 0}
