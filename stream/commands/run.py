"""The command `run`: an updater as a process of its own."""

import logging
import threading
from contextlib import suppress
from typing import Annotated

import typer

from mindstream import settings
from mindstream.console import stop_on_signals
from mindstream.counted import counted
from mindstream.tracing.opening import open_tracing
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.homes.open_registry import open_registry
from model_export.bundle.serving import Serving
from model_export.bundle.trained_rule import warn_of_another_rule
from stream.commands.starting.waiting import StoppedError, Waiting
from stream.events.decoders import decoder_of
from stream.kafka.connect import any_cluster
from stream.kafka.group.start import parse_start
from stream.kafka.topics import warn_of_short_markers
from stream.monitoring.health import Health
from stream.monitoring.metrics import Metrics
from stream.monitoring.server import monitor
from stream.store.contract import Store
from stream.store.open_store import open_store
from stream.updater.batch_traces import BatchTraces
from stream.updater.first_start import check_first_start
from stream.updater.updater import Updater, collect_less_garbage, take_turns_sooner

__all__ = ["REMOVE_S", "remove_idle", "run"]

log = logging.getLogger("stream")

REPORT_S = 10.0
REMOVE_S = 3600.0


def run(
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for a Kafka or Redis that does not answer at the start.")
    ] = True,
    start_at: Annotated[
        str | None,
        typer.Option(
            help='Where to begin a topic that is new to the group: "beginning", or a time such as 2026-01-31T12:00:00Z.'
        ),
    ] = None,
) -> None:
    """Consume events and keep every user's capsules fresh, until Ctrl-C or SIGTERM.

    A model that is published meanwhile is taken over, and the stored capsules
    are brought to it between events.
    """
    start_ms = parse_start(start_at)
    for said in decoder_of(settings.load()).described():
        log.info("%s", said)
    stop = stop_on_signals()
    collect_less_garbage()
    take_turns_sooner()
    metrics, health = Metrics(), Health()
    registry = open_registry(settings.load().published, settings.load().cache)
    serving = Serving(registry, _warm_extractor, lambda *_: metrics.bundle_refused())
    waiting = Waiting(stop, health, wait)

    def connected() -> Updater:
        """Make the updater, unless it has to be said first where it begins."""
        if start_ms is None:
            check_first_start(cluster, store, settings.load())
        traces = None if tracing is None else BatchTraces(tracing)
        made = Updater(cluster, store, serving, settings.load(), metrics, health, traces, start_ms or 0)
        if traces is not None:
            traces.life = made.reader.life.id
        return made

    with (
        suppress(StoppedError),
        monitor(settings.load(), metrics, health),
        any_cluster() as cluster,
        waiting.until_made(lambda: open_store(settings.load())) as store,
        serving,
        open_tracing(settings.load(), "updater") as tracing,
    ):
        updater = waiting.until_made(connected)
        log.info("model %s; reading %s at %s", serving.version, settings.load().topic, cluster.bootstrap_servers)
        warn_of_short_markers(cluster, settings.load())
        threading.Thread(target=_report, args=(updater, stop), daemon=True).start()
        threading.Thread(target=remove_idle, args=(store, stop), daemon=True).start()
        updater.run(stop)
        log.info("stopped cleanly: %s", dict(updater.counts))


def _warm_extractor(bundle: Bundle) -> Extractor:
    """Make a bundle's extractor, and run it once.

    So the first batch need not wait for what a first run prepares.
    """
    warn_of_another_rule(bundle, settings.load().rule)
    extractor = Extractor(bundle)
    extractor.encode([bundle.item_ids[: extractor.length]])
    return extractor


def _report(updater: Updater, stop: threading.Event) -> None:
    """Log the counts now and then, when they have changed."""
    before: dict[str, int] = {}
    while not stop.wait(REPORT_S):
        if dict(updater.counts) != before:
            before = dict(updater.counts)
            log.info("%s", ", ".join(f"{count:,} {name}" for name, count in before.items()))
            for reason, count in updater.decoder.left_out.items():
                log.info("of the ignored: %d %s", count, reason)


def remove_idle(store: Store, stop: threading.Event) -> None:
    """Remove users whose time is over, now and then; a failure is tried again later."""
    while not stop.wait(REMOVE_S):
        try:
            if removed := store.remove_expired():
                log.info("removed %s whose time was over", counted(removed, "user"))
        except (OSError, ValueError) as error:
            log.warning("users whose time is over stay for now: %s", error)
