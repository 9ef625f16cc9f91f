"""Where user states are kept. LMDB: embedded, on disk, read and written by several processes of one host.

For several hosts there is redis_store.py.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Protocol, Self

import lmdb

from stream.state import UserState
from stream.state_bytes import from_bytes, position_of, to_bytes

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

    def put_many(self, states: Iterable[UserState]) -> int:
        """Write these states; when it returns they survive the end of the process.

        A state is refused where a later event was applied to the stored one: it comes from an updater that was thought
        dead and whose partitions another one reads by now. Comparing and writing a user is one step, whoever else
        writes. Whether others may see a part of the batch is for each store to say.

        Returns
        -------
        How many states were refused.

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
        """Remove the users whose time is over (`UserState.expires_ms`); how many. A store may also do so by itself."""
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
        except lmdb.Error as error:
            raise OSError(f"the capsule store {folder} cannot be opened: {error}") from error

    def get_many(self, user_ids: Sequence[str]) -> list[UserState | None]:
        keys = [user_id.encode() for user_id in user_ids]
        with self.transaction() as transaction:
            values = [transaction.get(key) if 0 < len(key) <= LONGEST_KEY else None for key in keys]
        return [from_bytes(value) if value is not None else None for value in values]

    def put_many(self, states: Iterable[UserState]) -> int:
        records = [(key_of(state.user_id), state.position, to_bytes(state)) for state in states]
        refused = 0
        with self.transaction(write=True) as transaction:
            for key, position, value in records:
                stored = transaction.get(key)
                if stored is not None and position.precedes(position_of(stored)):
                    refused += 1
                else:
                    transaction.put(key, value)
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
        now_ms = time.time() * 1000
        with self.transaction() as transaction:
            over = [key for key, value in transaction.cursor() if self.is_over(value, now_ms)]
        with self.transaction(write=True) as transaction:
            # Looked at once more: an event may have come between the two.
            return sum(transaction.delete(key) for key in over if self.is_over(transaction.get(key), now_ms))

    def is_over(self, value: bytes | None, now_ms: float) -> bool:
        """Whether the time of a stored user is over."""
        expires_ms = from_bytes(value).expires_ms(self.idle_days) if value is not None else None
        return expires_ms is not None and expires_ms <= now_ms

    def users(self) -> Iterator[str]:
        keys = self.keys_after(b"")
        while keys:
            yield from (key.decode() for key in keys)
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
        try:
            with self.environment.begin(write=write) as transaction:
                yield transaction
        except lmdb.Error as error:
            done = "written" if write else "read"
            raise OSError(f"the capsule store {self.folder} cannot be {done}: {error}") from error

    def close(self) -> None:
        self.environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
