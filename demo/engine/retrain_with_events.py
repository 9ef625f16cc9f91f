"""Train again on the log and what has happened since, and publish; the machine room runs it beside the demo.

It goes the way of every retrain: the topic is archived first, and the archive is read. The log that the demo began
with is not on the topic, of which the embedded broker keeps too little. So the archive holds what has happened since,
and the behaviours by which a visitor came in as somebody of the log, which the log has already.
"""

import logging
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from pandas.api.types import union_categoricals

from demo.engine.paths import log_file
from demo.engine.prepare import publish, shown_model
from demo.training.plan import plan_for
from mindstream import console, settings
from model_export.commands.options import set_threads
from model_export.data.behaviours import behaviours_of
from model_export.data.interactions import CODED_COLUMNS, EVENT_COLUMNS, InteractionLog
from model_export.readers import read_log
from stream.archive.archive import Archive
from stream.archive.archiver import Pace
from stream.archive.metrics import ArchiveMetrics
from stream.archive.open_archiver import open_archiver
from stream.events.decoders import decoder_of
from stream.events.replay import event_times
from stream.monitoring.health import Health

__all__ = ["archive_topic", "events_in", "with_events"]

log = logging.getLogger("demo.engine.retrain_with_events")

SECONDS = 15.0  # of training; the page is being watched
NICE = 10  # what is served comes first

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
def main() -> None:
    """Train again on the log and all that has happened since, and publish."""
    os.nice(NICE)
    set_threads(1)
    chosen = settings.load()
    archive_topic(chosen)
    known = read_log(log_file(chosen))
    both = with_events(known, events_in(chosen.archive))
    behaviours = behaviours_of(both, chosen.rule)
    fitted = plan_for(behaviours, shown_model(chosen), None).chosen
    publish(behaviours, fitted, SECONDS, chosen, chosen.published)


def archive_topic(chosen: settings.Settings) -> None:
    """Archive what is on the topic now, as `mindstream stream archive --once` does.

    Raises
    ------
    OSError, ValueError
        If the topic cannot be read, or the archive not be written.
    """
    archive = Archive(chosen.archive, chosen.topic, None, chosen.marker_days)
    archiver = open_archiver(archive, decoder_of(chosen), chosen, Pace(), ArchiveMetrics(), Health(who="archiver"))
    archiver.run_once(threading.Event())


def events_in(folder: Path) -> pd.DataFrame:
    """Read the events of all types in an archive, which may have none.

    Returns
    -------
    EVENT_COLUMNS, ids and types as text.
    """
    there = any(folder.glob("day=*/*.parquet"))
    found = read_log(folder).events[EVENT_COLUMNS] if there else pd.DataFrame([], columns=EVENT_COLUMNS)
    return found.astype(dict.fromkeys(CODED_COLUMNS, "str") | {"event_time_ms": "int64"})


def with_events(known: InteractionLog, since: pd.DataFrame) -> InteractionLog:
    """Return the log with the events that it has not yet, of the items that it knows.

    Parameters
    ----------
    since : EVENT_COLUMNS, in any order.
    """
    of_items = since[since.item_id.isin(known.items.item_id)]
    new = of_items[~_is_in(of_items, known)]
    log.info(
        "%d events since the log; left out: %d that it has already, %d of items that it does not know",
        *(len(new), len(of_items) - len(new), len(since) - len(of_items)),
    )
    both = {name: union_categoricals([known.events[name], new[name].astype("category")]) for name in CODED_COLUMNS}
    times = np.concatenate([known.events.event_time_ms, new.event_time_ms.astype("int64")])
    joined = pd.DataFrame(both | {"event_time_ms": times})
    joined = joined.sort_values("event_time_ms", kind="stable", ignore_index=True)
    users = pd.DataFrame({"user_id": joined.user_id.cat.categories.sort_values()})
    profiles = users.merge(known.profiles, on="user_id", how="left").fillna("")
    return replace(known, events=joined, profiles=profiles)


def _is_in(events: pd.DataFrame, known: InteractionLog) -> np.ndarray:
    """Tell which events are in a log as it is replayed: bool (E,).

    They have the user, item, type and time of one of its own.
    """
    theirs = known.events[known.events.user_id.isin(events.user_id)]
    times = event_times(theirs.event_time_ms, known.timed)
    names = {name: theirs[name].astype("str") for name in CODED_COLUMNS}
    there = pd.MultiIndex.from_frame(pd.DataFrame(names).assign(event_time_ms=times)[EVENT_COLUMNS])
    return pd.MultiIndex.from_frame(events[EVENT_COLUMNS]).isin(there)


if __name__ == "__main__":
    console.run(app)
