"""User states in LMDB: embedded, on disk, read and written by several processes of one host."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Self

import lmdb

from stream.events.position import Position
from stream.store.codec import position_of, to_bytes
from stream.store.contract import LONGEST_KEY, key_of, user_ids_among
from stream.store.state import MARKER_DAYS, UserState
from stream.store.unreadable import Unreadable, state_of, states_in

__all__ = ["KEYS_AT_ONCE", "LmdbStore"]

log = logging.getLogger(__name__)

KEYS_AT_ONCE = 1_000
MAP_SIZE = 64 * 2**30  # bytes of address space, not of disk; about 15 million users


class LmdbStore:
    """States in an LMDB environment: one key a user.

    A batch is written as a whole, and seen so by everyone.

    Parameters
    ----------
    folder : made if it is not there. One process may open it once only; share the object between threads.
    idle_days : users without a behaviour for so long are removed by `remove_expired`; None: never.
    marker_days : who was forgotten is remembered as such for so long.

    Raises
    ------
    OSError
        If the folder cannot be used; the message says why.
    """

    def __init__(self, folder: Path, idle_days: float | None = None, marker_days: float = MARKER_DAYS) -> None:
        self.folder, self.idle_days, self.marker_days = folder, idle_days, marker_days
        folder.mkdir(parents=True, exist_ok=True)
        try:
            # Every commit is synced to disk: Kafka's offsets are committed after it, so what is committed there
            # must survive a power cut here. It costs one sync a batch, not one a user.
            self.environment = lmdb.open(str(folder), map_size=MAP_SIZE, max_readers=512)
            self.environment.reader_check()  # one that was killed while it read would keep old pages for ever
        except lmdb.Error as error:
            raise OSError(f"the capsule store {folder} cannot be opened: {error}") from error

    def get_many(self, user_ids: Sequence[str]) -> list[UserState | None]:
        """Read the states of these users, see `Store`."""
        keys = [user_id.encode() for user_id in user_ids]
        with self.transaction() as transaction:
            values = [transaction.get(key) if 0 < len(key) <= LONGEST_KEY else None for key in keys]
        return states_in(user_ids, values, state_of)

    def put_many(self, states: Iterable[UserState], read: Mapping[str, Position | None] = {}) -> set[str]:
        """Write states over what they were made from, see `Store`."""
        records = [(state.user_id, key_of(state.user_id), to_bytes(state)) for state in states]
        refused = set()
        with self.transaction(write=True) as transaction:
            for user_id, key, value in records:
                if _is_of(transaction.get(key), read.get(user_id)):
                    transaction.put(key, value)
                else:
                    refused.add(user_id)
        return refused

    def replace_many(self, pairs: Iterable[tuple[UserState, UserState]]) -> int:
        """Write states over the very bytes that they replace, see `Store`."""
        records = [(key_of(new.user_id), to_bytes(old), to_bytes(new)) for old, new in pairs]
        refused = 0
        with self.transaction(write=True) as transaction:
            for key, old, new in records:
                if transaction.get(key) == old:
                    transaction.put(key, new)
                else:
                    refused += 1
        return refused

    def remove_expired(self) -> int:
        """Remove the users whose time is over, see `Store`."""
        with self._explained("read"):
            self.environment.reader_check()
        removed, now_ms = 0, time.time() * 1000
        unreadable: dict[bytes, str] = {}
        for keys in self._pages():
            over = self._over_among(keys, now_ms, unreadable)
            removed += self.remove(over, now_ms) if over else 0
        if unreadable:
            named = "; ".join(f"{key.decode(errors='replace')!r}: {why}" for key, why in islice(unreadable.items(), 3))
            log.warning("%d users stay, whether their time is over or not: %s", len(unreadable), named)
        return removed

    def _over_among(self, keys: list[bytes], now_ms: float, unreadable: dict[bytes, str]) -> list[bytes]:
        """Return the keys of users whose time is over; note why others cannot be read."""
        with self.transaction() as transaction:
            values = [transaction.get(key) for key in keys]
        over = []
        for key, value in zip(keys, values, strict=True):
            try:
                if self._is_over(key, value, now_ms):
                    over.append(key)
            except ValueError as error:
                unreadable[key] = str(error)
        return over

    def remove(self, keys: list[bytes], now_ms: float) -> int:
        """Remove those of these users whose time is still over.

        An event may have come since they were looked at.
        """
        removed = 0
        with self.transaction(write=True) as transaction:
            for key in keys:
                with suppress(ValueError):  # unreadable by now
                    removed += self._is_over(key, transaction.get(key), now_ms) and transaction.delete(key)
        return removed

    def _is_over(self, key: bytes, value: bytes | None, now_ms: float) -> bool:
        """Tell whether the time of a stored user is over."""
        state = state_of(key.decode(), value)
        expires_ms = state.expires_ms(self.idle_days, self.marker_days) if state else None
        return expires_ms is not None and expires_ms <= now_ms

    def unreadable(self, user_ids: Sequence[str]) -> list[Unreadable]:
        """Return what is stored of those of these users who cannot be read."""
        found = []
        with self.transaction() as transaction:
            stored = [(user_id, transaction.get(key_of(user_id))) for user_id in user_ids]
        for user_id, value in stored:
            try:
                state_of(user_id, value)
            except ValueError as error:
                found.append(Unreadable(user_id, str(error), value or b""))
        return found

    def remove_unreadable(self, found: Iterable[Unreadable]) -> set[str]:
        """Remove what could not be read, see `Store`."""
        records = [(one.user_id, key_of(one.user_id), one.stored) for one in found]
        with self.transaction(write=True) as transaction:
            return {
                user_id
                for user_id, key, stored in records
                if not (transaction.get(key) == stored and transaction.delete(key))
            }

    def put_back(self, removed: Iterable[Unreadable]) -> set[str]:
        """Store once more what was removed, see `Store`."""
        records = [(one.user_id, key_of(one.user_id), one.stored) for one in removed]
        with self.transaction(write=True) as transaction:
            return {user_id for user_id, key, stored in records if not transaction.put(key, stored, overwrite=False)}

    def users(self) -> Iterator[str]:
        """Yield every user_id, in the order of their bytes."""
        yield from user_ids_among((key for keys in self._pages() for key in keys), str(self.folder))

    def _pages(self) -> Iterator[list[bytes]]:
        """Yield all keys, some at a time."""
        keys = self._keys_after(b"")
        while keys:
            yield keys
            keys = self._keys_after(keys[-1])

    def _keys_after(self, last: bytes) -> list[bytes]:
        """Return the next keys.

        A transaction that is open for as long as a walk takes would let the file grow meanwhile.
        """
        with self.transaction() as transaction:
            cursor = transaction.cursor()
            found = cursor.set_range(last) and (cursor.key() != last or cursor.next())
            return list(islice(cursor.iternext(values=False), KEYS_AT_ONCE)) if found else []

    @contextmanager
    def transaction(self, write: bool = False) -> "Iterator[lmdb.Transaction[bytes]]":
        """Open a transaction of LMDB; what fails in it is an OSError that names the folder."""
        with self._explained("written" if write else "read"), self.environment.begin(write=write) as transaction:
            yield transaction

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        """Raise an error of LMDB as an OSError that names the folder."""
        try:
            yield
        except lmdb.Error as error:
            raise OSError(f"the capsule store {self.folder} cannot be {done}: {error}") from error

    def close(self) -> None:
        """Close the environment."""
        self.environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_of(stored: bytes | None, read: Position | None) -> bool:
    """Tell whether what is stored has the Position that was read."""
    try:
        return (None if stored is None else position_of(stored)) == read
    except ValueError:  # unreadable, which nobody can have read
        return False
