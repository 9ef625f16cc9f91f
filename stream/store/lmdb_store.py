"""User states in LMDB: embedded, on disk, read and written by several processes of one host."""

import logging
import mmap
import shutil
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Self

import lmdb

from mindstream.counted import counted
from mindstream.files import file_system_of
from mindstream.host_lock import HostLock
from stream.events.position import Position
from stream.store.codec import HEAD, is_at, is_same, renewed, to_bytes
from stream.store.contract import LONGEST_KEY, Claimant, key_of, user_ids_among
from stream.store.lmdb_claim import claim
from stream.store.state import MARKER_DAYS, UserState
from stream.store.unreadable import Unreadable, state_of, states_in

__all__ = ["KEYS_AT_ONCE", "LmdbStore"]

log = logging.getLogger(__name__)

KEYS_AT_ONCE = 1_000
SIZE_GB = 64.0
GB = 2**30
READERS_SIZE_GB = 1024.0  # a reader can read whatever size a writer is allowed; it is address space, nothing else
NETWORKED = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "afs", "fuse.sshfs", "fuse.glusterfs")
# What to do about errors of LMDB; {} is the size in gigabytes.
ADVICE: dict[type[lmdb.Error], str] = {
    lmdb.MapFullError: (
        "it has all the {:g} GB that MINDSTREAM_LMDB_GB allows: set more for all processes that use it and start "
        "them again, let users who are gone be removed (MINDSTREAM_IDLE_DAYS), or use Redis (MINDSTREAM_REDIS)"
    ),
    lmdb.MapResizedError: (
        "a process whose MINDSTREAM_LMDB_GB is larger than {:g}, which is this one's, has let it grow: set the same "
        "and start again"
    ),
    lmdb.PanicError: "start again, and LMDB goes on from the last commit",
    lmdb.ReadonlyError: "it was opened to read only",
}
OR_REDIS = "or use Redis (MINDSTREAM_REDIS)"
WRITTEN = struct.Struct(">I")  # Unix time in seconds, behind a state's bytes; older formats have none
NOT_KNOWN = WRITTEN.pack(0)


class LmdbStore:
    """States in an LMDB environment: one key a user, whose value is the state's bytes and when they were written.

    A batch is written as a whole, and seen so by everyone.

    Parameters
    ----------
    folder : made if it is not there. One process may open it once only; share the object between threads.
    idle_days : users without a behaviour for so long are removed by `remove_expired`; None: never.
    marker_days : who was forgotten is remembered as such for so long.
    size_gb : the file grows no further, in units of 2**30 bytes.
    read_only : nothing that is done through it can change what is stored.

    Raises
    ------
    OSError
        If the folder cannot be used, or processes of another host or container use it; the message says why.
    """

    def __init__(
        self,
        folder: Path,
        idle_days: float | None = None,
        marker_days: float = MARKER_DAYS,
        size_gb: float = SIZE_GB,
        read_only: bool = False,
    ) -> None:
        self.folder, self.idle_days, self.marker_days, self.size_gb = folder, idle_days, marker_days, size_gb
        folder.mkdir(parents=True, exist_ok=True)
        if (kind := file_system_of(folder)) in NETWORKED:
            log.warning(
                "the capsule store %s lies on %s, a file system of the network, on which LMDB may lose what it has "
                "written; right is a disk of this host (MINDSTREAM_HOME), %s",
                *(folder, kind, OR_REDIS),
            )
        self.host = self._locked()
        try:
            if read_only and not (folder / "data.mdb").exists():
                self._open(size_gb).close()  # which makes it
            self.environment = self._open(max(size_gb, READERS_SIZE_GB), True) if read_only else self._open(size_gb)
            self.environment.reader_check()  # one that was killed while it read would keep old pages for ever
        except lmdb.Error as error:
            self.host.close()
            raise OSError(f"the capsule store {folder} cannot be opened: {error}") from error

    def _locked(self) -> HostLock:
        """Lock the folder for the processes of this host."""
        try:
            return HostLock(self.folder / "host.lock")
        except BlockingIOError as error:
            raise OSError(
                f"the capsule store {self.folder} cannot be opened: {error}; LMDB serves processes of one host that "
                f"see each other: run them in one container (or pid namespace), {OR_REDIS}"
            ) from error
        except OSError as error:
            raise OSError(
                f"the capsule store {self.folder} cannot be opened: {error.strerror}; "
                f"who only reads has to be allowed to write into the folder too, for LMDB's locks, {OR_REDIS}"
            ) from error

    def _open(self, size_gb: float, read_only: bool = False) -> lmdb.Environment:
        """Open the environment.

        Every commit is synced to disk: Kafka's offsets are committed after it, so what is committed there must survive
        a power cut here. It costs one sync a batch, not one a user.
        """
        size = max(1, round(size_gb * GB / mmap.PAGESIZE)) * mmap.PAGESIZE
        return lmdb.open(str(self.folder), map_size=size, max_readers=512, readonly=read_only)

    def get_many(self, user_ids: Sequence[str]) -> list[UserState | None]:
        """Read the states of these users, see `Store`."""
        keys = [user_id.encode() for user_id in user_ids]
        with self.transaction() as transaction:
            values = [transaction.get(key) if 0 < len(key) <= LONGEST_KEY else None for key in keys]
        return states_in(user_ids, values, _state_in)

    def put_many(self, states: Iterable[UserState], read: Mapping[str, Position | None] = {}) -> set[str]:
        """Write states over what they were made from, see `Store`."""
        written = WRITTEN.pack(int(time.time()))
        records = [(state.user_id, key_of(state.user_id), to_bytes(state) + written) for state in states]
        refused = set()
        with self.transaction(write=True) as transaction:
            for user_id, key, value in records:
                if is_at(transaction.get(key), read.get(user_id)):
                    transaction.put(key, value)
                else:
                    refused.add(user_id)
        return refused

    def replace_many(self, pairs: Iterable[tuple[UserState, UserState]]) -> int:
        """Write states over the very bytes that they replace, see `Store`."""
        records = [(new.user_id, key_of(new.user_id), to_bytes(old), to_bytes(new)) for old, new in pairs]
        refused = 0
        with self.transaction(write=True) as transaction:
            for user_id, key, old, new in records:
                stored, written = _parted(transaction.get(key))
                if is_same(user_id, stored, old):
                    transaction.put(key, new + written)
                else:
                    refused += 1
        return refused

    def renew_many(self, user_ids: Sequence[str]) -> tuple[int, list[str]]:
        """Write users anew who are stored in an older format, see `Store`."""
        keys = [(user_id, key_of(user_id)) for user_id in user_ids]
        with self.transaction() as transaction:
            stored = [(*one, transaction.get(one[1])) for one in keys]
        older = [(user_id, key) for user_id, key, value in stored if _is_older(value)]
        unreadable = [user_id for user_id, _, value in stored if not _is_older(value) and _why_not(user_id, value)]
        if not older:
            return 0, unreadable
        number = 0
        with self.transaction(write=True) as transaction:
            for user_id, key in older:
                value = transaction.get(key)
                try:
                    if value is not None and _is_older(value):
                        number += transaction.put(key, renewed(user_id, value) + NOT_KNOWN)
                except ValueError:
                    unreadable.append(user_id)
        return number, unreadable

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
            stay = counted(len(unreadable), "user")
            log.warning("%s cannot be read, and cannot expire: %s", stay, named)
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
        state = _state_in(key.decode(), value)
        [written_s] = WRITTEN.unpack(_parted(value)[1])
        expires_ms = state.expires_ms(self.idle_days, self.marker_days, written_s * 1000) if state else None
        return expires_ms is not None and expires_ms <= now_ms

    def unreadable(self, user_ids: Sequence[str]) -> list[Unreadable]:
        """Return what is stored of those of these users who cannot be read."""
        found = []
        with self.transaction() as transaction:
            stored = [(user_id, transaction.get(key_of(user_id))) for user_id in user_ids]
        for user_id, value in stored:
            if reason := _why_not(user_id, value):
                found.append(Unreadable(user_id, reason, value or b""))
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
        """Raise an error of LMDB as an OSError that names the folder, and what to do."""
        try:
            yield
        except lmdb.Error as error:
            raise OSError(
                f"the capsule store {self.folder} cannot be {done}: {error}; {self._advice(error)}"
            ) from error

    def _advice(self, error: lmdb.Error) -> str:
        """Return what to do about an error.

        Of a full disk LMDB may say no more than "Input/output error".
        """
        for kind, advice in ADVICE.items():
            if isinstance(error, kind):
                return advice.format(self.size_gb)
        return f"its disk has {shutil.disk_usage(self.folder).free / 1e6:,.1f} MB free"

    def claim(self, who: Claimant) -> None:
        """Make sure that nothing is lacking that is committed, see `Store`."""
        claim(self.folder, who, lambda: next(self.users(), None) is None)

    def marks(self) -> str:
        """Return nothing: each write is on disk before it is acknowledged."""
        return ""

    def problem(self) -> str | None:
        """Return None: what is wrong with LMDB is said by the call that meets it."""
        return None

    def close(self) -> None:
        """Close the environment."""
        self.environment.close()
        self.host.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _state_in(user_id: str, value: bytes | None) -> UserState | None:
    """Read the state in a value."""
    return state_of(user_id, _parted(value)[0])


def _why_not(user_id: str, value: bytes | None) -> str | None:
    """Return why a value cannot be read; None where it can, or there is none."""
    try:
        _state_in(user_id, value)
    except ValueError as error:
        return str(error)
    return None


def _parted(value: bytes | None) -> tuple[bytes | None, bytes]:
    """Part a value into the state's bytes and when they were written."""
    if value is None or not value.startswith(HEAD):
        return value, NOT_KNOWN
    return value[: -WRITTEN.size], value[-WRITTEN.size :]


def _is_older(value: bytes | None) -> bool:
    """Tell whether a value is there and is in an older format, or not ours."""
    return value is not None and not value.startswith(HEAD)
