"""Updaters that are killed, and updaters that are told to stop."""

import random
import signal
import time

import numpy as np

from benchmarks.faults.found import Found
from benchmarks.faults.letters import letters_of
from benchmarks.scenario.comparison import states_of
from benchmarks.scenario.home import Home, counted
from benchmarks.scenario.load import Load
from benchmarks.scenario.verdict import verdict
from benchmarks.scenario.world import World
from testbed.stream_process import StreamProcess, wait_until

__all__ = ["quantiles", "sigkill", "sigterm"]

APPLIES_WITHIN_S = 120.0
AFTER_A_WRITE, WHILE_STARTING = 0, 3  # turns of four; in the others at any moment after the first event
EIGHTH, SECOND = 8, 1  # of eight kills one is left to the broker
KILL_RATE = 100.0  # events a second: so few that a store with those of all the kills is quickly read
BAD_EVERY = 20  # events; so often that a kill meets a batch with dead letters now and then


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
