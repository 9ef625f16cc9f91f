"""A verdict on a store: each event on the topic is in it once, and it is as an undisturbed updater makes it."""

import tempfile
import uuid
from contextlib import closing
from pathlib import Path

from benchmarks.scenario.comparison import (
    behaviours_in,
    behaviours_of,
    difference,
    states_of,
    stored_bytes,
    users_differing,
)
from benchmarks.scenario.home import Home
from model_export.bundle.extractor import Extractor
from model_export.bundle.serving import FixedServing
from stream.events.event import BadEventError, Event, decode
from stream.store.lmdb_store import LmdbStore
from stream.updater.updater import Updater
from testbed.stream_process import wait_until

__all__ = ["events_on", "undisturbed_bytes", "verdict"]

UNDISTURBED_WITHIN_S = 900.0


def verdict(
    home: Home, acknowledged: int = 0, undisturbed: bool = True, published: list[Event] | None = None
) -> dict[str, int]:
    """Count what is lost, applied twice, or not as an undisturbed updater makes it.

    Parameters
    ----------
    acknowledged : what the broker has said that it has; fewer on the topic are lost as well.
    undisturbed : whether to apply the topic once more for comparison.
    published : the events that have to be applied, where the topic cannot be read without an updater's reader.
    """
    records = home.published() if published is not None else len(home.records())
    published = events_on(home) if published is None else published
    found = difference(behaviours_of(published), behaviours_in(states_of(home.store)))
    found["lost"] += max(0, acknowledged - len(published))
    if undisturbed:
        found["users_differing"] = users_differing(stored_bytes(home.store), undisturbed_bytes(home, records))
    return found


def events_on(home: Home) -> list[Event]:
    """Read the events on the topic, without an updater's reader."""
    found = []
    for record in home.records():
        try:
            event = decode(record.value, record.key, record.timestamp)
        except BadEventError:
            continue
        assert isinstance(event, Event), "no row forgets a user"
        found.append(event)
    return found


def undisturbed_bytes(home: Home, records: int) -> dict[str, bytes]:
    """Return user_id -> state, as another group makes them in one go.

    Dead letters are written again.
    """
    settings = home.settings.model_copy(update={"group": f"{home.settings.topic}-{uuid.uuid4().hex}"})
    with (
        tempfile.TemporaryDirectory() as folder,
        LmdbStore(Path(folder)) as store,
        closing(Updater(home.cluster, store, FixedServing(home.bundle, Extractor), settings)) as updater,
    ):

        def done() -> bool:
            updater.step()
            return updater.counts["applied"] + updater.counts["dead_letter"] == records

        wait_until(done, f"the undisturbed updater handles {records} records", UNDISTURBED_WITHIN_S)
        return stored_bytes(store)
