"""Where user states are kept. LMDB: embedded, on disk, read and written by several processes of one host.

For several hosts there is redis_store.py.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Protocol, Self

import lmdb

from stream.events.position import Position
from stream.store.codec import from_bytes, position_of, to_bytes
from stream.store.state import UserState

log = logging.getLogger(__name__)

LONGEST_KEY = 511  # bytes; LMDB refuses to look for a longer one, or for an empty one
KEYS_AT_ONCE = 1_000
MAP_SIZE = 64 * 2**30  # bytes of address space, not of disk; about 15 million users


class Store(Protocol):
    """What every capsule store can do. All methods may be called from several threads.

    Raises
    ------
    OSError
        From every method, where the store cannot be reached or written; the same call may be made again later.
    """

    def get_many(self, user_ids: Sequence[str]) -> list[UserState | None]:
        """The states of these users, in order; None for a user that is not known."""
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
        """Write the second state of each pair where what is stored is, bit for bit, still the first.

        So what is made of a state in the background never undoes what anybody has written meanwhile. Comparing and
        writing a user is one step; when it returns the states survive the end of the process.

        Returns
        -------
        How many states were refused.
        """
        ...

    def sweep(self) -> int:
        """Remove the users whose time is over (`UserState.expires_ms`); how many. A store may also do so by itself.

        Users who cannot be read stay.
        """
        ...

    def users(self) -> Iterator[str]:
        """Every user_id that is there all the while. LMDB gives them in the order of their bytes.

        Redis gives them in no order, and one may come twice where Redis resizes its table meanwhile: to sort, or to
        remember, millions of users would take memory that a reader of a stream of users does not expect to need.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def key_of(user_id: str) -> bytes:
    """A user_id as a key.

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


class LmdbStore:
    """States in an LMDB environment: one key a user. A batch is written as a whole, and seen so by everyone.

    Parameters
    ----------
    folder : made if it is not there. One process may open it once only; share the object between threads.
    idle_days : users without a behaviour for so long are removed by `sweep`; None: never.

    Raises
    ------
    OSError
        If the folder cannot be used; the message says why.
    """

    def __init__(self, folder: Path, idle_days: float | None = None) -> None:
        self.folder, self.idle_days = folder, idle_days
        folder.mkdir(parents=True, exist_ok=True)
        try:
            # Every commit is synced to disk: Kafka's offsets are committed after it, so what is committed there
            # must survive a power cut here. It costs one sync a batch, not one a user.
            self.environment = lmdb.open(str(folder), map_size=MAP_SIZE, max_readers=512)
            self.environment.reader_check()  # one that was killed while it read would keep old pages for ever
        except lmdb.Error as error:
            raise OSError(f"the capsule store {folder} cannot be opened: {error}") from error

    def get_many(self, user_ids: Sequence[str]) -> list[UserState | None]:
        keys = [user_id.encode() for user_id in user_ids]
        with self.transaction() as transaction:
            values = [transaction.get(key) if 0 < len(key) <= LONGEST_KEY else None for key in keys]
        return [from_bytes(value) if value is not None else None for value in values]

    def put_many(self, states: Iterable[UserState], read: Mapping[str, Position | None] = {}) -> set[str]:
        records = [(state.user_id, key_of(state.user_id), to_bytes(state)) for state in states]
        refused = set()
        with self.transaction(write=True) as transaction:
            for user_id, key, value in records:
                stored = transaction.get(key)
                if (position_of(stored) if stored is not None else None) == read.get(user_id):
                    transaction.put(key, value)
                else:
                    refused.add(user_id)
        return refused

    def replace_many(self, pairs: Iterable[tuple[UserState, UserState]]) -> int:
        records = [(key_of(new.user_id), to_bytes(old), to_bytes(new)) for old, new in pairs]
        refused = 0
        with self.transaction(write=True) as transaction:
            for key, old, new in records:
                if transaction.get(key) == old:
                    transaction.put(key, new)
                else:
                    refused += 1
        return refused

    def sweep(self) -> int:
        with self.explained("read"):
            self.environment.reader_check()
        removed, now_ms = 0, time.time() * 1000
        unreadable: Counter[str] = Counter()
        for keys in self.pages():
            over = self.over_among(keys, now_ms, unreadable)
            removed += self.remove(over, now_ms) if over else 0
        if unreadable:
            [(reason, _)] = unreadable.most_common(1)
            log.warning("%d users stay, whether their time is over or not: %s", unreadable.total(), reason)
        return removed

    def over_among(self, keys: list[bytes], now_ms: float, unreadable: Counter[str]) -> list[bytes]:
        """The keys of users whose time is over; why others cannot be read is counted."""
        with self.transaction() as transaction:
            values = [transaction.get(key) for key in keys]
        over = []
        for key, value in zip(keys, values, strict=True):
            try:
                if self.is_over(value, now_ms):
                    over.append(key)
            except ValueError as error:
                unreadable[str(error)] += 1
        return over

    def remove(self, keys: list[bytes], now_ms: float) -> int:
        """Remove users whose time is still over: an event may have come since they were looked at."""
        with self.transaction(write=True) as transaction:
            return sum(transaction.delete(key) for key in keys if self.is_over(transaction.get(key), now_ms))

    def is_over(self, value: bytes | None, now_ms: float) -> bool:
        """Whether the time of a stored user is over."""
        expires_ms = from_bytes(value).expires_ms(self.idle_days) if value is not None else None
        return expires_ms is not None and expires_ms <= now_ms

    def users(self) -> Iterator[str]:
        for keys in self.pages():
            yield from (key.decode() for key in keys)

    def pages(self) -> Iterator[list[bytes]]:
        """All keys, some at a time."""
        keys = self.keys_after(b"")
        while keys:
            yield keys
            keys = self.keys_after(keys[-1])

    def keys_after(self, last: bytes) -> list[bytes]:
        """The next keys. A transaction that is open for as long as a walk takes would let the file grow meanwhile."""
        with self.transaction() as transaction:
            cursor = transaction.cursor()
            found = cursor.set_range(last) and (cursor.key() != last or cursor.next())
            return list(islice(cursor.iternext(values=False), KEYS_AT_ONCE)) if found else []

    @contextmanager
    def transaction(self, write: bool = False) -> "Iterator[lmdb.Transaction[bytes]]":
        """A transaction of LMDB; what fails in it is an OSError that names the folder."""
        with self.explained("written" if write else "read"), self.environment.begin(write=write) as transaction:
            yield transaction

    @contextmanager
    def explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except lmdb.Error as error:
            raise OSError(f"the capsule store {self.folder} cannot be {done}: {error}") from error

    def close(self) -> None:
        self.environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
