"""Whose dead letters lie on the topic: those by whose key or content a user can be told."""

import sys
from collections.abc import Collection, Iterator
from contextlib import suppress

from tqdm import tqdm

from stream.dead_letters.letter import Letter
from stream.dead_letters.topic_reader import DeadLetterTopic
from stream.events.decoders import RecordDecoder
from stream.kafka.cluster import Cluster

__all__ = ["letters_of", "owners_of"]


def owners_of(letter: Letter, decoder: RecordDecoder) -> set[str]:
    """Return the users in a letter's key, and in its value as far as the decoder can tell."""
    owners = decoder.users_in(letter.value, letter.key)
    with suppress(UnicodeDecodeError):
        owners.add((letter.key or b"").decode())
    return owners - {""}


def letters_of(cluster: Cluster, topic: str, user_ids: Collection[str], decoder: RecordDecoder) -> Iterator[Letter]:
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
        yield from (letter for letter in bar if owners_of(letter, decoder) & wanted)
