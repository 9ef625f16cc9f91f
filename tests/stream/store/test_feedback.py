"""Negative feedback: what a user refuses leaves the history and stays away, until the user wants it again."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindstream.behaviour_rule import BehaviourRule
from model_export.bundle.extractor import Capsules
from stream.events.event import Event, Forget
from stream.events.position import Position
from stream.store import feedback
from stream.store.codec import to_bytes
from stream.store.feedback import MOST_ITEMS
from stream.store.state import DAY_MS, MARKER_DAYS, Applied, Arrival, UserState, apply

START_MS = 1_720_000_000_000
NOW_MS = START_MS + 1_000  # when all here is published, after whatever happens
NO_CAPSULES = Capsules(np.zeros((0, 2), "f4"), np.zeros(0, "f4"), "v1")
RULE = BehaviourRule.parse("view=1,cart=2,impression=0,dislike=-1,hide=-2,undislike=undo")
KINDS = {"+": "view", "-": "dislike", "~": "undislike", "0": "impression"}

Log = list[Arrival]


def log_of(*said: str, first_offset: int = 0) -> Log:
    """Events as they arrive; "-mug 5" is a dislike of mug at 5 ms, "-mug 5 x" has the event_id x."""
    events: Log = []
    for offset, one in enumerate(said, start=first_offset):
        what, at, *names = one.split()
        event = Event("anna", what[1:], START_MS + int(at), KINDS[what[0]], event_id=names[0] if names else None)
        events.append((event, Position("life", 0, offset), NOW_MS))
    return events


def applied(events: Log, state: UserState | None = None, length: int = 10) -> Applied:
    made = apply("anna", state, events, length, RULE)
    assert made is not None
    return made


def state_after(*said: str, length: int = 10) -> UserState:
    return applied(log_of(*said), length=length).with_capsules(NO_CAPSULES)


def kept(state: UserState | Applied) -> tuple[str, str]:
    """The history, and the unwanted items, as words."""
    return " ".join(state.history.item_ids), " ".join(state.feedback.unwanted)


@pytest.mark.parametrize(
    ("said", "history", "unwanted"),
    [
        (["+mug 1", "+cup 2", "+mug 3", "-mug 4"], "cup", "mug"),  # every occurrence
        (["-mug 1"], "", "mug"),
        (["+mug 1", "-mug 2"], "", "mug"),
        (["+mug 1", "-mug 2", "+cup 3"], "cup", "mug"),
        (["+mug 1", "-mug 2", "+mug 3"], "mug", ""),  # wanted again
        (["+mug 1", "-mug 2", "+mug 3", "-mug 4"], "", "mug"),
        (["+mug 1", "-mug 2", "~mug 3"], "", ""),  # an undo leaves the history as it is
        (["+mug 1", "~mug 3"], "mug", ""),
        (["-mug 1", "-cup 2", "-pan 3", "~cup 4"], "", "mug pan"),
        (["-cup 1", "-mug 2", "-cup 3"], "", "mug cup"),  # by the last refusal
        (["+mug 1", "0mug 2", "0cup 3"], "mug", ""),
        # An event that is older than the negative one changes nothing, however late it arrives.
        (["-mug 5", "+mug 4"], "", "mug"),
        (["-mug 5", "+cup 4", "+mug 3"], "cup", "mug"),
        (["-mug 5", "~mug 4"], "", "mug"),
        (["-mug 5", "+mug 9", "+mug 4"], "mug", ""),
        # Nor does a negative event that is older than what took it back.
        (["+mug 3", "+mug 9", "-mug 5"], "mug", ""),
        (["~mug 9", "-mug 5"], "", ""),
        (["+mug 3", "~mug 9", "-mug 5"], "", ""),
        (["-mug 5", "~mug 9", "-mug 7"], "", ""),
        (["-mug 5", "~mug 9", "-mug 11"], "", "mug"),
        # One that arrives twice is as if it had come once.
        (["+mug 1", "-mug 2 n", "+mug 3", "-mug 2 n"], "mug", ""),
        (["+mug 1", "-mug 2 n", "~mug 3", "-mug 2 n"], "", ""),
        (["+mug 1 b", "-mug 2", "+mug 1 b"], "", "mug"),
        # At the same millisecond event_ids decide, else the order of arrival, as in the history.
        (["+mug 5", "-mug 5"], "", "mug"),
        (["-mug 5", "+mug 5"], "mug", ""),
        (["-mug 5 b", "+mug 5 a"], "", "mug"),
        (["+mug 5 b", "-mug 5 a"], "mug", ""),
        (["-mug 5", "~mug 5"], "", ""),
        (["~mug 5", "-mug 5"], "", "mug"),
    ],
    ids=" ".join,
)
def test_what_is_kept(said: list[str], history: str, unwanted: str) -> None:
    """By hand; in one batch, and event by event."""
    assert kept(state_after(*said)) == (history, unwanted)
    state: UserState | None = None
    for event in log_of(*said):
        state = applied([event], state).with_capsules(NO_CAPSULES)
    assert state is not None
    assert kept(state) == (history, unwanted)
    assert to_bytes(state) == to_bytes(state_after(*said))


def test_the_events_are_counted_by_what_they_did() -> None:
    made = applied(
        log_of("+mug 1", "-mug 5 n", "0mug 6", "+mug 4", "-mug 5 n", "~mug 7 u", "~mug 7 u", "+cup 8 c", "+cup 8 c")
    )
    assert (made.events, made.behaviours, made.negative, made.undone) == (9, ("mug", "cup"), 1, 1)
    assert (made.overruled, made.duplicates) == (1, 3)


def test_each_negative_type_refuses() -> None:
    hidden = Event("anna", "mug", START_MS, "HIDE")
    assert kept(applied([(hidden, Position("life", 0, 0), NOW_MS)])) == ("", "mug")


def test_a_replay_is_nothing_new() -> None:
    log = log_of("+mug 1", "-mug 2", "+cup 3", "~mug 4")
    state = applied(log).with_capsules(NO_CAPSULES)
    assert apply("anna", state, log, 10, RULE) is None


def test_an_event_that_counts_for_nothing_leaves_its_position() -> None:
    made = applied(log_of("+mug 1", "0cup 2"))
    assert (made.position.offset, made.behaviours) == (1, ("mug",))


def test_a_profile_comes_with_any_event_that_counts() -> None:
    said = {"region": "north"}
    events = [
        (Event("anna", "mug", START_MS + 5, "dislike", profile=said), Position("life", 0, 0), NOW_MS),
        (Event("anna", "mug", START_MS + 9, "impression", profile={"region": "south"}), Position("life", 0, 1), NOW_MS),
    ]
    assert applied([*events]).profile == said


def test_forgetting_forgets_the_unwanted_items_too() -> None:
    state = state_after("+cup 1", "-mug 2")
    forget = (Forget("anna", START_MS + 3), Position("life", 0, 2), NOW_MS)
    made = applied([forget], state)
    assert kept(made) == ("", "")
    assert made.with_capsules(NO_CAPSULES).is_empty
    assert kept(applied([forget, *log_of("+mug 1", first_offset=3)], state)) == ("mug", "")


@pytest.mark.parametrize(
    ("said", "last_ms"), [(["-mug 5"], 5), (["+mug 1", "-mug 5"], 5), (["-mug 5", "+cup 9"], 9), (["~mug 7"], 7)]
)
def test_who_has_refused_items_expires_as_others_do(said: list[str], last_ms: int) -> None:
    """Not as somebody who was forgotten, whose marker would be over since 1970."""
    state = state_after(*said)
    assert state.expires_ms(None) is None
    assert state.expires_ms(30) == START_MS + last_ms + 30 * DAY_MS
    made = applied([(Forget("anna", START_MS + 10), Position("life", 0, 9), NOW_MS)], state).with_capsules(NO_CAPSULES)
    assert made.expires_ms(None) == START_MS + 10 + MARKER_DAYS * DAY_MS


def test_the_refusals_longest_ago_are_forgotten_first() -> None:
    many = [f"-item-{number} {number}" for number in range(MOST_ITEMS + 3)]
    state = state_after(*many)
    assert state.unwanted == tuple(f"item-{number}" for number in range(3, MOST_ITEMS + 3))
    assert len(to_bytes(state)) < 30_000


def test_what_was_taken_back_makes_room_before_what_is_unwanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "MOST_ITEMS", 3)
    state = state_after("-a 1", "-b 2", "-c 3", "~c 4", "~b 5", "-d 6")
    assert kept(state) == ("", "a d")
    assert [one.item_id for one in state.feedback.items] == ["b", "a", "d"]


# Against a naive model


@dataclass
class Naive:
    """A user by the rules as one says them, event by event in their order."""

    length: int = 1_000
    history: list[str] = field(default_factory=list)
    unwanted: dict[str, None] = field(default_factory=dict)

    def takes(self, event: Event) -> None:
        if event.event_type == "view":
            self.unwanted.pop(event.item_id, None)
            self.history = [*self.history, event.item_id][-self.length :]
        if event.event_type == "dislike":
            self.history = [item_id for item_id in self.history if item_id != event.item_id]
            self.unwanted.pop(event.item_id, None)
            self.unwanted[event.item_id] = None
        if event.event_type == "undislike":
            self.unwanted.pop(event.item_id, None)

    def after(self, events: Iterable[Event]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        for event in events:
            self.takes(event)
        return tuple(self.history), tuple(self.unwanted)


one_event = st.tuples(st.sampled_from("abc"), st.sampled_from("+++--~0"))
cuts = st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=8)


@given(st.lists(one_event, min_size=1, max_size=14), st.integers(1, 6), cuts)
def test_events_in_their_order_do_what_the_naive_model_does(
    said: list[tuple[str, str]], length: int, cuts: list[tuple[int, int]]
) -> None:
    """However they are cut into batches, and whatever is replayed: to the last bit."""
    log = log_of(*(f"{kind}{item} {at}" for at, (item, kind) in enumerate(said)))
    at_once = applied(log, length=length).with_capsules(NO_CAPSULES)
    expected = Naive(length).after(event for event, *_ in log if isinstance(event, Event))
    assert (at_once.history.item_ids, at_once.unwanted) == expected
    state: UserState | None = None
    for start, end in [*cuts, (len(log), len(log))]:
        reached = state.position.offset + 1 if state else 0
        made = apply("anna", state, log[min(start, reached) : end], length, RULE)
        state = made.with_capsules(NO_CAPSULES) if made else state
    assert state is not None
    assert to_bytes(state) == to_bytes(at_once)


@st.composite
def disturbed(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """Events with names of their own, and the same shuffled, some of them twice or more."""
    said = draw(st.lists(st.tuples(one_event, st.integers(0, 4)), min_size=1, max_size=10))
    events = [
        Event("anna", item, START_MS + time, KINDS[kind], event_id=f"{number:02}")
        for number, ((item, kind), time) in enumerate(said)
    ]
    more = draw(st.lists(st.sampled_from(events), max_size=6))
    return events, draw(st.permutations([*events, *more]))


@given(disturbed(), st.integers(1, 5))
def test_the_state_is_a_function_of_the_set_of_events(both: tuple[list[Event], list[Event]], batch: int) -> None:
    """Whatever is delayed or sent twice: what is kept is what the events in order would have left, to the last bit."""
    events, arrived = both
    log: Log = [(event, Position("life", 0, offset), NOW_MS) for offset, event in enumerate(arrived)]
    state: UserState | None = None
    for start in range(0, len(log), batch):
        state = applied(log[start : start + batch], state, 1_000).with_capsules(NO_CAPSULES)
    assert state is not None
    in_order = sorted(events, key=lambda event: (event.event_time_ms, event.event_id))
    assert (state.history.item_ids, state.unwanted) == Naive().after(in_order)
    expected = applied([(event, Position("life", 0, at), NOW_MS) for at, event in enumerate(in_order)], length=1_000)
    assert (state.history, state.feedback) == (expected.history, expected.feedback)
