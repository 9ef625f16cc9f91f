"""Train again on the log and what has happened since, and publish; the machine room runs it beside the demo."""

import logging
import os
from dataclasses import replace

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
from stream.dead_letters.topic_reader import DeadLetterTopic
from stream.events.decoders import decoder_of
from stream.events.event import BadEventError, Event
from stream.kafka.connect import reachable_cluster
from stream.kafka.fetch.unreadable_record import UnreadableRecord

__all__ = ["with_events"]

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
    known = read_log(log_file(chosen))
    events = _events_so_far(chosen)
    log.info("%d events since the log", len(events))
    behaviours = behaviours_of(with_events(known, events), chosen.rule)
    fitted = plan_for(behaviours, shown_model(chosen), None).chosen
    publish(behaviours, fitted, SECONDS, chosen, chosen.models)


def _events_so_far(chosen: settings.Settings) -> list[Event]:
    """Read the events on the topic."""
    found: list[Event] = []
    decoder = decoder_of(chosen)
    with DeadLetterTopic(reachable_cluster(), chosen.topic) as topic:  # reads any topic from its beginning to its end
        for partition, (begin, end) in topic.bounds.items():
            for record in topic.records(partition, begin, end):
                if isinstance(record, UnreadableRecord):
                    continue
                try:
                    events = decoder.decode(record.value, record.key, record.timestamp)
                except BadEventError:
                    continue
                # Of all types: the rule is applied to them and the log's together.
                found += [event for event in events if isinstance(event, Event)]
    return found


def with_events(known: InteractionLog, events: list[Event]) -> InteractionLog:
    """Return the log with more events, without those of items that it does not know."""
    items = set(known.items.item_id)
    rows = [(one.user_id, one.item_id, one.event_type, one.event_time_ms) for one in events if one.item_id in items]
    new = pd.DataFrame(rows, columns=EVENT_COLUMNS).astype(dict.fromkeys(CODED_COLUMNS, "str"))
    both = {name: union_categoricals([known.events[name], new[name].astype("category")]) for name in CODED_COLUMNS}
    times = np.concatenate([known.events.event_time_ms, new.event_time_ms.astype("int64")])
    joined = pd.DataFrame(both | {"event_time_ms": times})
    joined = joined.sort_values("event_time_ms", kind="stable", ignore_index=True)
    users = pd.DataFrame({"user_id": joined.user_id.cat.categories.sort_values()})
    profiles = users.merge(known.profiles, on="user_id", how="left").fillna("")
    return replace(known, events=joined, profiles=profiles)


if __name__ == "__main__":
    console.run(app)
