"""Comparing a store with what was published, and two stores with each other."""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from stream.events.event import Event
from stream.events.position import Position
from stream.store.codec import to_bytes
from stream.store.contract import Store, read_readable
from stream.store.state import UserState

__all__ = [
    "behaviours_in",
    "behaviours_of",
    "bytes_without_position",
    "difference",
    "states_of",
    "stored_bytes",
    "users_differing",
]

Behaviours = Counter[tuple[str, str, int, str]]  # (user_id, item_id, event_time_ms, event_id) -> how often

NOWHERE = Position("", 0, 0)


def behaviours_of(events: Iterable[Event]) -> Behaviours:
    """Count what histories hold once each of these events is applied once."""
    return Counter((one.user_id, one.item_id, one.event_time_ms, one.event_id or "") for one in events)


def behaviours_in(states: Iterable[UserState]) -> Behaviours:
    """Count what the histories of these users hold."""
    return Counter(
        (state.user_id, *behaviour)
        for state in states
        for behaviour in zip(state.history.item_ids, state.history.event_times_ms, state.history.event_ids, strict=True)
    )


def difference(expected: Behaviours, found: Behaviours) -> dict[str, int]:
    """Count the behaviours that are missing, and those that are there too often.

    Or should not be there at all.
    """
    return {"lost": (expected - found).total(), "applied_twice": (found - expected).total()}


def states_of(store: Store) -> list[UserState]:
    """Return the states of all users who can be read, in the order of their ids."""
    found, _ = read_readable(store, sorted(set(store.users())))
    return [state for state in found if state is not None]


def stored_bytes(store: Store) -> dict[str, bytes]:
    """Return user_id -> the state as it is stored."""
    return {state.user_id: to_bytes(state) for state in states_of(store)}


def bytes_without_position(store: Store) -> dict[str, bytes]:
    """Return user_id -> the state, wherever its events stood on Kafka."""
    return {state.user_id: to_bytes(replace(state, position=NOWHERE)) for state in states_of(store)}


def users_differing(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> int:
    """Count users whose bytes are not the same in both, or who are in one only."""
    return sum(one.get(user_id) != other.get(user_id) for user_id in one.keys() | other.keys())
