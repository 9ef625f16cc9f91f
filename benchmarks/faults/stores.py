"""Stored users who cannot be read: the others go on, and after the repair nothing is missing."""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import islice

from benchmarks.faults.found import Found, sums
from benchmarks.scenario.comparison import behaviours_in, behaviours_of, bytes_without_position, difference, states_of
from benchmarks.scenario.comparison import users_differing as differing
from benchmarks.scenario.home import Home
from benchmarks.scenario.load import clicks
from benchmarks.scenario.world import World
from stream.dead_letters.letter import read_record
from stream.events.event import Event, encode
from stream.events.producer import EventProducer
from stream.store.contract import Store
from stream.store.lmdb_store import LmdbStore
from stream.store.redis.command import Command
from stream.store.redis_store import RedisStore
from testbed.real_redis import RealRedis

__all__ = ["spoil", "unreadable_user"]

EVERY = 10  # one user in so many is spoiled


def unreadable_user(world: World, events: int = 4_000) -> Found:
    """Spoil stored users under an updater, repair them, and compare with an undisturbed run.

    In LMDB before their first event, and redriving brings all that became dead letters. In Redis in the middle, where
    redriving would not bring what was stored before: there the topic is read once more.
    """
    sent = list(islice(clicks(world.bundle.item_ids, event_ids=True), events))
    started = time.monotonic()
    with world.home() as tidy, world.home() as early, RealRedis() as redis, world.home(redis.url) as late:
        with tidy.run() as command:
            _publish(tidy, sent)
            tidy.catches_up()
            command.end()
        found = [
            _repaired_by_redriving(world, early, sent),
            _repaired_by_replaying(world, late, sent),
        ]
        for home in (early, late):
            users = differing(bytes_without_position(tidy.store), bytes_without_position(home.store))
            found.append(_compared(home, sent) | {"users_differing": users})
    figures = {"events": events, "users_spoiled": len(_some_users(sent)), "seconds_s": time.monotonic() - started}
    return Found(sums(found), figures)


def _repaired_by_redriving(world: World, home: Home, sent: Sequence[Event]) -> dict[str, int]:
    """Spoil users before their first event, and let their dead letters be sent once more."""
    users = _some_users(sent)
    spoil(home.store, users)
    with home.run() as command:
        world.say(f"{len(users)} users cannot be read in LMDB")
        _publish(home, sent)
        home.catches_up()
        faults = _letters(home, [event for event in sent if event.user_id in users])
        faults |= _repair(home, users)
        assert home.does("dlq", "redrive").process.returncode == 0
        home.catches_up()
        command.end()
    return faults


def _repaired_by_replaying(world: World, home: Home, sent: Sequence[Event]) -> dict[str, int]:
    """Spoil users who have a history, and let the topic be read from its beginning."""
    users = _some_users(sent)
    half = len(sent) // 2
    with home.run() as command:
        world.say(f"{len(users)} users cannot be read in Redis")
        _publish(home, sent[:half])
        home.catches_up()
        spoil(home.store, users)
        _publish(home, sent[half:])
        home.catches_up()
        faults = _letters(home, [event for event in sent[half:] if event.user_id in users])
        command.end()
    faults |= _repair(home, users)
    moved = home.does("offsets", "set", "all", "earliest", "--yes")
    assert moved.process.returncode == 0, moved.said
    with home.run() as command:
        home.catches_up()
        command.end()
    return faults


def _some_users(sent: Iterable[Event]) -> set[str]:
    """Return the users who are to be spoiled."""
    return set(sorted({event.user_id for event in sent})[::EVERY])


def spoil(store: Store, user_ids: Collection[str]) -> None:
    """Store bytes of another program at the keys of users; in Redis every other time a list."""
    for number, user_id in enumerate(sorted(user_ids)):
        if isinstance(store, RedisStore):
            key = store.prefix + user_id.encode()
            write = ("SET", key, b"theirs") if number % 2 else ("RPUSH", key, b"theirs")
            store.link.ask([Command(key, ("DEL", key)), Command(key, write)], "written")
        else:
            assert isinstance(store, LmdbStore)
            with store.transaction(write=True) as transaction:
                transaction.put(user_id.encode(), b"theirs")


def _publish(home: Home, events: Iterable[Event]) -> None:
    """Publish events, and wait until the broker has them."""
    with EventProducer(home.cluster, home.settings.topic) as producer:
        for event in events:
            producer.send(event)
        producer.flush()


def _letters(home: Home, expected: Iterable[Event]) -> dict[str, int]:
    """Compare the dead letters with the events that could not be applied."""
    letters = [read_record(record) for record in home.records(home.settings.dead_letter_topic)]
    found = Counter((one.key, one.value) for one in letters if one.reason == "user")
    wanted: Counter[tuple[bytes | None, bytes | None]] = Counter(encode(event) for event in expected)
    return {
        "dead_letters_missing": (wanted - found).total(),
        "dead_letters_too_many": len(letters) - (found & wanted).total(),
    }


def _repair(home: Home, users: Collection[str]) -> dict[str, int]:
    """Set aside what is stored of the users, by the command; count those who stay unreadable."""
    assert home.does("repair").process.returncode == 1
    done = home.does("repair", "--set-aside", str(home.settings.home / "aside.jsonl"))
    assert f"{len(users):,} users set aside" in done.said, done.said
    return {"still_unreadable": len(home.store.unreadable(list(home.store.users())))}


def _compared(home: Home, sent: Iterable[Event]) -> dict[str, int]:
    """Compare the histories with the events that were sent."""
    return difference(behaviours_of(sent), behaviours_in(states_of(home.store)))
