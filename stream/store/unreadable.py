"""Users whose stored state cannot be read: each is named, and everybody else goes on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mindstream.counted import counted
from stream.store.codec import from_bytes
from stream.store.state import UserState

__all__ = ["NAMED", "Unreadable", "UnreadableTally", "UnreadableUsersError", "state_of", "states_in"]

NAMED = 3  # of those who cannot be read; `repair` lists all
WAY_ON = "`mindstream stream repair` sets aside what is stored"

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Unreadable:
    """What is stored of a user, where that is no state which this version reads.

    Attributes
    ----------
    reason : one sentence.
    stored : all of it, as the store gives it and takes it back.
    """

    user_id: str
    reason: str
    stored: bytes


class UnreadableTally:
    """The users of a store who were found unreadable: how many, each once, and a few of them."""

    def __init__(self) -> None:
        self.seen: set[str] = set()  # while Redis resizes its table it may name a user twice
        self.examples: list[str] = []

    @property
    def count(self) -> int:
        """Return how many they are."""
        return len(self.seen)

    def add(self, user_ids: Iterable[str]) -> list[str]:
        """Note some more, and return those of them who are among the first few."""
        known = len(self.examples)
        for user_id in user_ids:
            if user_id not in self.seen and len(self.examples) < NAMED:
                self.examples.append(user_id)
            self.seen.add(user_id)
        return self.examples[known:]

    def __str__(self) -> str:
        more = " and others" if self.count > len(self.examples) else ""
        return f"{counted(self.count, 'user')} cannot be read ({', '.join(map(repr, self.examples))}{more})"


class UnreadableUsersError(ValueError):
    """Some of the users who were asked for cannot be read; the others were.

    Attributes
    ----------
    users : user_id -> why.
    states : as asked for, in order; None for who is not known or cannot be read.
    """

    def __init__(self, users: Mapping[str, str], states: Sequence[UserState | None]) -> None:
        [(first, reason), *others] = users.items()
        who = f"{len(users):,} users cannot be read, of them {first!r}" if others else f"user {first!r} cannot be read"
        super().__init__(f"{who}: {reason}; {WAY_ON}")
        self.users, self.states = users, list(states)


def states_in(
    user_ids: Sequence[str], values: Iterable[_Value], read: Callable[[str, _Value], UserState | None]
) -> list[UserState | None]:
    """Read the states in what a store gave for these users.

    Parameters
    ----------
    read : makes a state of a value; ValueError says why it cannot.

    Raises
    ------
    UnreadableUsersError
        If one or several cannot be read.
    """
    found: list[UserState | None] = []
    faults: dict[str, str] = {}
    for user_id, value in zip(user_ids, values, strict=True):
        try:
            found.append(read(user_id, value))
        except ValueError as error:
            faults[user_id] = str(error)
            found.append(None)
    if faults:
        raise UnreadableUsersError(faults, found)
    return found


def state_of(user_id: str, value: bytes | None) -> UserState | None:
    """Read a user's state; None where nothing is stored.

    Raises
    ------
    ValueError
        Says why the bytes are no state of this user.
    """
    if value is None:
        return None
    return from_bytes(user_id, value)
