"""Records by a mapping on their way into a user's state: several events of one, and replays over two partitions."""

import json
from itertools import permutations
from typing import Any

import numpy as np
from kafka.consumer.fetcher import ConsumerRecord

from mindstream.behaviour_rule import BehaviourRule
from mindstream.mapping import Mapping
from model_export.bundle.extractor import Capsules
from stream.dead_letters.letter import from_line, read_record, to_line
from stream.events.event import Event
from stream.events.mapped.decoder import MappedDecoder
from stream.events.mapped.event_ids import HEADER, RecordIds
from stream.kafka.batch import RecordBatch
from stream.store.state import UserState, apply
from stream.updater.pending_batch import PendingBatch, decode_batch

RULE = BehaviourRule.parse("impression=0,dislike=-1")
AT = 1_769_860_800_000
NO_CAPSULES = Capsules(np.zeros((0, 4), np.float16), np.zeros(0, np.float16), "m-1")


def record(partition: int, offset: int, value: Any, key: bytes | None = None, **more: Any) -> ConsumerRecord:
    fields = dict.fromkeys(ConsumerRecord._fields) | {
        **{"topic": "clicks", "partition": partition, "offset": offset, "timestamp": AT + 1_000, "key": key},
        **{"value": json.dumps(value).encode(), "leader_epoch": -1, **more},
    }
    return ConsumerRecord(**fields)


def order(user: str, *items: str, at: int = AT, kind: str = "buy") -> dict[str, Any]:
    return {"user": user, "at": at, "kind": kind, "items": [{"id": item} for item in items]}


def decoded(*records: ConsumerRecord) -> PendingBatch:
    decoder = MappedDecoder(Mapping(user="user", item="items[].id", time="at", type="kind"), counts=RULE.counts)
    return decode_batch(RecordBatch(records), "life", RULE, decoder)


def after(state: UserState | None, *records: ConsumerRecord, user: str = "ann") -> UserState | None:
    """The user once an updater has read these records in one batch."""
    applied = apply(user, state, decoded(*records).events.get(user, []), 100, RULE)
    return applied.with_capsules(NO_CAPSULES) if applied else state


def kept(state: UserState | None) -> tuple[Any, ...]:
    assert state is not None
    return state.history, state.feedback, state.profile


def test_all_events_of_a_record_are_applied_once() -> None:
    one = record(0, 7, order("ann", "mug", "cup", "mug"))
    state = after(None, one)
    assert state is not None
    assert state.history.item_ids == ("mug", "cup", "mug")
    assert (state.position.partition, state.position.offset) == (0, 7)
    assert after(state, one) is state  # read again after a restart
    more = after(state, one, record(0, 8, order("ann", "bowl", "jug", at=AT + 1)))
    assert more is not None
    assert more.history.item_ids == ("mug", "cup", "mug", "bowl", "jug")


def test_many_events_of_one_moment_stay_in_the_order_of_their_record() -> None:
    items = [f"item-{number}" for number in range(30)]
    state = after(None, record(0, 9, order("ann", *items[:20])), record(0, 10, order("ann", *items[20:])))
    assert state is not None
    assert list(state.history.item_ids) == items


def test_a_replay_over_two_partitions_in_any_order_changes_nothing() -> None:
    records = [
        record(0, 3, order("ann", "mug", "cup")),
        record(1, 5, order("ann", "bowl", at=AT + 10)),
        record(0, 4, order("ann", "cup", at=AT + 20, kind="dislike"), key=b"ann"),
        record(1, 6, order("ann", "jug", "pot", at=AT + 30)),
    ]
    state = after(None, *records)
    assert state is not None
    assert (state.history.item_ids, state.unwanted) == (("mug", "bowl", "jug", "pot"), ("cup",))
    for replay in permutations(records):
        again: UserState | None = state
        for one in replay:  # each in a batch of its own, then all at once
            again = after(again, one)
        assert kept(after(again, *replay)) == kept(state)


def test_a_record_of_several_users_is_each_user_s() -> None:
    decoder = MappedDecoder(Mapping(user="[].u", item="[].i"))
    value = [{"u": "ann", "i": "a"}, {"u": "ben", "i": "b"}, {"u": "ann", "i": "c"}]
    pending = decode_batch(RecordBatch([record(0, 1, value)]), "life", RULE, decoder)
    found = {user: [event.item_id for event, *_ in arrivals] for user, arrivals in pending.events.items()}  # type: ignore[union-attr]
    assert found == {"ann": ["a", "c"], "ben": ["b"]}


def test_what_is_left_out_is_counted_once_a_record() -> None:
    pending = decoded(
        record(0, 1, order("ann", "a", kind="impression")),
        record(0, 2, {"user": "ann", "at": AT, "kind": "impression"}),  # no item, and no weight
        record(1, 3, order("ann", "a")),
        record(1, 4, {"user": "ann", "at": AT, "kind": "buy"}),
    )
    assert (pending.ignored, len(pending.letters)) == ({0: 2}, 1)
    pending.drop([])
    assert pending.ignored.total() == 2


def test_a_record_that_is_sent_again_is_known_by_its_header() -> None:
    first = record(0, 7, order("ann", "mug", "cup"))
    state = after(None, first)
    header = [(HEADER, RecordIds("life").at(0, 7).encode())]
    again = after(state, record(1, 20, order("ann", "mug", "cup"), headers=header))
    assert kept(again) == kept(state)
    assert kept(after(state, record(1, 20, order("ann", "mug", "cup"), headers=[(HEADER, b"\xff")]))) != kept(state)


def test_ids_are_of_one_life_partition_and_offset_each_and_in_order() -> None:
    ids = RecordIds("life")
    offsets = [0, 9, 10, 255, 4_096, 10**9]
    made = [ids.at(2, offset) for offset in offsets]
    assert made == sorted(made)
    assert max(map(len, made)) <= 20
    assert len({*made, ids.at(3, 0), RecordIds("other").at(2, 0)}) == len(offsets) + 2


def test_a_letter_says_by_what_its_record_is_known() -> None:
    pending = decoded(record(0, 7, {"user": "ann", "at": AT, "kind": "buy"}), record(1, 3, order("ben", "a")))
    pending.set_aside({"ben": "no bytes"})
    assert [letter.record_id for letter in pending.letters] == [RecordIds("life").at(0, 7), RecordIds("life").at(1, 3)]
    headers = dict(pending.letters[1].to_record()["headers"])
    letter = read_record(record(0, 0, None, headers=list(headers.items())))
    assert from_line(to_line(letter).encode()).record_id == RecordIds("life").at(1, 3)


def test_a_cloud_event_in_binary_mode_is_read_with_its_headers() -> None:
    """Its dead letter holds the whole event, so that it can be redriven; data that is no JSON is one."""
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"7"), ("ce_source", b"/shop"), ("ce_type", b"viewed")]
    headers += [("ce_time", b"2026-01-31T12:00:00Z"), ("content-type", b"application/json")]
    good, bad = {"userId": 42, "productId": "mug"}, {"userId": {}, "productId": "mug"}
    decoder = MappedDecoder(Mapping(format="cloudevents"), counts=RULE.counts)
    records = [record(0, 7, good, headers=headers), record(0, 8, bad, headers=headers)]
    records.append(record(0, 9, 0, headers=headers)._replace(value=b"\x01\x02"))
    pending = decode_batch(RecordBatch(records), "life", RULE, decoder)
    [(event, position, _)] = pending.events["42"]
    assert isinstance(event, Event)
    assert (event.item_id, event.event_type, event.event_id, event.event_time_ms) == ("mug", "viewed", "/shop/7", AT)
    assert position.offset == 7
    assert [letter.record.offset for letter in pending.letters] == [8, 9]
    whole = json.loads(pending.letters[0].record.value)
    assert whole == {"specversion": "1.0", "id": "7", "source": "/shop", "type": "viewed"} | {
        "time": "2026-01-31T12:00:00Z",
        "data": bad,
    }
