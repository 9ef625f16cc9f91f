"""What is kept of a user: new events at the end, replays without effect, and the same bytes for the same state."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_export.extractor import Capsules
from stream.event import Event
from stream.state import Applied, History, Position, UserState, apply, from_bytes, position_of, recomputed, to_bytes

START_MS = 1_720_000_000_000
NO_CAPSULES = Capsules(np.zeros((0, 2), "f4"), np.zeros(0, "f4"), np.zeros((0, 0), "f4"), "v1")


def events(
    items: str, first_offset: int, life: str = "life 1", profile: dict[str, str] | None = None
) -> list[tuple[Event, Position]]:
    """One event for each letter, a millisecond and an offset apart."""
    return [
        (Event("anna", item, START_MS + offset, profile=profile), Position(life, 0, offset))
        for offset, item in enumerate(items, start=first_offset)
    ]


def stored(items: str, offset: int, profile: dict[str, str] | None = None) -> UserState:
    """What is stored once these items were applied, the last of them at this offset."""
    first = offset - len(items) + 1
    history = History(tuple(items), tuple(range(START_MS + first, START_MS + offset + 1)))
    return UserState("anna", history, NO_CAPSULES, Position("life 1", 0, offset), profile or {})


def applied(state: UserState | None, more: list[tuple[Event, Position]], length: int = 10) -> Applied:
    made = apply("anna", state, more, length)
    assert made is not None
    return made


def test_a_first_event_makes_a_history() -> None:
    made = applied(None, events("a", 5))
    assert made == Applied("anna", History(("a",), (START_MS + 5,)), {}, Position("life 1", 0, 5), events=1)


def test_events_are_appended_in_their_order() -> None:
    made = applied(stored("ab", 5), events("cb", 6))
    assert made.history.item_ids == ("a", "b", "c", "b")
    assert made.history.event_times_ms == (START_MS + 4, START_MS + 5, START_MS + 6, START_MS + 7)
    assert (made.position.offset, made.events) == (7, 2)


@pytest.mark.parametrize(("length", "kept"), [(1, "e"), (3, "cde"), (5, "abcde"), (9, "abcde")])
def test_the_most_recent_are_kept(length: int, kept: str) -> None:
    made = applied(stored("ab", 5), events("cde", 6), length)
    assert "".join(made.history.item_ids) == kept
    assert made.history.event_times_ms[-1] == START_MS + 8
    assert len(made.history.event_times_ms) == len(kept)


@pytest.mark.parametrize("first_offset", [2, 3])
def test_a_replay_is_nothing_new(first_offset: int) -> None:
    assert apply("anna", stored("abc", 5), events("bc", first_offset), 10) is None


def test_only_what_is_new_in_a_replay_is_applied() -> None:
    made = applied(stored("abc", 5), events("bcde", 4))
    assert "".join(made.history.item_ids) == "abcde"
    assert (made.position.offset, made.events) == (7, 2)


def test_an_event_twice_in_one_batch_is_applied_once() -> None:
    made = applied(None, events("ab", 0) + events("ab", 0))
    assert ("".join(made.history.item_ids), made.events) == ("ab", 2)


def test_in_another_life_of_the_topic_offsets_start_again() -> None:
    made = applied(stored("abc", 5), events("d", 0, life="life 2"))
    assert "".join(made.history.item_ids) == "abcd"
    assert made.position == Position("life 2", 0, 0)


def test_no_events_change_nothing() -> None:
    assert apply("anna", stored("a", 5), [], 10) is None
    assert apply("anna", None, [], 10) is None


@pytest.mark.parametrize(
    ("said", "kept"),
    [(None, {"region": "north"}), ({"region": "south"}, {"region": "south"}), ({"age": "30"}, {"age": "30"}), ({}, {})],
)
def test_a_profile_stays_until_another_one_comes(said: dict[str, str] | None, kept: dict[str, str]) -> None:
    assert applied(stored("a", 5, {"region": "north"}), events("b", 6, profile=said)).profile == kept


def test_the_last_profile_of_a_batch_counts() -> None:
    batch = events("a", 0, profile={"age": "30"}) + events("b", 1, profile={"age": "31"}) + events("c", 2)
    assert applied(None, batch).profile == {"age": "31"}


def test_applying_changes_nothing_it_was_given() -> None:
    state, batch = stored("ab", 5, {"age": "30"}), events("c", 6, profile={"age": "31"})
    before = to_bytes(state)
    assert applied(state, batch) == applied(state, batch)
    assert to_bytes(state) == before


cuts = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=8)


@given(st.text("abcdef", min_size=1, max_size=12), cuts)
def test_batches_do_not_matter(items: str, cuts: list[tuple[int, int]]) -> None:
    """However a log is cut into batches, and whatever is replayed in between, the state is that of one batch."""
    batch = events(items, 0)
    state: UserState | None = None
    for start, end in [*cuts, (len(items), len(items))]:
        reached = state.position.offset + 1 if state else 0
        made = apply("anna", state, batch[min(start, reached) : end], 5)  # a replay, but nothing left out
        state = made.with_capsules(NO_CAPSULES) if made else state
    assert state is not None
    assert to_bytes(state) == to_bytes(applied(None, batch, 5).with_capsules(NO_CAPSULES))


@pytest.mark.parametrize(
    ("other", "covers", "precedes"),
    [
        (Position("life 1", 0, 4), True, False),
        (Position("life 1", 0, 5), True, False),
        (Position("life 1", 0, 6), False, True),
        (Position("life 1", 1, 4), False, False),
        (Position("life 2", 0, 4), False, False),
    ],
)
def test_positions_compare_within_one_partition_of_one_life(other: Position, covers: bool, precedes: bool) -> None:
    assert Position("life 1", 0, 5).covers(other) is covers
    assert Position("life 1", 0, 5).precedes(other) is precedes


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
floats = st.floats(width=32, allow_nan=False)


@st.composite
def user_states(draw: st.DrawFn) -> UserState:
    """Any state: K' capsules of dimension d, made from T behaviours."""
    capsules, dim, behaviours = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(0, 5))

    def matrix(rows: int, columns: int) -> np.ndarray:
        size = rows * columns
        return np.array(draw(st.lists(floats, min_size=size, max_size=size)), "f4").reshape(rows, columns)

    times = st.lists(st.integers(0, 2**60), min_size=behaviours, max_size=behaviours)
    items = st.lists(words, min_size=behaviours, max_size=behaviours)
    return UserState(
        draw(words),
        History(tuple(draw(items)), tuple(draw(times))),
        Capsules(matrix(capsules, dim), matrix(capsules, 1)[:, 0], matrix(capsules, behaviours), draw(words)),
        Position(draw(words), draw(st.integers(0, 2**31 - 1)), draw(st.integers(0, 2**63 - 1))),
        draw(st.dictionaries(words, words, max_size=3)),
    )


@given(user_states())
def test_bytes_give_the_state_back(state: UserState) -> None:
    found = from_bytes(to_bytes(state))
    assert (found.user_id, found.history, found.position) == (state.user_id, state.history, state.position)
    assert found.profile == state.profile
    assert found.capsules.model_version == state.capsules.model_version
    for name in ("vectors", "importance", "routing_weights"):
        made, expected = getattr(found.capsules, name), getattr(state.capsules, name)
        assert (made.dtype, made.shape) == (np.dtype("f4"), expected.shape)
        assert made.tobytes() == expected.tobytes()
    assert to_bytes(found) == to_bytes(state)


@given(user_states())
def test_the_position_is_read_without_the_rest(state: UserState) -> None:
    assert position_of(to_bytes(state)) == state.position


@given(user_states())
def test_equal_states_give_equal_bytes(state: UserState) -> None:
    backwards = replace(state, profile=dict(reversed(state.profile.items())))
    assert to_bytes(backwards) == to_bytes(state)


def test_another_offset_gives_other_bytes() -> None:
    assert to_bytes(stored("a", 5)) != to_bytes(replace(stored("a", 5), position=Position("life 1", 0, 6)))


def test_recomputing_changes_the_capsules_only() -> None:
    capsules = Capsules(np.ones((1, 2), "f4"), np.ones(1, "f4"), np.ones((1, 1), "f4"), "v2")
    made = recomputed(stored("a", 5, {"age": "30"}), capsules)
    assert made.capsules is capsules
    assert replace(made, capsules=NO_CAPSULES) == stored("a", 5, {"age": "30"})


OF_ANOTHER_FORMAT = b"\x9d\x02" + to_bytes(stored("a", 5))[2:]  # an array of 13 whose first number is 2


@pytest.mark.parametrize("read", [from_bytes, position_of])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"", "cannot be read"),
        (b"some other program's value", "cannot be read"),
        (b'{"user_id":"anna"}', "cannot be read"),
        (to_bytes(stored("a", 5))[:20], "cannot be read"),
        (OF_ANOTHER_FORMAT, "is of format 2; this version of Mindstream reads 1"),
    ],
    ids=["empty", "text", "JSON", "cut off", "format 2"],
)
def test_foreign_bytes_are_refused(read: Callable[[bytes], object], value: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(value)
