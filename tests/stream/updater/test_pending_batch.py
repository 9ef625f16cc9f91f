"""A pending batch: what it is decoded to, and what is left of it when partitions are taken away."""

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from mindstream.behaviour_rule import BehaviourRule
from stream.events.event import Event, Forget, encode
from stream.events.position import Position
from stream.kafka.batch import RecordBatch
from stream.monitoring.metrics import STALLS
from stream.updater.pending_batch import PendingBatch, Stage, decode_batch

START_MS = 1_720_000_000_000


def record(partition: int, offset: int, key: bytes | None, value: bytes | None) -> ConsumerRecord:
    fields = dict.fromkeys(ConsumerRecord._fields) | {
        "topic": "clicks",
        "partition": partition,
        "offset": offset,
        "timestamp": START_MS + offset,
        "key": key,
        "value": value,
        "leader_epoch": -1,
    }
    return ConsumerRecord(**fields)


def click(user_id: str, item_id: str, event_type: str = "click") -> Event:
    return Event(user_id, item_id, START_MS, event_type)


def decoded() -> PendingBatch:
    """Of anna on two partitions, of ben on one, one to be ignored, and two dead letters."""
    records = [
        record(0, 7, *encode(click("anna", "mug"))),
        record(0, 8, b"anna", b"no event"),
        record(0, 9, *encode(click("anna", "seen", "impression"))),
        record(1, 3, *encode(click("ben", "cup"))),
        record(1, 4, *encode(click("anna", "bowl"))),
        record(1, 5, b"ben", None),
        record(1, 6, b"ben", b"{"),
    ]
    return decode_batch(RecordBatch(records), "life", BehaviourRule.parse("impression=0,dislike=-1,undislike=undo"))


def test_records_become_events_by_user_and_dead_letters() -> None:
    pending = decoded()
    assert pending.events == {
        "anna": [
            (click("anna", "mug"), Position("life", 0, 7), START_MS + 7),
            (click("anna", "bowl"), Position("life", 1, 4), START_MS + 4),
        ],
        "ben": [
            (click("ben", "cup"), Position("life", 1, 3), START_MS + 3),
            (Forget("ben", START_MS + 5), Position("life", 1, 5), START_MS + 5),
        ],
    }
    assert [letter.source for letter in pending.letters] == ["clicks[0]@8", "clicks[1]@6"]
    assert (pending.stage, pending.written, pending.states) == (Stage.STORE, set(), {})


def test_negative_and_undoing_events_come_through() -> None:
    events = [click("anna", "mug", kind) for kind in ("dislike", "Undislike", "IMPRESSION", "impression", "buy")]
    records = [record(0, offset, *encode(event)) for offset, event in enumerate(events)]
    rule = BehaviourRule.parse("impression=0,dislike=-1,undislike=undo")
    pending = decode_batch(RecordBatch(records), "life", rule)
    assert [event for event, *_ in pending.events["anna"]] == [events[0], events[1], events[4]]


def test_what_is_taken_away_drops_out_of_all_parts() -> None:
    pending = decoded()
    pending.drop([TopicPartition("clicks", 1), TopicPartition("clicks", 2)])
    assert [one.offset for one in pending.batch.records] == [7, 8, 9]
    assert pending.events == {"anna": [(click("anna", "mug"), Position("life", 0, 7), START_MS + 7)]}
    assert [letter.source for letter in pending.letters] == ["clicks[0]@8"]
    pending.drop([TopicPartition("clicks", 0)])
    assert (list(pending.batch.records), pending.events, pending.letters) == ([], {}, [])


def test_another_topic_s_partition_takes_nothing_away() -> None:
    pending = decoded()
    pending.drop([TopicPartition("another", 0), TopicPartition("another", 1)])
    assert (pending.events, len(pending.batch.records), len(pending.letters)) == (decoded().events, 7, 2)


def test_who_is_written_stays_so_while_partitions_go() -> None:
    pending = decoded()
    pending.note_written(["ben"], [])
    assert set(pending.unwritten()) == {"anna"}
    pending.drop([TopicPartition("clicks", 0)])
    assert pending.unwritten() == {"anna": [(click("anna", "bowl"), Position("life", 1, 4), START_MS + 4)]}


def test_the_stages_are_what_stalls_are_counted_by() -> None:
    assert tuple(Stage) == STALLS
