"""Updaters and archivers that are killed, and updaters that are told to stop."""

import random
import signal
import time
from pathlib import Path

import numpy as np

from benchmarks.faults.found import Found
from benchmarks.faults.letters import letters_of
from benchmarks.scenario.archived import archive_faults, wanted_places
from benchmarks.scenario.comparison import states_of
from benchmarks.scenario.home import Home, counted
from benchmarks.scenario.load import Load
from benchmarks.scenario.verdict import verdict
from benchmarks.scenario.world import World
from mindstream.archive.folder import OWN
from stream.events.producer import EventProducer
from testbed.stream_process import StreamProcess, wait_until

__all__ = ["archive_kills", "quantiles", "sigkill", "sigterm"]

APPLIES_WITHIN_S = 120.0
AFTER_A_WRITE, WHILE_STARTING = 0, 3  # turns of four; in the others at any moment after the first event
EIGHTH, SECOND = 8, 1  # of eight kills one is left to the broker
KILL_RATE = 100.0  # events a second: so few that a store with those of all the kills is quickly read
BAD_EVERY = 20  # events; so often that a kill meets a batch with dead letters now and then
FORGET_EVERY = 3  # kills
USERS = 200  # of the first clicks


def sigkill(world: World, kills: int = 100, least_between: int = 1) -> Found:
    """Kill updaters at random points under load, each fourth right after a write.

    And each fourth while it starts.

    The updater publishes interests, which it does between write and commit: else that lasts less than a millisecond.

    Parameters
    ----------
    least_between : kills between write and commit without which the row has not shown what it has to.
    """
    recoveries: dict[bool, list[float]] = {False: [], True: []}
    between = 0
    with world.home() as home, Load(home, KILL_RATE, BAD_EVERY) as load:
        left = False
        for number in range(kills):
            world.say(f"kill {number + 1} of {kills}")
            with home.start(MINDSTREAM_UPDATES_TOPIC=f"{home.settings.topic}.updates") as command:
                seconds = _kill(home, command, number % 4)
            if seconds is not None:
                recoveries[left].append(seconds)
            between += _has_written_ahead(home)
            left = number % EIGHTH == SECOND
            if not left:
                home.forget_the_dead()
        load.stop()
        world.say("catching up")
        with home.run():
            home.catches_up()
        letters = letters_of(home, load.injected())
        faults = verdict(home, load.acknowledged) | letters.faults()
    faults["kills_between_too_few"] = max(0, least_between - between)
    figures = {"kills": kills, "kills_between_write_and_commit": between}
    figures |= {"bad_records": len(load.bad), "letters_twice": letters.twice}
    return Found(faults, figures | quantiles("recovery", recoveries[False]) | quantiles("timeout", recoveries[True]))


def _has_written_ahead(home: Home) -> bool:
    """Tell whether the store has an event that is not committed."""
    committed = home.committed_by_partition()
    return any(one.position.offset >= committed[one.position.partition] for one in states_of(home.store))


def _kill(home: Home, command: StreamProcess, turn: int) -> float | None:
    """Kill an updater that was just started.

    Returns the seconds until it applied its first event, if that was awaited.
    """
    started, before = time.monotonic(), home.writes()
    seconds = None
    if turn == WHILE_STARTING:
        time.sleep(random.uniform(0, 4))
    else:
        wait_until(lambda: home.writes() > before, "the next event is applied", APPLIES_WITHIN_S)
        seconds = time.monotonic() - started
        time.sleep(random.uniform(0, 1))
    if turn == AFTER_A_WRITE:
        _wait_for_a_write(home)
    command.end(signal.SIGKILL)
    return seconds


def _wait_for_a_write(home: Home) -> None:
    """Return right after a batch was written.

    Some milliseconds later its offsets are committed.
    """
    before, deadline = home.writes(), time.monotonic() + APPLIES_WITHIN_S
    while home.writes() == before:
        assert time.monotonic() < deadline, f"nothing was written within {APPLIES_WITHIN_S:.0f} s"
        time.sleep(0.0001)


def quantiles(name: str, seconds: list[float]) -> dict[str, float]:
    """Return median and 99 % of some durations; nothing if there are none."""
    if not seconds:
        return {}
    return {f"{name}_p{q}_s": float(np.quantile(seconds, q / 100, method="higher")) for q in (50, 99)}


def sigterm(world: World, times: int = 10) -> Found:
    """Stop updaters under load: they commit what they have read, and leave the group."""
    again = members = 0
    stops = []
    with world.home() as home, Load(home) as load:
        for number in range(times):
            world.say(f"stop {number + 1} of {times}")
            with home.run() as command:
                home.applies_more_than(home.applied())
                time.sleep(random.uniform(0, 1))
                started = time.monotonic()
                assert command.end(signal.SIGTERM) == 0, command.said
                stops.append(time.monotonic() - started)
            again += counted(command)["replayed"]
            members += home.members()
        load.stop()
        with home.run() as command:
            home.catches_up()
            command.end()
        again += counted(command)["replayed"]
        found = verdict(home, load.acknowledged)
    faults = found | {"reprocessed_after_sigterm": again, "members_left_behind": members}
    return Found(faults, {"stops": times, **quantiles("stop", stops)})


def archive_kills(world: World, kills: int = 50, least_amid: int = 1) -> Found:
    """Kill archivers at random points under load, and forget users meanwhile.

    Each fourth is killed while it starts.

    Parameters
    ----------
    least_amid : kills in the midst of a change of the folder without which the row has not shown what it has to.
    """
    amid, forgotten = 0, set[str]()
    with world.home() as home, Load(home, KILL_RATE, BAD_EVERY) as load:
        folder = home.settings.archive
        for number in range(kills):
            world.say(f"kill {number + 1} of {kills}")
            if number % FORGET_EVERY == 1:
                forgotten.add(_forget_one(home, number))
            with home.archive("--every", "0.1", "--rows", "100") as command:
                if number % 4 != WHILE_STARTING:
                    command.says(" archived; ", APPLIES_WITHIN_S)
                time.sleep(random.uniform(0, 4 if number % 4 == WHILE_STARTING else 1))
                if number % 4 == AFTER_A_WRITE:
                    _wait_for_a_change(folder)
                command.end(signal.SIGKILL)
            amid += _is_half_done(folder)
            home.kafka.remove_members(home.settings.archive_group)
        load.stop()
        world.say("catching up")
        started = time.monotonic()
        ended = home.does("archive", "--once").process.returncode
        drain_s = time.monotonic() - started
        records = home.records()
        faults = archive_faults(folder, records, load.acknowledged)
    faults |= {"ended_badly": int(ended != 0), "kills_amid_too_few": max(0, least_amid - amid)}
    wanted, left_out = wanted_places(records)
    figures = {"kills": kills, "kills_amid_a_change": amid, "records": len(records), "users_forgotten": len(forgotten)}
    return Found(faults, figures | {"events": len(wanted), "events_forgotten": len(left_out), "drain_s": drain_s})


def _forget_one(home: Home, number: int) -> str:
    """Forget a user who has events on the topic by now."""
    user_id = f"user-{number % USERS}"
    with EventProducer(home.cluster, home.settings.topic) as producer:
        producer.forget(user_id)
        producer.flush()
    return user_id


def _wait_for_a_change(folder: Path) -> None:
    """Return once an archiver is writing files, or where that is not seen for some seconds."""
    deadline = time.monotonic() + 5
    while not _is_half_done(folder) and time.monotonic() < deadline:
        time.sleep(0.0005)


def _is_half_done(folder: Path) -> bool:
    """Tell whether files of an archive are on their way, or in the journal."""
    own = folder / OWN
    return (own / "journal.json").exists() or any((own / "new").glob("*"))
