"""The keys of the HTTP API with their scopes: those of the settings, and those of a file that is followed."""

import hmac
import logging
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from mindstream.settings import Settings

__all__ = ["EVENTS_SCOPE", "ITEMS_SCOPE", "READ_SCOPE", "Key", "Keys"]

log = logging.getLogger(__name__)

READ_SCOPE, ITEMS_SCOPE, EVENTS_SCOPE = "read", "items", "events"
LOOK_EVERY_S = 1.0
RIGHT = 'a table for each key, such as [web-shop] with key = "..." and scopes = ["read"]'
Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Key:
    """A key and what it opens.

    Attributes
    ----------
    name : of the variable or of the table of the file; it is no secret.
    secret : what clients send.
    scopes : READ_SCOPE (users, similar items, an item), ITEMS_SCOPE (to put, remove and restore them), EVENTS_SCOPE (to
        post them).
    """

    name: str
    secret: bytes
    scopes: frozenset[str]


class _KeyInFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file."""

    key: Annotated[str, msgspec.Meta(pattern="^[!-~]+$", min_length=16)]
    scopes: Annotated[list[Literal["read", "items", "events"]], msgspec.Meta(min_length=1)]


class Keys:
    """The keys that hold now.

    The file is looked at once a second when something is asked. Where it cannot be read any more, or says what is not
    right, the keys that it had stay, and the log says once what is wrong.

    Parameters
    ----------
    settings : with two keys and the file, of which each may be missing.
    clock : seconds, for when the file is looked at again.

    Raises
    ------
    ValueError
        If the file is not right; names the key, and never what clients send.
    OSError
        If it cannot be read.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.file, self._clock = settings.api_keys_file, clock
        self._fixed = _keys_of(settings)
        self._seen: Stamp | None = None
        self._from_file: tuple[Key, ...] = ()
        self._fault, self._looked_at = "", clock()
        if self.file is not None:
            self._seen = _stamp(self.file)
            self._from_file = _read(self.file, self._fixed)

    def current(self) -> tuple[Key, ...]:
        """Return the keys that hold now."""
        if self.file is not None and self._clock() - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = self._clock()
            self._look(self.file)
        return self._fixed + self._from_file

    def _look(self, file: Path) -> None:
        """Read the file if it has changed."""
        fault, before = "", self._seen
        self._seen = _stamp(file)
        if self._seen == before:
            return
        try:
            self._from_file = _read(file, self._fixed)
            log.info("keys of %s are read anew: %s", file, ", ".join(key.name for key in self._from_file))
        except (OSError, ValueError) as error:
            fault = str(error)
            if fault != self._fault:
                log.error("the keys that were read before stay: %s", fault)
        self._fault = fault

    def find(self, given: bytes) -> Key | None:
        """Find the key that a client sent; the time that it takes says nothing of the keys."""
        found = None
        for key in self.current():
            if hmac.compare_digest(given, key.secret):
                found = key
        return found

    def have(self, scope: str) -> bool:
        """Tell whether some key opens a scope."""
        return any(scope in key.scopes for key in self.current())


def _keys_of(settings: Settings) -> tuple[Key, ...]:
    """Return the keys of the settings: one that reads and changes items, and one for events."""
    given = (
        ("MINDSTREAM_API_KEY", settings.api_key, frozenset({READ_SCOPE, ITEMS_SCOPE})),
        ("MINDSTREAM_WRITE_KEY", settings.write_key, frozenset({EVENTS_SCOPE})),
    )
    return tuple(Key(name, key.get_secret_value().encode(), scopes) for name, key, scopes in given if key)


def _stamp(file: Path) -> Stamp | None:
    """Return what changes with a file; None where it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(file: Path, others: tuple[Key, ...]) -> tuple[Key, ...]:
    """Read the keys of a file, none of which may be one of the others.

    Raises
    ------
    ValueError
        If it says what is not right.
    OSError
        If it cannot be read.
    """
    try:
        text = file.read_bytes()
    except OSError as error:
        raise OSError(
            f"{file} (MINDSTREAM_API_KEYS_FILE) cannot be read: {error.strerror or error}; right is {RIGHT}"
        ) from error
    try:
        tables = tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        where = error if isinstance(error, tomllib.TOMLDecodeError) else "it is not UTF-8"
        raise ValueError(f"{file} (MINDSTREAM_API_KEYS_FILE) is no TOML: {where}; right is {RIGHT}") from None
    found: tuple[Key, ...] = ()
    for name, table in tables.items():
        found += (_key_of(file, name, table, others + found),)
    if not found:
        raise ValueError(f"{file} (MINDSTREAM_API_KEYS_FILE) has no key; right is {RIGHT}")
    return found


def _key_of(file: Path, name: str, table: object, others: tuple[Key, ...]) -> Key:
    """Return the key of a table; raise ValueError unless it is right, and no other's."""
    if not isinstance(table, dict):
        raise ValueError(f"{name!r} in {file} (MINDSTREAM_API_KEYS_FILE) stands outside of a table; right is {RIGHT}")
    try:
        said = msgspec.convert(table, _KeyInFile)
    except msgspec.ValidationError as error:
        raise ValueError(
            f"the key {name!r} in {file} (MINDSTREAM_API_KEYS_FILE) is not right: {error}; right are a key of 16 or "
            f"more visible ASCII characters and scopes of {READ_SCOPE}, {ITEMS_SCOPE} and {EVENTS_SCOPE}"
        ) from None
    secret = said.key.encode()
    for other in others:
        if hmac.compare_digest(secret, other.secret):
            raise ValueError(f"the key {name!r} in {file} (MINDSTREAM_API_KEYS_FILE) is that of {other.name!r} too")
    return Key(name, secret, frozenset(said.scopes))
