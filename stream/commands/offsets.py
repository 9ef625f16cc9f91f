"""The commands `offsets show`, `set` and `skip`: where the updaters stand on the topic, and moving them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer

from mindstream import settings
from mindstream.printable import json_line
from stream.commands.endings import Sure, confirm
from stream.kafka.connect import reachable_cluster
from stream.kafka.group_offsets import GroupOffsets
from stream.kafka.progress import Standing

__all__ = ["app"]

HELP = "Where the updaters stand on the topic: show | set | skip."

app = typer.Typer(help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def show(as_json: Annotated[bool, typer.Option("--json", help="One JSON object a partition.")] = False) -> None:
    """Show for each partition what is committed, the first and the last offset, and the lag."""
    with _opened() as offsets:
        standings = offsets.standings()
        if as_json:
            for partition, one in standings.items():
                print(json_line({"partition": partition, **_columns(one)}))
            return
        print(f"group {offsets.group} on {offsets.topic}")
        print(f"{'partition':>9} {'committed':>12} {'first':>12} {'last':>12} {'lag':>12}")
        for partition, one in standings.items():
            told = ["-" if value is None else f"{value:,}" for value in _columns(one).values()]
            print(f"{partition:>9} {told[0]:>12} {told[1]:>12} {told[2]:>12} {told[3]:>12}")


@app.command("set")
def set_offset(
    partition: Annotated[str, typer.Argument(help="Its number, or all.")],
    to: Annotated[str, typer.Argument(metavar="OFFSET|earliest|latest|TIME", help="TIME as 2026-11-29T14:30+01:00.")],
    yes: Sure = False,
) -> None:
    """Let the updaters go on at another offset, or at the first event from a time on.

    Backwards costs nothing but time: what was applied before changes nothing.
    Forwards, events are passed over. All updaters must be stopped.
    """
    with _opened() as offsets:
        standings = _chosen(offsets, partition)
        _refuse_while_at_work(offsets)
        _move(offsets, standings, {one: _offset_of(offsets, one, standings[one], to) for one in standings}, yes)


@app.command()
def skip(
    partition: Annotated[int, typer.Argument(help="Its number.")],
    count: Annotated[int, typer.Argument(help="Offsets to pass over.", min=1)] = 1,
    yes: Sure = False,
) -> None:
    """Pass over the next records of a partition, by default one. All updaters must be stopped."""
    with _opened() as offsets:
        standings = _chosen(offsets, str(partition))
        _refuse_while_at_work(offsets)
        standing = standings[partition]
        if count > standing.lag:
            raise ValueError(f"COUNT is {count}, and {standing.lag:,} offsets of partition {partition} are left")
        _move(offsets, standings, {partition: standing.next + count}, yes)


@contextmanager
def _opened() -> Iterator[GroupOffsets]:
    """Yield the offsets of the configured group."""
    with GroupOffsets(reachable_cluster(), settings.load()) as offsets:
        yield offsets


def _columns(one: Standing) -> dict[str, int | None]:
    """Return what is shown of a partition; the last offset is None where there is none."""
    return {
        "committed": one.committed,
        "first": one.first,
        "last": one.end - 1 if one.end > one.first else None,
        "lag": one.lag,
    }


def _chosen(offsets: GroupOffsets, partition: str) -> dict[int, Standing]:
    """Return where the group stands on one partition, or on all."""
    standings = offsets.standings()
    if partition == "all":
        return standings
    if not partition.isdecimal() or int(partition) not in standings:
        known = f"0 to {max(standings)}" if len(standings) > 1 else "0"
        raise ValueError(f"PARTITION is {partition!r}; {offsets.topic} has {known}")
    return {int(partition): standings[int(partition)]}


def _refuse_while_at_work(offsets: GroupOffsets) -> None:
    """Raise OSError if updaters of the group are at work.

    They would commit over what is set here.
    """
    members = offsets.members()
    if members:
        raise OSError(
            f"group {offsets.group} is at work ({', '.join(members)}); stop its updaters first (who was killed leaves "
            "the group after 10 s)"
        )


def _offset_of(offsets: GroupOffsets, partition: int, standing: Standing, to: str) -> int:
    """Return the offset that people mean."""
    if to in ("earliest", "latest"):
        return standing.first if to == "earliest" else standing.end
    if to.isdecimal():
        if not standing.first <= int(to) <= standing.end:
            raise ValueError(f"OFFSET is {to}; partition {partition} has {standing.first} to {standing.end}")
        return int(to)
    try:
        time = datetime.fromisoformat(to)
    except ValueError:
        raise ValueError(f"{to!r} is no offset; right is a number, earliest, latest, or a time in ISO 8601") from None
    if time.tzinfo is None:
        raise ValueError(f"the time {to!r} says no time zone; right is {time.replace(tzinfo=UTC).isoformat()}, say")
    found = offsets.offset_at(partition, int(time.timestamp() * 1000))
    return standing.end if found is None else found


def _move(offsets: GroupOffsets, standings: dict[int, Standing], to: dict[int, int], yes: bool) -> None:
    """Set offsets, once people have confirmed what that means."""
    for partition, at in to.items():
        print(_meaning(f"{offsets.topic}[{partition}]", standings[partition], at))
    confirm(yes)
    offsets.commit(to)
    print(f"group {offsets.group} goes on there")


def _meaning(name: str, standing: Standing, at: int) -> str:
    """Say what it means to go on at an offset."""
    if at > standing.next:
        return f"{name}: {_offsets_of(standing.next, at)} passed over and never applied"
    if at < standing.next:
        return f"{name}: {_offsets_of(at, standing.next)} read again"
    return f"{name}: goes on at {at}, as before"


def _offsets_of(first: int, end: int) -> str:
    """Write in words the offsets from the first to the one before the end."""
    return f"offset {first} is" if end == first + 1 else f"{end - first:,} offsets ({first} to {end - 1}) are"
