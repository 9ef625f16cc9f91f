"""The commands that publish events: `produce` for single ones, `replay` for a whole log."""

import sys
import time
from collections.abc import Iterable
from typing import Annotated

import typer

from mindstream import settings
from mindstream.counted import counted
from mindstream.log_options import LogPath, takes_log
from mindstream.mapping import Mapping
from stream.commands.users import as_bytes
from stream.events.event import Event, read_lines
from stream.events.producer import EventProducer
from stream.kafka.connect import reachable_cluster

__all__ = ["produce", "replay"]


def produce(
    user: Annotated[str, typer.Option(help="user_id; without it, lines of JSON are read from stdin.")] = "",
    item: Annotated[str, typer.Option(help="item_id, with --user.")] = "",
    event_type: Annotated[str, typer.Option("--type", help="event_type, with --user.")] = "click",
) -> None:
    """Publish one click (--user and --item), or one event a line of JSON from stdin."""
    if bool(user) != bool(item):
        raise ValueError("--user and --item go together; without both, events are read from stdin")
    for text, field in ((user, "user_id"), (item, "item_id"), (event_type, "event_type")):
        as_bytes(text, field)
    if user:
        events: Iterable[Event] = [Event(user, item, int(time.time() * 1000), event_type)]
    else:
        events = read_lines(sys.stdin.buffer, "stdin")
    configured = settings.load()
    with EventProducer(reachable_cluster(), configured.topic, configured.event_bytes) as producer:
        published = 0
        try:
            for event in events:
                producer.send(event)
                published += 1
        finally:
            producer.flush()
            _say_published(published)


def _say_published(count: int) -> None:
    """Say on stderr how many events were published, after Ctrl-C too."""
    print(f"published {counted(count, 'event')} to {settings.load().topic}", file=sys.stderr)


@takes_log
def replay(
    path: LogPath,
    mapping: Mapping,
    speed: Annotated[str, typer.Option(help='"max", or a multiple of the log\'s own pace: 1 is real time.')] = "max",
    limit: Annotated[int | None, typer.Option(help="Publish the first events only.", min=1)] = None,
) -> None:
    """Play a log into the topic."""
    from model_export.readers import read_log  # here, because pandas takes a second to import
    from stream.events.replay import replay as replay_log

    factor = _parse_speed(speed)
    cluster = reachable_cluster()
    interactions = read_log(path, mapping)
    if limit is not None:
        interactions = interactions.between(0, min(1.0, limit / max(1, len(interactions.events))))
    print(interactions.describe(), file=sys.stderr)
    topic, group = settings.load().topic, settings.load().group
    _say_published(replay_log(interactions, cluster, topic, group, factor, stopped=_say_published))


def _parse_speed(speed: str) -> float | None:
    """Return the factor of a speed; None for "max"."""
    if speed == "max":
        return None
    try:
        factor = float(speed)
    except ValueError:
        factor = 0.0
    if not factor > 0:
        raise ValueError(f'--speed is {speed!r}; right is "max" or a number above 0')
    return factor
