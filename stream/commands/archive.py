"""The command `archive`: the topic of events as a folder of Parquet by day."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from mindstream import settings
from mindstream.console import stop_on_signals
from stream.archive.archive import Archive
from stream.archive.archiver import Archiver, Pace
from stream.archive.metrics import ArchiveMetrics
from stream.archive.open_archiver import open_archiver
from stream.commands.starting.waiting import StoppedError, Waiting
from stream.events.decoders import decoder_of
from stream.kafka.group.start import parse_start
from stream.monitoring.health import Health
from stream.monitoring.server import monitor

__all__ = ["archive"]

log = logging.getLogger("stream")


def archive(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder of the archive; else $MINDSTREAM_ARCHIVE, or events/ in the home."),
    ] = None,
    every: Annotated[
        float, typer.Option(help="Seconds after which events are written to files.", min=0.1, max=3600)
    ] = Pace.every_s,
    rows: Annotated[
        int, typer.Option(help="Events that are written at once, if so many come sooner.", min=1, max=10_000_000)
    ] = Pace.events,
    keep: Annotated[
        int | None, typer.Option(help="Days that are kept before today; others are removed.", min=1, max=36_500)
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Archive what is on the topic now, and end.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for a Kafka or topic that is not there at the start.")
    ] = True,
    start_at: Annotated[
        str | None,
        typer.Option(
            help='Where to begin a topic that is new to the archive: "beginning", or a time such as '
            "2026-01-31T12:00:00Z."
        ),
    ] = None,
) -> None:
    """Write events to Parquet by day, each exactly once, until Ctrl-C or SIGTERM.

    `mindstream model retrain --log FOLDER` reads it, also meanwhile.
    """
    start_ms, configured = parse_start(start_at), settings.load()
    stop, metrics, health = stop_on_signals(), ArchiveMetrics(), Health(who="archiver")
    waiting = Waiting(stop, health, wait)
    kept = Archive(folder or configured.archive, configured.topic, keep, configured.marker_days)
    decoder = decoder_of(configured)

    def connected() -> Archiver:
        """Make the archiver, unless it has to be said first where it begins."""
        return open_archiver(kept, decoder, configured, Pace(every, rows), metrics, health, start_ms)

    with suppress(StoppedError), monitor(configured, metrics, health):
        archiver = waiting.until_made(connected)
        log.info("archiving %s to %s", configured.topic, kept.path)
        (archiver.run_once if once else archiver.run)(stop)
        log.info("stopped cleanly: %s", metrics.said)
