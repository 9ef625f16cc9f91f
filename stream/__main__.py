"""Keep interest capsules fresh: run | produce | replay | broker; ask and mend: show | forget | sweep | dlq."""

import logging
import signal
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from mindstream import console, settings
from model_export.bundle.extractor import Extractor
from model_export.bundle.format import Bundle
from model_export.bundle.registry import Registry
from model_export.bundle.serving import Serving
from stream.commands import dead_letters as dlq
from stream.commands import sweep as sweep_command
from stream.commands import users as one_user
from stream.events.event import Event, read_lines
from stream.events.producer import EventProducer
from stream.kafka.connect import any_cluster, reachable_cluster
from stream.kafka.embedded_broker import EmbeddedBroker
from stream.monitoring.health import Health
from stream.monitoring.metrics import Metrics
from stream.monitoring.server import monitor
from stream.store.open import open_store
from stream.store.protocol import Store
from stream.updater.updater import Updater, collect_less_garbage

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(one_user.app)
app.add_typer(sweep_command.app)
app.add_typer(dlq.app, name="dlq")
log = logging.getLogger("stream")

REPORT_S = 10.0
REMOVE_S = 3600.0


def stop_on_signals() -> threading.Event:
    """An event that is set by SIGTERM and Ctrl-C."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


@app.command()
def run() -> None:
    """Consume events and keep every user's capsules fresh, until Ctrl-C or SIGTERM.

    A model that is published meanwhile is taken over, and the stored capsules
    are brought to it between events.
    """
    stop = stop_on_signals()
    collect_less_garbage()
    metrics, health = Metrics(), Health()
    serving = Serving(Registry(settings.load().models), _warm_extractor, lambda *_: metrics.bundle_refused())
    with (
        monitor(settings.load(), metrics, health),
        any_cluster() as cluster,
        open_store(settings.load()) as store,
        serving,
    ):
        updater = Updater(cluster, store, serving, settings.load(), metrics, health)
        log.info("model %s; reading %s at %s", serving.version, settings.load().topic, cluster.bootstrap_servers)
        threading.Thread(target=_report, args=(updater, stop), daemon=True).start()
        threading.Thread(target=remove_idle, args=(store, stop), daemon=True).start()
        updater.run(stop)
        log.info("stopped cleanly: %s", dict(updater.counts))


def _warm_extractor(bundle: Bundle) -> Extractor:
    """A bundle's extractor that has run once, so that the first batch need not wait for what a first run prepares."""
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


def remove_idle(store: Store, stop: threading.Event) -> None:
    """Remove users whose time is over, now and then; what goes wrong is tried again the next time."""
    while not stop.wait(REMOVE_S):
        try:
            if removed := store.sweep():
                log.info("removed %d users whose time was over", removed)
        except (OSError, ValueError) as error:
            log.warning("users whose time is over stay for now: %s", error)


@app.command()
def produce(
    user: Annotated[str, typer.Option(help="user_id; without it, lines of JSON are read from stdin.")] = "",
    item: Annotated[str, typer.Option(help="item_id, with --user.")] = "",
    event_type: Annotated[str, typer.Option("--type", help="event_type, with --user.")] = "click",
) -> None:
    """Publish one click (--user and --item), or one event a line of JSON from stdin."""
    if bool(user) != bool(item):
        raise ValueError("--user and --item go together; without both, events are read from stdin")
    for text, field in ((user, "user_id"), (item, "item_id"), (event_type, "event_type")):
        one_user.as_bytes(text, field)
    if user:
        events: Iterable[Event] = [Event(user, item, int(time.time() * 1000), event_type)]
    else:
        events = read_lines(sys.stdin.buffer, "stdin")
    with EventProducer(reachable_cluster(), settings.load().topic) as producer:
        published = 0
        try:
            for event in events:
                producer.send(event)
                published += 1
        finally:
            producer.flush()
            _say_published(published)


def _say_published(count: int) -> None:
    """On stderr, after Ctrl-C too."""
    print(f"published {count:,} event{'s' * (count != 1)} to {settings.load().topic}", file=sys.stderr)


@app.command()
def replay(
    path: Annotated[Path, typer.Argument(help="Interaction log: CSV, Parquet, or a publisher's file or folder.")],
    format: Annotated[str, typer.Option(help="Format of the log, as in `python -m model_export train`.")] = "auto",
    speed: Annotated[str, typer.Option(help='"max", or a multiple of the log\'s own pace: 1 is real time.')] = "max",
    limit: Annotated[int | None, typer.Option(help="Publish the first events only.", min=1)] = None,
) -> None:
    """Play a log into the topic."""
    from model_export.readers import read_log  # here, because pandas takes a second to import
    from stream.events.replay import replay as replay_log

    factor = _parse_speed(speed)
    cluster = reachable_cluster()
    interactions = read_log(path, format)
    if limit is not None:
        interactions = interactions.between(0, min(1.0, limit / max(1, len(interactions.events))))
    print(interactions.describe(), file=sys.stderr)
    topic, group = settings.load().topic, settings.load().group
    _say_published(replay_log(interactions, cluster, topic, group, factor, stopped=_say_published))


def _parse_speed(speed: str) -> float | None:
    """None for "max", else the factor."""
    if speed == "max":
        return None
    try:
        factor = float(speed)
    except ValueError:
        factor = 0.0
    if not factor > 0:
        raise ValueError(f'--speed is {speed!r}; right is "max" or a number above 0')
    return factor


@app.command()
def broker() -> None:
    """Run the embedded broker for other processes, until Ctrl-C or SIGTERM."""
    stop = stop_on_signals()
    with EmbeddedBroker(settings.load().state) as embedded:
        print(f"embedded broker at {embedded.cluster.bootstrap_servers}; Ctrl-C stops it", flush=True)
        while not stop.wait(3600):
            pass


if __name__ == "__main__":
    console.run(app)
