"""Redriving: dead letters that are events by now go back to the topic they came from, and each is applied once.

An event without an event_id gets the position of its first record as its event_id (with a mapping: by a header).
However often it is sent, the updater applies it once: to a user's history it is a duplicate from then on. It counts as
published when the record was that the letter is of, so it does not bring back a user who was forgotten since.
"""

import re

import msgspec

from stream.dead_letters.letter import Letter
from stream.events.decoders import RecordDecoder, StrictDecoder
from stream.events.event import Event, Forget
from stream.events.mapped.event_ids import HEADER, id_of_source
from stream.events.producer import EventProducer

__all__ = ["LONGEST_EVENT_ID", "Redrive", "record_to_send", "with_event_id"]

LONGEST_EVENT_ID = 128  # characters; a topic's name alone may have 249


class Redrive:
    """One pass over dead letters, which sends the event of each record once.

    Attributes
    ----------
    sent : the records that were sent, see `Letter.record`.
    """

    def __init__(self, producer: EventProducer) -> None:
        self.producer = producer
        self.sent: set[tuple[str, int | None]] = set()

    def _headers(self, letter: Letter) -> list[tuple[str, bytes]]:
        """Return the header that names the letter's record; none where events need no names."""
        if not self.producer.decoder.needs_record_ids:
            return []
        # A letter of before there was a mapping says none.
        record_id = letter.record_id or id_of_source(f"{letter.source} {letter.source_ms}")
        return [(HEADER, record_id.encode())]

    def send(self, letter: Letter) -> bool:
        """Send the event in a letter; return False if its record was sent before.

        That is where another letter of the same record was sent already.

        Raises
        ------
        ValueError
            If it holds no event, or is not of this topic.
        OSError
            If the broker does not answer.
        """
        if letter.record in self.sent:
            return False
        key, value = record_to_send(letter, self.producer.topic, self.producer.decoder)
        self.producer.send_record(key, value, letter.counts_from_ms, self._headers(letter))
        self.sent.add(letter.record)
        return True


def record_to_send(letter: Letter, topic: str, decoder: RecordDecoder | None = None) -> tuple[bytes | None, bytes]:
    """Return the key and value to send for a letter.

    The key is never made from the value: it was either mended or the user's all along.

    Raises
    ------
    ValueError
        Says why this letter cannot be sent.
    """
    decoder = decoder or StrictDecoder()
    if not re.fullmatch(rf"{re.escape(topic)}\[\d+\]@\d+", letter.source):
        raise ValueError(f"its source is {letter.source!r}; it must be {topic}[partition]@offset")
    if letter.truncated is not None:
        raise ValueError(f"the letter is truncated: it holds the beginning of {letter.truncated:,} bytes only")
    events = decoder.decode(letter.value, letter.key, letter.counts_from_ms)
    if any(isinstance(one, Forget) for one in events) or letter.value is None:
        # Sent again it would delete what came after it. It has no event_id to be known by.
        raise ValueError("it has no value, which forgets a user; that is not redriven: `mindstream stream forget USER`")
    if decoder.needs_record_ids:  # a header names its events; what shape the value has is not ours
        return letter.key, letter.value
    has_ids = all(isinstance(one, Event) and one.event_id for one in events)
    return letter.key, letter.value if has_ids else with_event_id(letter.value, letter.source)


def with_event_id(value: bytes, source: str) -> bytes:
    """Return an event's JSON with an event_id at its end.

    There it counts even if an empty one stands before it.

    The rest stays byte for byte as it is, fields that Mindstream does not know too.
    """
    event_id = source[-LONGEST_EVENT_ID:]
    return value.rstrip()[:-1] + b',"event_id":' + msgspec.json.encode(event_id) + b"}"
