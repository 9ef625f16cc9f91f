"""A batch on its way from poll to commit: what it was decoded to, and what is done of it."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from kafka import TopicPartition

from mindstream.behaviour_rule import BehaviourRule
from stream.dead_letters.writer import DeadLetter
from stream.events.decoders import RecordDecoder, StrictDecoder
from stream.events.event import BadEventError, Event
from stream.events.mapped.event_ids import RecordIds
from stream.events.position import Position
from stream.events.published import published_ms
from stream.kafka.batch import RecordBatch
from stream.kafka.fetch.unreadable_record import UnreadableRecord
from stream.store.state import Arrival, UserState

__all__ = ["PendingBatch", "Stage", "UserEvents", "decode_batch"]

WAY_BACK = "`mindstream stream repair` mends the user, and `dlq redrive` brings the event back"

UserEvents = dict[str, list[Arrival]]  # in the order of each user's partition


class Stage(StrEnum):
    """Stages of a batch, in order; each is named as `Metrics.stalled` counts it."""

    DECODE = "decode"
    STORE = "store"
    DEAD_LETTERS = "dead_letters"
    UPDATES = "updates"


@dataclass
class PendingBatch:
    """A batch that is not committed yet.

    After a failure it goes on with the stage that failed.

    Attributes
    ----------
    batch : the records.
    events : user_id -> the events of the records that count: behaviours, negative and undoing ones, forgets.
    letters : the records that are no events, and those of users who cannot be read.
    stage : the first one that is not done.
    written : users whose events are applied and need not be applied again.
    ignored : partition -> events that are left out, and records without one that counts.
    record_ids : of the topic, where events without an id of their own are known by their record.
    states : user_id -> state, of those whose state was written in this try and is known to be the latest.
    """

    batch: RecordBatch = field(default_factory=RecordBatch)
    events: UserEvents = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)
    stage: Stage = Stage.DECODE
    written: set[str] = field(default_factory=set)
    ignored: Counter[int] = field(default_factory=Counter)
    states: dict[str, UserState] = field(default_factory=dict)
    record_ids: RecordIds | None = None

    def drop(self, partitions: Collection[TopicPartition]) -> None:
        """Leave out what came from these partitions: records, events and dead letters."""
        self.batch = self.batch.without(partitions)
        kept = {record.partition for record in self.batch.records}
        by_user = {
            user_id: [arrival for arrival in arrivals if arrival[1].partition in kept]
            for user_id, arrivals in self.events.items()
        }
        self.events = {user_id: events for user_id, events in by_user.items() if events}
        self.letters = [letter for letter in self.letters if letter.record.partition in kept]
        self.ignored = Counter({partition: count for partition, count in self.ignored.items() if partition in kept})

    def set_aside(self, unreadable: Mapping[str, str]) -> None:
        """Make dead letters of the events of users who cannot be read: user_id -> why."""
        users = {
            (position.partition, position.offset): user_id
            for user_id in unreadable
            for _, position, _ in self.events.pop(user_id, [])
        }
        for record in self.batch.records:
            if (user_id := users.get((record.partition, record.offset))) is not None:
                error = BadEventError("user", f"user {user_id!r} cannot be read: {unreadable[user_id]}; {WAY_BACK}")
                self.letters.append(DeadLetter(record, error, self.record_ids.of(record) if self.record_ids else ""))

    def unwritten(self) -> UserEvents:
        """Return the events of the users who are still to be written."""
        return {user_id: events for user_id, events in self.events.items() if user_id not in self.written}

    def note_written(self, user_ids: Collection[str], states: Iterable[UserState]) -> None:
        """Remember who need not be applied again, and the states that were written for it."""
        self.written.update(user_ids)
        self.states.update({state.user_id: state for state in states})

    def note_failure(self) -> None:
        """Forget the written states: by the next try others may have written those users again."""
        self.states.clear()


def decode_batch(
    batch: RecordBatch, topic_life: str, rule: BehaviourRule, decoder: RecordDecoder | None = None
) -> PendingBatch:
    """Decode the records of a batch into events by user, and dead letters.

    Parameters
    ----------
    topic_life : identity of the topic that the records were read from.
    rule : tells by its event_type whether an event counts; others are ignored.
    decoder : of the topic; None: of our own form.
    """
    decoder = decoder or StrictDecoder()
    if decoder.reads_headers:
        batch = RecordBatch([decoder.whole(record) for record in batch.records])
    decode, record_ids = decoder.decode, RecordIds(topic_life) if decoder.needs_record_ids else None
    pending = PendingBatch(batch, stage=Stage.STORE, record_ids=record_ids)
    for record in batch.records:
        if isinstance(record, UnreadableRecord):
            pending.letters.append(DeadLetter(record, BadEventError("record", record.error)))
            continue
        published = published_ms(record) if record.headers else record.timestamp
        record_id = record_ids.of(record) if record_ids else None
        try:
            events = decode(record.value, record.key, published, record_id)
        except BadEventError as error:
            pending.letters.append(DeadLetter(record, error, record_id or ""))
            continue
        # One for all events of a record: by it they are told from those of a record that was read before.
        position = Position(topic_life, record.partition, record.offset)
        for event in events:
            if isinstance(event, Event) and not rule.counts(event.event_type):
                pending.ignored[record.partition] += 1
                continue
            # A record that does not say when it was published counts as of its event.
            arrival = (event, position, published if published >= 0 else event.event_time_ms)
            pending.events.setdefault(event.user_id, []).append(arrival)
        if not events:
            pending.ignored[record.partition] += 1
    return pending
