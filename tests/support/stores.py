"""Capsule stores by their kind, users to put into them, and what a test asks of them, in any process."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from model_export.bundle.extractor import Capsules
from stream.events.position import Position
from stream.store.contract import Store
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.redis_store import RedisStore
from stream.store.state import DAY_MS, UserState

IDLE_DAYS = 30.0


def open_lmdb(place: str, idle_days: float | None = None) -> Store:
    return LmdbStore(Path(place), idle_days)


# Each opens, in any process, what was written to the same place: a folder, a url.
STORES: dict[str, Callable[..., Store]] = {"lmdb": open_lmdb, "redis": RedisStore, "redis-cluster": RedisStore}


def state(user_id: str, item_id: str = "mug", offset: int = 0, life: str = "life 1", partition: int = 0) -> UserState:
    """A user of one behaviour with one capsule."""
    capsules = Capsules(np.array([[0.6, 0.8]], "f4"), np.array([1.0], "f4"), model_version="v1")
    position = Position(life, partition, offset)
    return UserState(user_id, History((item_id,), (1_720_000_000_000,), ("",)), capsules, position)


def overwrite(store: Store, states: Iterable[UserState]) -> set[str]:
    """Put states as they are made: from what is stored. The users who were refused."""
    states = list(states)
    return store.put_many(states, {one.user_id: position_in(store, one.user_id) for one in states})


def position_in(store: Store, user_id: str) -> Position | None:
    """The position of a stored user."""
    [found] = store.get_many([user_id])
    return found.position if found else None


def item_of(store: Store, user_id: str) -> str | None:
    """The one item of a stored user."""
    [found] = store.get_many([user_id])
    return found.history.item_ids[0] if found else None


def idle_since(user_id: str, days: float) -> UserState:
    """A user whose last behaviour is some days ago."""
    when = round(time.time() * 1000 - days * DAY_MS)
    return replace(state(user_id), history=History(("mug",), (when,), ("",)))
