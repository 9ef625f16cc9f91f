"""What records say beside their values; keys: text, text in quotes as JSON writes it, or an object."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from mindstream.limits import LONGEST_USER_ID
from stream.events.event import BadEventError, excerpt
from stream.events.mapped.cells import id_of
from stream.events.mapped.paths import KEY, Path, Row, value_at
from stream.events.registry.prefix import is_prefixed
from stream.events.value_reader import ValueReader

__all__ = ["Envelope", "key_in", "user_in_key", "value_in"]


@dataclass(frozen=True)
class Envelope:
    """What a record says beside its value.

    Attributes
    ----------
    key : as an object; None if it is none, or cannot be read.
    published_ms : Unix time in milliseconds.
    record_id : what its events are known by, where they have no id of their own.
    raw_key : its bytes, for messages.
    """

    key: object
    published_ms: int
    record_id: str | None = None
    raw_key: bytes | None = None


def key_in(key: bytes | None, reader: ValueReader) -> object:
    """Return a record's key as text or an object; None if there is none that can be read."""
    if key is None:
        return None
    if is_prefixed(key):
        try:
            return reader.read(key)
        except BadEventError:
            return None
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return None
    if text.strip()[:1] in ('"', "{"):
        try:
            return msgspec.json.decode(key)
        except (msgspec.DecodeError, RecursionError):
            return text
    return text if text.isprintable() else None


def value_in(row: Row, path: Path, envelope: Envelope) -> object:
    """Return what stands at a path, in the value or in the record's key."""
    if not path.is_of_record:
        return value_at(row[path.home], path.names)
    return value_at(envelope.key, path.names[KEY.count(".") + 1 :])


def user_in_key(key: bytes | None, users: Sequence[Path], reader: ValueReader) -> str:
    """Return the user whom a record without a value forgets: the one in its key.

    Parameters
    ----------
    users : where the mapping says that users stand; a name in the key (kafka.key.id) counts if that is an object.

    Raises
    ------
    BadEventError
        If the key is no user's id.
    """
    given = key_in(key, reader)
    found = [value_at(given, path.names[KEY.count(".") + 1 :]) for path in users if path.text.startswith(f"{KEY}.")]
    user_id = next(filter(None, map(id_of, [given, *found])), None)
    if user_id is None or len(user_id) > LONGEST_USER_ID:
        raise BadEventError(
            "key",
            f"the record has no value, which forgets a user, but its key is {excerpt(key)}; it must be a user's id of "
            f"1 to {LONGEST_USER_ID} characters, as text or in quotes",
        )
    return user_id
