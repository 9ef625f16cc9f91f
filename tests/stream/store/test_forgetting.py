"""Who is forgotten: whatever partition is read first, nothing of before comes back, and all of after is kept."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindstream.behaviour_rule import BehaviourRule
from model_export.bundle.extractor import Capsules
from stream.events.event import Event, Forget
from stream.events.position import Position
from stream.store.codec import from_bytes, to_bytes
from stream.store.state import DAY_MS, Applied, Arrival, UserState, apply

START_MS = 1_720_000_000_000
RULE = BehaviourRule.parse("impression=0,dislike=-1")
NO_CAPSULES = Capsules(np.zeros((0, 2), "f4"), np.zeros(0, "f4"), "v1")
LENGTH = 100


def click(item: str, partition: int, offset: int, published: int) -> Arrival:
    event = Event("anna", item, START_MS + published)
    return event, Position("life", partition, offset), START_MS + published


def forget(partition: int, offset: int, published: int) -> Arrival:
    return Forget("anna", START_MS + published), Position("life", partition, offset), START_MS + published


def after(*arrivals: Arrival, state: UserState | None = None) -> UserState | None:
    """The state once these were applied one by one, as it comes out of a store."""
    for arrival in arrivals:
        made = apply("anna", state, [arrival], LENGTH, RULE)
        state = from_bytes("anna", to_bytes(made.with_capsules(NO_CAPSULES))) if made else state
    return state


def items(state: UserState | None) -> str:
    return "".join(state.history.item_ids) if state else ""


def test_a_forget_on_another_partition_is_read_before_older_events() -> None:
    """As where producers partition by CRC32, and whoever forgets by murmur2."""
    state = after(forget(3, 0, published=50))
    before = [click(item, 0, offset, published=40 + offset) for offset, item in enumerate("abc")]
    made = apply("anna", state, [*before, forget(0, 3, published=50), click("d", 0, 4, published=51)], LENGTH, RULE)
    assert made is not None
    assert (made.history.item_ids, made.position) == (("d",), Position("life", 0, 4))
    assert (made.forgotten_before, made.events, made.forgotten, made.behaviours) == (3, 1, 0, ("d",))


def test_what_a_forget_takes_of_its_own_batch_is_counted() -> None:
    taken = [click(item, 0, offset, published=offset) for offset, item in enumerate("abc")]
    made = apply("anna", None, [*taken, forget(0, 3, published=3), click("d", 0, 4, published=4)], LENGTH, RULE)
    assert made is not None
    assert (made.forgotten_before, made.events, made.forgotten, made.behaviours) == (3, 2, 1, ("d",))


def test_what_is_older_alone_leaves_the_state_as_it_is() -> None:
    """But it is written once more, so that it is kept while such events still come."""
    state = after(forget(3, 0, published=50))
    made = apply("anna", state, [click("a", 0, 0, published=49)], LENGTH, RULE)
    assert isinstance(made, Applied)
    assert (made.read, made.forgotten_before, made.events) == (Position("life", 3, 0), 1, 0)
    assert state is not None
    assert to_bytes(made.with_capsules(NO_CAPSULES)) == to_bytes(state)


def test_a_copy_of_a_forget_takes_nothing_that_came_since() -> None:
    state = after(forget(0, 5, published=50), click("d", 0, 6, published=51))
    assert apply("anna", state, [forget(1, 0, published=50), forget(2, 7, published=50)], LENGTH, RULE) is None
    assert items(after(forget(1, 1, published=60), state=state)) == ""  # another forget, not a copy


def test_on_the_partition_of_the_user_offsets_decide() -> None:
    """Whatever the clocks of producers say: the event was published first, with a later time."""
    ahead = click("a", 0, 5, published=70)
    assert items(after(ahead, forget(0, 6, published=50), forget(1, 0, published=50))) == ""
    assert items(after(forget(1, 0, published=50), ahead)) == "a"  # not known to be older yet
    assert items(after(forget(1, 0, published=50), ahead, forget(0, 6, published=50))) == ""


def test_in_the_same_millisecond() -> None:
    """An event is older only if its time is; on its own partition the offsets tell more."""
    log = [click("a", 0, 5, 50), forget(0, 6, 50), click("b", 0, 7, 50)]
    assert items(after(*log)) == items(after(forget(1, 0, 50), *log)) == "b"


def test_a_forgotten_user_who_came_back_stays_known_as_such() -> None:
    state = after(forget(0, 5, published=50), click("d", 0, 6, published=51))
    assert state is not None
    assert items(after(click("old", 1, 9, published=49), state=state)) == "d"
    assert state.expires_ms(1.0, marker_days=3.0) == START_MS + 50 + 3 * DAY_MS
    assert state.expires_ms(9.0, marker_days=3.0) == START_MS + 51 + 9 * DAY_MS
    assert state.expires_ms(None, marker_days=3.0) is None


@dataclass(frozen=True)
class World:
    """What was published, and in which parts it is read.

    Attributes
    ----------
    logs : of each partition, in the order of its offsets.
    reads : (partition, first, end) of each batch; it starts at most where the ones before have got to.
    expected : the event_ids, or else items, that must be left.
    """

    logs: Sequence[Sequence[Arrival]]
    reads: Sequence[tuple[int, int, int]]
    expected: Sequence[str]

    def read(self) -> UserState | None:
        state: UserState | None = None
        for batch in self.batches():
            made = apply("anna", state, batch, LENGTH, RULE)
            state = from_bytes("anna", to_bytes(made.with_capsules(NO_CAPSULES))) if made else state
        return state

    def batches(self) -> Iterable[Sequence[Arrival]]:
        """Each partition is read from any place up to where it was read to, and in the end all of it."""
        reached = [0] * len(self.logs)
        for partition, first, end in self.reads:
            log = self.logs[partition]
            yield log[min(first, reached[partition]) : end]
            reached[partition] = max(reached[partition], min(end, len(log)))
        for partition, log in enumerate(self.logs):
            yield log[reached[partition] :]


reads = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 12)), max_size=12)


@st.composite
def several_partitions(draw: st.DrawFn) -> World:
    """Events on any partition, some of them twice; clocks that agree, and no two of one time."""
    logs: list[list[Arrival]] = [[], [], []]
    said = draw(st.lists(st.sampled_from([0, 1, 2, "again", "forget"]), max_size=12))
    events: list[Event] = []
    left: dict[str, Event] = {}
    for now, what in enumerate(said):
        if what == "forget":
            left = {}
            for partition, log in enumerate(logs):
                log.append(forget(partition, len(log), now))
            continue
        partition = what if isinstance(what, int) else draw(st.integers(0, 2))
        if isinstance(what, int) or not events:
            events.append(Event("anna", f"i{now}", START_MS + draw(st.integers(0, 20)), event_id=f"{now:02}"))
        event = events[-1] if isinstance(what, int) else draw(st.sampled_from(events))
        left[event.event_id or ""] = event
        logs[partition].append((event, Position("life", partition, len(logs[partition])), START_MS + now))
    in_order = sorted(left.values(), key=lambda event: (event.event_time_ms, event.event_id))
    return World(logs, draw(reads), [event.event_id or "" for event in in_order])


@given(several_partitions())
@settings(deadline=None, max_examples=300)
def test_forgotten_on_whatever_partitions(world: World) -> None:
    """However partitions are read, and whatever is read again: nothing of before, everything after."""
    state = world.read()
    assert list(state.history.event_ids if state else ()) == world.expected


@st.composite
def any_clocks(draw: st.DrawFn) -> World:
    """Events on one partition, without names of their own, by producers whose clocks say anything."""
    logs: list[list[Arrival]] = [[], [], []]
    left: list[tuple[int, str]] = []
    latest = 0
    for number in range(draw(st.integers(0, 9))):
        published = draw(st.integers(0, 6))
        if draw(st.booleans()):
            logs[0].append(click("abcdefghi"[number], 0, len(logs[0]), published))
            left += [(published, "abcdefghi"[number])] if published >= latest else []
        else:
            left, latest = [], max(latest, published)
            for partition, log in enumerate(logs):
                log.append(forget(partition, len(log), published))
    in_order = [item for _, item in sorted(left, key=lambda one: one[0])]
    return World(logs, draw(reads), in_order)


@given(any_clocks())
@settings(deadline=None, max_examples=300)
def test_forgotten_whatever_the_clocks_say(world: World) -> None:
    """Nothing of before, though its time is later; of what came after, all but what says that it is older."""
    assert items(world.read()) == "".join(world.expected)


@pytest.mark.parametrize("other_life", ["life", "another life"])
def test_another_topic_is_another_log(other_life: str) -> None:
    """Where a topic is copied to another cluster, with its times, the copies of a forget are copies too."""
    state = after(forget(0, 5, 50), click("d", 0, 6, 51))
    copy = Forget("anna", START_MS + 50), Position(other_life, 0, 7), START_MS + 50
    assert items(after(copy, state=state)) == ("" if other_life == "life" else "d")
