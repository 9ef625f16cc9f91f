"""Whose dead letters lie on the topic: those by whose key or content a user can be told."""

import sys
from collections.abc import Collection, Iterator
from contextlib import suppress

import msgspec
from tqdm import tqdm

from stream.dead_letters.letter import Letter
from stream.dead_letters.topic_reader import DeadLetterTopic
from stream.events.event import NO_JSON
from stream.kafka.cluster import Cluster

__all__ = ["letters_of", "owners_of"]


class _Named(msgspec.Struct):
    """A JSON object that names a user, whatever else is wrong with it."""

    user_id: str


_decoder = msgspec.json.Decoder(_Named)


def owners_of(letter: Letter) -> set[str]:
    """Return the user_ids in a letter's key, and in its value if that is JSON."""
    owners = set()
    with suppress(UnicodeDecodeError):
        owners.add((letter.key or b"").decode())
    with suppress(*NO_JSON):
        owners.add(_decoder.decode(letter.value or b"").user_id)
    return owners - {""}


def letters_of(cluster: Cluster, topic: str, user_ids: Collection[str]) -> Iterator[Letter]:
    """Yield the dead letters of these users, of all that lie on the topic now.

    All letters are read for it, as they lie on any partition. Where that takes long, a terminal shows how far it is.

    Raises
    ------
    OSError
        If the broker does not answer.
    """
    wanted = set(user_ids)
    with (
        DeadLetterTopic(cluster, topic) as found,
        tqdm(
            found, desc="reading dead letters", unit="letter", delay=1, leave=False, disable=not sys.stderr.isatty()
        ) as bar,
    ):
        yield from (letter for letter in bar if owners_of(letter) & wanted)
