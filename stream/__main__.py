"""Keep interest capsules fresh: run | produce | replay | broker."""

import logging
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

import console
import settings
from model_export.extractor import Extractor
from model_export.registry import Registry
from stream.broker import EmbeddedBroker, running_embedded
from stream.cluster import Cluster
from stream.event import Event, read_lines
from stream.producer import EventProducer
from stream.store import LmdbStore
from stream.updater import Updater

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
log = logging.getLogger("stream")

REPORT_S = 10.0


@contextmanager
def any_cluster() -> Iterator[Cluster]:
    """The configured Kafka; else the embedded broker that runs already; else one of our own while the block lasts."""
    found = existing_cluster()
    if found:
        yield found
        return
    with EmbeddedBroker(settings.load().state) as broker:
        log.info("no Kafka is configured; the embedded broker serves at %s", broker.cluster.bootstrap_servers)
        yield broker.cluster


def existing_cluster() -> Cluster | None:
    """The configured Kafka, else the embedded broker that some process runs, else None."""
    return Cluster.configured(settings.load()) or running_embedded(settings.load().state)


def reachable_cluster() -> Cluster:
    """Like existing_cluster, for commands that make no sense with a broker of their own."""
    found = existing_cluster()
    if found is None:
        raise OSError(
            "no Kafka is configured (KAFKA_BOOTSTRAP_SERVERS) and no embedded broker runs for "
            f"{settings.load().state}; start one with `python -m stream run` or `python -m stream broker`"
        )
    return found


def stop_on_signals() -> threading.Event:
    """An event that is set by SIGTERM and Ctrl-C."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


@app.command()
def run() -> None:
    """Consume events and keep every user's capsules fresh, until Ctrl-C or SIGTERM."""
    stop = stop_on_signals()
    bundle = Registry(settings.load().models).current()
    with any_cluster() as cluster, LmdbStore(settings.load().state) as store:
        updater = Updater(cluster, store, Extractor(bundle), settings.load())
        log.info("model %s; reading %s at %s", bundle.version, settings.load().topic, cluster.bootstrap_servers)
        threading.Thread(target=report, args=(updater, stop), daemon=True).start()
        updater.run(stop)
        log.info("stopped cleanly: %s", dict(updater.counts))


def report(updater: Updater, stop: threading.Event) -> None:
    """Log the counts now and then, when they have changed."""
    before: dict[str, int] = {}
    while not stop.wait(REPORT_S):
        if dict(updater.counts) != before:
            before = dict(updater.counts)
            log.info("%s", ", ".join(f"{count:,} {name}" for name, count in before.items()))


@app.command()
def produce(
    user: Annotated[str, typer.Option(help="user_id; without it, lines of JSON are read from stdin.")] = "",
    item: Annotated[str, typer.Option(help="item_id, with --user.")] = "",
    event_type: Annotated[str, typer.Option("--type", help="event_type, with --user.")] = "click",
) -> None:
    """Publish one click (--user and --item), or one event a line of JSON from stdin."""
    if bool(user) != bool(item):
        raise ValueError("--user and --item go together; without both, events are read from stdin")
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
            print(f"published {published} event{'s' * (published != 1)} to {settings.load().topic}", file=sys.stderr)


@app.command()
def replay(
    path: Annotated[Path, typer.Argument(help="Interaction log: CSV, Parquet, or a publisher's file or folder.")],
    format: Annotated[str, typer.Option(help="Format of the log, as in `python -m model_export train`.")] = "auto",
    speed: Annotated[str, typer.Option(help='"max", or a multiple of the log\'s own pace: 1 is real time.')] = "max",
    limit: Annotated[int | None, typer.Option(help="Publish the first events only.", min=1)] = None,
) -> None:
    """Play a log into the topic."""
    from model_export.readers import read_log  # here, because pandas takes a second to import
    from stream.replay import replay as replay_log

    factor = parse_speed(speed)
    cluster = reachable_cluster()
    interactions = read_log(path, format)
    if limit is not None:
        interactions = interactions.between(0, min(1.0, limit / max(1, len(interactions.events))))
    print(interactions.describe(), file=sys.stderr)
    published = replay_log(interactions, cluster, settings.load().topic, settings.load().group, factor)
    print(f"published {published:,} events to {settings.load().topic}", file=sys.stderr)


def parse_speed(speed: str) -> float | None:
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
