"""The contract of capsule stores, wherever they keep user states; one test suite runs over all of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, Self

from stream.events.position import Position
from stream.store.state import UserState

__all__ = ["LONGEST_KEY", "Store", "key_of"]

LONGEST_KEY = 511  # bytes; LMDB refuses to look for a longer one, or for an empty one


class Store(Protocol):
    """A capsule store. All methods may be called from several threads.

    Raises
    ------
    OSError
        From every method, where the store cannot be reached or written; the same call may be made again later.
    """

    def get_many(self, user_ids: Sequence[str]) -> list[UserState | None]:
        """Read the states of these users, in order; None for a user that is not known."""
        ...

    def put_many(self, states: Iterable[UserState], read: Mapping[str, Position | None] = {}) -> set[str]:
        """Write these states, one a user; when it returns they survive the end of the process.

        A state is refused unless what is stored is still what it was made from: else it lacks what somebody else has
        applied since, who reads another partition, or this one because we were thought dead. Comparing and writing a
        user is one step, whoever else writes. Whether others may see a part of the batch is for each store to say. What
        was written although the call failed is refused when it is put again: it must be read again before.

        Parameters
        ----------
        read : user_id -> Position of the state that the new one was made from; None, or not there: nothing was stored.

        Returns
        -------
        The user_ids whose states were refused.

        Raises
        ------
        ValueError
            If a user_id is empty or longer than 511 bytes. Nothing is written then, nor where `states` breaks off.
        """
        ...

    def replace_many(self, pairs: Iterable[tuple[UserState, UserState]]) -> int:
        """Write the second state of each pair where the first is still stored, bit for bit.

        So what is made of a state in the background never undoes what anybody has written meanwhile. Comparing and
        writing a user is one step; when it returns the states survive the end of the process.

        Returns
        -------
        How many states were refused.
        """
        ...

    def remove_expired(self) -> int:
        """Remove the users whose time is over, and return how many.

        When that is, says `UserState.expires_ms`. A store may also do so by itself.

        Users who cannot be read stay.
        """
        ...

    def users(self) -> Iterator[str]:
        """Yield every user_id that is there all the while.

        LMDB gives them in the order of their bytes.

        Redis gives them in no order, and one may come twice where Redis resizes its table meanwhile: to sort, or to
        remember, millions of users would take memory that a reader of a stream of users does not expect to need.
        """
        ...

    def close(self) -> None:
        """Close the store; nobody may use it any more."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def key_of(user_id: str) -> bytes:
    """Return a user_id as a key.

    Raises
    ------
    ValueError
        If it is empty or too long, which no event's is.
    """
    key = user_id.encode()
    if not 0 < len(key) <= LONGEST_KEY:
        raise ValueError(
            f"the user_id {user_id[:50]!r} has {len(key)} bytes and cannot be written; "
            f"right is 1 to {LONGEST_KEY} bytes of UTF-8"
        )
    return key
