"""A store of the versions before, read and written by today's."""

from collections.abc import Iterable
from contextlib import ExitStack
from itertools import cycle, islice

import numpy as np
from msgspec.structs import replace

from benchmarks.faults.found import Found, sums
from benchmarks.harness.older_states import WRITERS, as_hash, format_1, format_3
from benchmarks.scenario.comparison import states_of, users_differing
from benchmarks.scenario.home import Home
from benchmarks.scenario.load import clicks
from benchmarks.scenario.verdict import undisturbed_bytes, verdict
from benchmarks.scenario.world import World
from model_export.bundle.extractor import Extractor
from stream.events.event import Event
from stream.events.producer import EventProducer
from stream.store.codec import HEAD, from_bytes, to_bytes
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState, encoded, recomputed
from testbed.real_redis import RealRedis

__all__ = ["upgrade", "write_older"]


def upgrade(world: World, events: int = 20_000) -> Found:
    """Put users back into older formats, in LMDB and in Redis, and go on with updaters.

    Every other event comes before that, and the others after it; every third user is migrated between.
    """
    with ExitStack() as closing:
        redis = closing.enter_context(RealRedis())
        homes = [(closing.enter_context(world.home()), None), (closing.enter_context(world.home(redis.url)), redis)]
        found = [_upgraded(home, server, events) for home, server in homes]
    return Found(
        {**sums(faults for faults, _ in found)},
        {"users_of_before": sum(older for _, older in found), "formats": len(WRITERS)},
    )


def _upgraded(home: Home, redis: RealRedis | None, events: int) -> tuple[dict[str, int], int]:
    """Upgrade one store.

    Return what is wrong with it then, and how many users were in older formats.
    """
    coming = list(islice(clicks(home.bundle.item_ids), events))
    _apply(home, coming[::2])
    older = write_older(home, redis)
    users = sorted(home.store.users())
    home.store.renew_many(users[::3])
    _apply(home, coming[1::2])
    return verdict(home, undisturbed=False) | {"users_differing": _differing(home)}, older


def _differing(home: Home) -> int:
    """Count users who are not as an undisturbed updater makes them, but for event types.

    The formats of before do not have those, so they are taken from both. The capsules of users with events since must
    be those of the stored history.
    """
    extractor, stored = Extractor(home.bundle), list(states_of(home.store))
    since = [state for state in stored if any(state.history.event_types)]
    stale = sum(
        not np.array_equal(state.capsules.vectors, made.vectors)
        for state, made in zip(since, encoded(extractor, since), strict=True)
    )
    undisturbed = undisturbed_bytes(home, len(home.records()))
    wanted = [from_bytes(user_id, value) for user_id, value in undisturbed.items()]
    return stale + users_differing(_untyped(extractor, stored), _untyped(extractor, wanted))


def _untyped(extractor: Extractor, states: list[UserState]) -> dict[str, bytes]:
    """Return user_id -> the state as it would be stored if no event type were known."""
    bare = [
        replace(state, history=History(state.history.item_ids, state.history.event_times_ms, state.history.event_ids))
        for state in states
    ]
    both = zip(bare, encoded(extractor, bare), strict=True)
    return {state.user_id: to_bytes(recomputed(state, capsules)) for state, capsules in both}


def _apply(home: Home, events: Iterable[Event]) -> None:
    """Publish events, and let an updater apply them and leave."""
    with EventProducer(home.cluster, home.settings.topic) as producer:
        for event in events:
            producer.send(event)
        producer.flush()
    with home.run() as updater:
        home.catches_up()
        updater.end()


def write_older(home: Home, redis: RealRedis | None) -> int:
    """Write all users as the versions before did, in turn in each of their formats.

    Return how many.

    The first format does not know when a profile was said, so no user with one is written in it.
    """
    turns = zip(states_of(home.store), cycle(WRITERS.values()), strict=False)
    written = [(state, (format_3 if state.profile and write is format_1 else write)(state)) for state, write in turns]
    assert not any(value.startswith(HEAD) for _, value in written)
    if redis:
        with redis.client() as client:
            for state, value in written:
                key = f"{home.settings.redis_prefix}:user:{state.user_id}"
                client.delete(key)
                client.hset(key, mapping=as_hash(state, value))
    else:
        assert isinstance(home.store, LmdbStore)
        with home.store.transaction(write=True) as transaction:
            for state, value in written:
                transaction.put(state.user_id.encode(), value)
    return len(written)
