"""The contract of capsule stores, wherever they keep user states; one test suite runs over all of them."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, Self

from mindstream.counted import counted
from mindstream.printable import printable
from stream.events.position import Position
from stream.store.state import UserState
from stream.store.unreadable import Unreadable, UnreadableUsersError

__all__ = ["ACCEPT", "LONGEST_KEY", "REPLAY", "Claimant", "Store", "key_of", "read_readable", "user_ids_among"]

log = logging.getLogger(__name__)

# What to do about a store that lacks what is committed.
REPLAY = "stop the updaters, `mindstream stream offsets set all earliest`, and start them again"
ACCEPT = "`mindstream stream owner --take`"
LONGEST_KEY = 511  # bytes; LMDB refuses to look for a longer one, or for an empty one


class Claimant(Protocol):
    """Who wants to write into a store: an updater of some topic and group.

    Attributes
    ----------
    life : identity of the topic, which is another one after it was made again.
    """

    topic: str
    group: str
    life: str

    def cluster_id(self) -> str:
        """Return the id of the Kafka cluster; empty if unknown, or new at each start."""
        ...

    def is_past_the_start(self) -> bool:
        """Tell whether the group has committed that it is past events that the topic still has."""
        ...

    def noted_marks(self) -> Sequence[str]:
        """Return what `Store.marks` said when the offsets of each partition were committed."""
        ...


class Store(Protocol):
    """A capsule store. All methods may be called from several threads.

    Raises
    ------
    OSError
        From every method, where the store cannot be reached or written; the same call may be made again later.
    """

    def get_many(self, user_ids: Sequence[str]) -> list[UserState | None]:
        """Read the states of these users, in order; None for a user that is not known.

        Raises
        ------
        UnreadableUsersError
            If some cannot be read; it has the states of the others.
        """
        ...

    def put_many(self, states: Iterable[UserState], read: Mapping[str, Position | None] = {}) -> set[str]:
        """Write these states, one a user; when it returns they survive the end of the process.

        A state is refused unless what is stored is still what it was made from: else it lacks what somebody else has
        applied since, who reads another partition, or this one because we were thought dead. Comparing and writing a
        user is one step, whoever else writes. What cannot be read is not written over: who finds that by reading may
        decide on it (`remove_unreadable`). Whether others may see a part of the batch is for each store to say. What
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
        """Write the second state of each pair if the first is still stored, bit for bit.

        In whatever format.

        So what is made of a state in the background never undoes what anybody has written meanwhile. Comparing and
        writing a user is one step; when it returns the states survive the end of the process.

        Returns
        -------
        How many states were refused.
        """
        ...

    def renew_many(self, user_ids: Sequence[str]) -> tuple[int, list[str]]:
        """Write those of these users anew, in today's format, who are stored in an older one.

        The next write of a user does so too; this is for those whom no event comes for. Nothing else of a user
        changes, nor when the user's time is over, and what somebody else writes meanwhile stays.

        Returns
        -------
        How many were written, and which of these users cannot be read; what is stored of those stays.
        """
        ...

    def remove_expired(self) -> int:
        """Remove the users whose time is over, and return how many.

        When that is, says `UserState.expires_ms`, by the time of the last `put_many`. A store may also do so by itself.

        Users who cannot be read stay, and the log names some.
        """
        ...

    def unreadable(self, user_ids: Sequence[str]) -> list[Unreadable]:
        """Return what is stored of those of these users who cannot be read."""
        ...

    def remove_unreadable(self, found: Iterable[Unreadable]) -> set[str]:
        """Remove what could not be read, where it is still stored, bit for bit.

        Returns
        -------
        The user_ids of whom something else is stored by now, or nothing.
        """
        ...

    def put_back(self, removed: Iterable[Unreadable]) -> set[str]:
        """Store once more what `remove_unreadable` has removed, where nothing is stored since.

        Returns
        -------
        The user_ids of whom something is stored; it stays.
        """
        ...

    def users(self) -> Iterator[str]:
        """Yield every user_id that is there all the while.

        Keys among the users' that are no user_id (others have written them) are left out; the log says how many.

        LMDB gives them in the order of their bytes.

        Redis gives them in no order, and one may come twice where Redis resizes its table meanwhile: to sort, or to
        remember, millions of users would take memory that a reader of a stream of users does not expect to need.
        """
        ...

    def claim(self, who: Claimant) -> None:
        """Make sure that the store is this updater's topic's and group's, before the first write.

        From then on nothing is read or written where the store was emptied, or lacks what it had acknowledged: the
        events of what is missing are committed, so they would pass for applied.

        Raises
        ------
        ValueError
            If it is another's. The message says whose, and what to set.
        """
        ...

    def marks(self) -> str:
        """Return by what a later claim sees that our writes are there; empty for nothing.

        It goes beside the offsets that are committed after the writes, and comes back as `Claimant.noted_marks`.
        """
        ...

    def problem(self) -> str | None:
        """Return what is wrong with the store, as a sentence; None where nothing is known to be.

        It may ask the store now and then, so it costs a moment.
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


def read_readable(store: Store, user_ids: Sequence[str]) -> tuple[list[UserState | None], Mapping[str, str]]:
    """Read the states of these users; of those who cannot be read, return why.

    Returns
    -------
    The states in order, None for who is not known or cannot be read; and user_id -> reason.
    """
    try:
        return store.get_many(user_ids), {}
    except UnreadableUsersError as error:
        return error.states, error.users


def user_ids_among(keys: Iterable[bytes], where: str) -> Iterator[str]:
    """Yield the user_ids in keys; say at the end how many keys are none.

    Parameters
    ----------
    where : the store, for that sentence.
    """
    strays, example = 0, b""
    for key in keys:
        try:
            user_id = key.decode() if 0 < len(key) <= LONGEST_KEY else ""
        except UnicodeDecodeError:
            user_id = ""
        if user_id:
            yield user_id
        else:
            strays, example = strays + 1, key
    if strays:
        log.warning(
            "%s in %s cannot be a user_id (1 to %d bytes of UTF-8), such as '%s': others wrote there, and it stays",
            *(counted(strays, "key"), where, LONGEST_KEY, printable(example[:50].decode(errors="backslashreplace"))),
        )
