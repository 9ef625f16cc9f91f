"""What is kept of a user: new events at the end, replays without effect, and the same bytes for the same state."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from benchmarks.harness.older_states import WRITERS
from mindstream.behaviour_rule import BehaviourRule
from model_export.bundle.extractor import Capsules
from stream.events.event import Event, Forget
from stream.events.position import Position
from stream.store.codec import (
    format_of,
    from_bytes,
    head_of,
    is_at,
    is_same,
    position_of,
    renewed,
    to_bytes,
)
from stream.store.feedback import Feedback, ItemFeedback
from stream.store.history import History
from stream.store.state import DAY_MS, MARKER_DAYS, Applied, Arrival, UserState, apply, in_half_precision, recomputed

START_MS = 1_720_000_000_000
NOW_MS = START_MS + 1_000  # when all here is published, after whatever happens
RULE = BehaviourRule.parse("impression=0,dislike=-1,undislike=undo")
NO_CAPSULES = Capsules(np.zeros((0, 2), "f4"), np.zeros(0, "f4"), "v1")


def events(items: str, first_offset: int, life: str = "life 1", profile: dict[str, str] | None = None) -> list[Arrival]:
    """One event for each letter, a millisecond and an offset apart."""
    return [
        (Event("anna", item, START_MS + offset, profile=profile), Position(life, 0, offset), NOW_MS)
        for offset, item in enumerate(items, start=first_offset)
    ]


def stored(items: str, offset: int, profile: dict[str, str] | None = None) -> UserState:
    """What is stored once these items were applied, the last of them at this offset."""
    first = offset - len(items) + 1
    times = tuple(range(START_MS + first, START_MS + offset + 1))
    history = History(tuple(items), times, ("",) * len(items))
    profile_time_ms = START_MS + first if profile else 0
    return UserState("anna", history, NO_CAPSULES, Position("life 1", 0, offset), profile or {}, profile_time_ms)


def applied(state: UserState | None, more: list[Arrival], length: int = 10) -> Applied:
    made = apply("anna", state, more, length, RULE)
    assert made is not None
    return made


def test_a_first_event_makes_a_history() -> None:
    made = applied(None, events("a", 5))
    history = History(("a",), (START_MS + 5,), ("",), ("click",))
    assert (made.history, made.position) == (history, Position("life 1", 0, 5))
    assert (made.behaviours, made.duplicates, made.forgotten) == (("a",), 0, 0)
    assert made.read is None


def test_events_are_appended_in_their_order() -> None:
    made = applied(stored("ab", 5), events("cb", 6))
    assert made.history.item_ids == ("a", "b", "c", "b")
    assert made.history.event_times_ms == (START_MS + 4, START_MS + 5, START_MS + 6, START_MS + 7)
    assert (made.position.offset, len(made.behaviours)) == (7, 2)
    assert made.read == Position("life 1", 0, 5)


@pytest.mark.parametrize(("length", "kept"), [(1, "e"), (3, "cde"), (5, "abcde"), (9, "abcde")])
def test_the_most_recent_are_kept(length: int, kept: str) -> None:
    made = applied(stored("ab", 5), events("cde", 6), length)
    assert "".join(made.history.item_ids) == kept
    assert made.history.event_times_ms[-1] == START_MS + 8
    assert len(made.history.event_times_ms) == len(kept)


@pytest.mark.parametrize("first_offset", [2, 3])
def test_a_replay_is_nothing_new(first_offset: int) -> None:
    assert apply("anna", stored("abc", 5), events("bc", first_offset), 10, RULE) is None


def test_only_what_is_new_in_a_replay_is_applied() -> None:
    made = applied(stored("abc", 5), events("bcde", 4))
    assert "".join(made.history.item_ids) == "abcde"
    assert (made.position.offset, len(made.behaviours)) == (7, 2)


def test_an_event_twice_in_one_batch_is_applied_once() -> None:
    made = applied(None, events("ab", 0) + events("ab", 0))
    assert ("".join(made.history.item_ids), made.behaviours) == ("ab", ("a", "b"))


def test_in_another_life_of_the_topic_offsets_start_again() -> None:
    made = applied(stored("abc", 5), events("d", 0, life="life 2"))
    assert made.behaviours == ("d",)
    assert made.position == Position("life 2", 0, 0)


def test_no_events_change_nothing() -> None:
    assert apply("anna", stored("a", 5), [], 10, RULE) is None
    assert apply("anna", None, [], 10, RULE) is None


@pytest.mark.parametrize(
    ("said", "kept"),
    [(None, {"region": "north"}), ({"region": "south"}, {"region": "south"}), ({"age": "30"}, {"age": "30"}), ({}, {})],
)
def test_a_profile_stays_until_another_one_comes(said: dict[str, str] | None, kept: dict[str, str]) -> None:
    assert applied(stored("a", 5, {"region": "north"}), events("b", 6, profile=said)).profile == kept


def test_the_last_profile_of_a_batch_counts() -> None:
    batch = events("a", 0, profile={"age": "30"}) + events("b", 1, profile={"age": "31"}) + events("c", 2)
    assert applied(None, batch).profile == {"age": "31"}


def arriving(*events: Event) -> list[Arrival]:
    """Events in the order they stand in the partition."""
    return [(event, Position("life 1", 0, offset), NOW_MS) for offset, event in enumerate(events)]


def test_a_late_event_takes_its_place_by_event_time() -> None:
    made = applied(stored("ac", 7), [(Event("anna", "b", START_MS + 6), Position("life 1", 0, 8), NOW_MS)])
    assert made.history.item_ids == ("a", "b", "c")  # a was at 6 ms too, and arrived before b
    made = applied(stored("ac", 7), [(Event("anna", "b", START_MS + 5), Position("life 1", 0, 8), NOW_MS)])
    assert made.history.item_ids == ("b", "a", "c")


def test_an_event_id_counts_once() -> None:
    first, second = Event("anna", "a", START_MS, event_id="1"), Event("anna", "b", START_MS + 1, event_id="2")
    made = applied(None, arriving(first, second, first))
    assert (made.history.item_ids, made.behaviours, made.duplicates) == (("a", "b"), ("a", "b"), 1)
    state = made.with_capsules(NO_CAPSULES)
    again = applied(state, [(second, Position("life 1", 0, 3), NOW_MS)])
    assert (again.history, again.behaviours, again.duplicates) == (state.history, (), 1)
    assert again.position.offset == 3


def test_without_event_ids_the_same_click_counts_each_time() -> None:
    click = Event("anna", "a", START_MS)
    assert applied(None, arriving(click, click)).history.item_ids == ("a", "a")


def test_a_late_profile_does_not_replace_a_later_one() -> None:
    late = Event("anna", "b", START_MS - 1, profile={"region": "south"})
    made = applied(stored("a", 5, {"region": "north"}), [(late, Position("life 1", 0, 6), NOW_MS)])
    assert made.profile == {"region": "north"}


@st.composite
def disturbed(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """Events with names of their own, and the same shuffled, some of them twice or more."""
    times = draw(st.lists(st.integers(0, 5), min_size=1, max_size=8))
    profiles = st.none() | st.dictionaries(st.sampled_from("xy"), st.sampled_from("12"), max_size=2)
    events = [
        Event("anna", f"item {number}", START_MS + time, event_id=str(number), profile=draw(profiles))
        for number, time in enumerate(times)
    ]
    more = draw(st.lists(st.sampled_from(events), max_size=6))
    return events, draw(st.permutations([*events, *more]))


@given(disturbed(), st.integers(1, 9), st.integers(1, 5))
def test_the_state_is_a_function_of_the_set_of_events(
    both: tuple[list[Event], list[Event]], length: int, batch: int
) -> None:
    """Whatever is delayed or sent twice: what is kept is what the events in order would have left."""
    events, arrived = both
    state: UserState | None = None
    log = arriving(*arrived)
    for start in range(0, len(log), batch):
        state = applied(state, log[start : start + batch], length).with_capsules(NO_CAPSULES)
    assert state is not None
    in_order = sorted(events, key=lambda event: (event.event_time_ms, event.event_id))[-length:]
    assert state.history.item_ids == tuple(event.item_id for event in in_order)
    expected = applied(None, arriving(*sorted(events, key=lambda event: event.event_time_ms)), length)
    assert (state.profile, state.profile_time_ms) == (expected.profile, expected.profile_time_ms)


def test_forgetting_leaves_nothing_but_the_position() -> None:
    forget = Forget("anna", START_MS + 100)
    made = applied(stored("abc", 5, {"age": "30"}), [(forget, Position("life 1", 0, 6), NOW_MS)])
    assert (made.history, made.profile, made.profile_time_ms) == (History(), {}, 0)
    assert (made.position.offset, made.forgotten_ms, made.forgotten) == (6, START_MS + 100, 1)
    assert made.read == Position("life 1", 0, 5)  # what is there is still that
    state = made.with_capsules(NO_CAPSULES)
    assert apply("anna", state, events("abc", 3), 10, RULE) is None  # a replay does not bring her back


def test_what_comes_after_forgetting_counts() -> None:
    forget = (Forget("anna", START_MS + 100), Position("life 1", 0, 6), START_MS + 100)
    made = applied(stored("abc", 5), [*events("", 0), forget, *events("d", 7)])
    assert (made.history.item_ids, made.behaviours, made.forgotten) == (("d",), ("d",), 1)


def test_forgetting_somebody_unknown_is_remembered_too() -> None:
    made = applied(None, [(Forget("anna", START_MS), Position("life 1", 0, 6), NOW_MS)])
    assert made.with_capsules(NO_CAPSULES).expires_ms(None) == START_MS + MARKER_DAYS * DAY_MS


@pytest.mark.parametrize(("idle_days", "expires_ms"), [(None, None), (30, START_MS + 5 + 30 * DAY_MS)])
def test_idle_users_expire_by_their_last_behaviour(idle_days: float | None, expires_ms: int | None) -> None:
    assert stored("abc", 5).expires_ms(idle_days) == expires_ms


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
        made = apply("anna", state, batch[min(start, reached) : end], 5, RULE)  # a replay, but nothing left out
        state = made.with_capsules(NO_CAPSULES) if made else state
    assert state is not None
    assert to_bytes(state) == to_bytes(applied(None, batch, 5).with_capsules(NO_CAPSULES))


@pytest.mark.parametrize(
    ("other", "covers"),
    [
        (Position("life 1", 0, 4), True),
        (Position("life 1", 0, 5), True),
        (Position("life 1", 0, 6), False),
        (Position("life 1", 1, 4), False),
        (Position("life 2", 0, 4), False),
    ],
)
def test_positions_compare_within_one_partition_of_one_life(other: Position, covers: bool) -> None:
    assert Position("life 1", 0, 5).covers(other) is covers


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def user_states(draw: st.DrawFn) -> UserState:
    """Any state: K' capsules of dimension d, made from T behaviours."""
    capsules, dim, behaviours = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(0, 5))

    precision = draw(st.sampled_from(["f2", "f4"]))

    def matrix(rows: int, columns: int) -> np.ndarray:
        numbers = st.floats(width=32 if precision == "f4" else 16, allow_nan=False)
        size = rows * columns
        return np.array(draw(st.lists(numbers, min_size=size, max_size=size)), precision).reshape(rows, columns)

    times = st.lists(st.integers(0, 2**60), min_size=behaviours, max_size=behaviours)
    items = st.lists(words, min_size=behaviours, max_size=behaviours)
    types = st.lists(st.sampled_from(["", "click", "buy", "view"]), min_size=behaviours, max_size=behaviours)
    feedback = st.builds(ItemFeedback, words, st.integers(0, 2**60), words, st.integers(0, 2**60), words)
    return UserState(
        draw(words),
        History(tuple(draw(items)), tuple(draw(times)), tuple(draw(items)), tuple(draw(types))),
        Capsules(matrix(capsules, dim), matrix(capsules, 1)[:, 0], draw(words)),
        Position(draw(words | st.uuids().map(str)), draw(st.integers(0, 2**31 - 1)), draw(st.integers(0, 2**63 - 1))),
        draw(st.dictionaries(words, words, max_size=3)),
        draw(st.integers(0, 2**60)),
        draw(st.integers(0, 2**60)),
        Feedback(tuple(draw(st.lists(feedback, max_size=3)))),
    )


@given(user_states())
def test_bytes_give_the_state_back(state: UserState) -> None:
    """Bit for bit, in half or single precision, and with times in no order."""
    found = from_bytes(state.user_id, to_bytes(state))
    assert (found.user_id, found.history, found.position) == (state.user_id, state.history, state.position)
    assert (found.profile, found.profile_time_ms) == (state.profile, state.profile_time_ms)
    assert (found.forgotten_ms, found.feedback) == (state.forgotten_ms, state.feedback)
    assert found.capsules.model_version == state.capsules.model_version
    for name in ("vectors", "importance"):
        made, expected = getattr(found.capsules, name), getattr(state.capsules, name)
        assert (made.dtype, made.shape) == (expected.dtype, expected.shape)
        assert made.tobytes() == expected.tobytes()
    assert to_bytes(found) == to_bytes(state)


@given(st.lists(user_states(), min_size=2, max_size=2))
def test_a_state_begins_with_the_head_of_its_position_alone(states: list[UserState]) -> None:
    """Stores compare positions by that, without decoding anything."""
    one, other = states
    assert to_bytes(one).startswith(head_of(one.position))
    assert to_bytes(one).startswith(head_of(other.position)) is (one.position == other.position)
    assert is_at(to_bytes(one), other.position) is (one.position == other.position)
    assert (is_at(None, None), is_at(to_bytes(one), None), is_at(None, one.position)) == (True, False, False)


@pytest.mark.parametrize(("behaviours", "most"), [(10, 750), (100, 2000)])
@pytest.mark.parametrize("step_ms", [61_234_567, 86_400_000 * 90, 1], ids=["hours", "seasons", "at once"])
def test_a_user_takes_half_of_what_it_took(behaviours: int, most: int, step_ms: int) -> None:
    """Four capsules of 64 numbers, ids of 8 characters: key and value together, in what LMDB keeps of both."""
    vectors = np.random.default_rng(0).normal(size=(4, 64)).astype("f4")
    [capsules] = in_half_precision([Capsules(vectors, np.full(4, 0.25, "f4"), "20261129T235453Z-60c7")])
    items = tuple(f"{number:08}" for number in range(behaviours))
    history = History(items, tuple(START_MS + number * step_ms for number in range(behaviours)), ("",) * behaviours)
    state = UserState("user-001", history, capsules, Position("e902d4ed-ef08-4eb3-9a7a-7314567ee2f6", 7, 123_456_789))
    assert len(b"user-001" + to_bytes(state)) + 4 <= most


def test_capsules_are_rounded_to_what_is_stored() -> None:
    """By hand: half precision has 11 binary digits. What it would spoil stays: too large, too small, no number."""
    made = [[1 + 2**-10, 2**-3], [1 + 2**-12, 0.3]], [[70_000.0, 1]], [[2**-14, 2**-20]], [[np.nan, 1]], [[0, -0.0]]
    shares = np.array([1 / 3], "f4")
    capsules = [Capsules(np.array(one, "f4"), shares.repeat(len(one)), "v1") for one in made]
    first, *others, zeros = in_half_precision(capsules)
    assert {first.vectors.dtype, first.importance.dtype} == {np.dtype("f2")}
    assert first.vectors.tolist() == [[1 + 2**-10, 0.125], [1, 0.300048828125]]
    assert first.importance.tolist() == [0.333251953125] * 2
    assert [one is made for one, made in zip(others, capsules[1:4], strict=True)] == [True] * 3
    assert np.signbit(zeros.vectors).tolist() == [[False, True]]
    assert in_half_precision([]) == []


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
    capsules = Capsules(np.ones((1, 2), "f4"), np.ones(1, "f4"), "v2")
    made = recomputed(stored("a", 5, {"age": "30"}), capsules)
    assert made.capsules is capsules
    assert replace(made, capsules=NO_CAPSULES) == stored("a", 5, {"age": "30"})


# One user as each version wrote it, by the code of that time: two behaviours, two capsules.
WRITTEN = {
    "1": "9d01a4616e6e6192a36d7567a363757092cf0000019077fd31f4cf0000019077fd300081a3616765a23330a66c6966652031"
    "0305a2763102c4109a99193fcdcc4c3fcdcccc3d9a9999bec4080000403f0000803ec4100000803f0000003f000000000000"
    "003f",
    "2 at first": "dc001002a66c69666520310305a4616e6e6192a3637570a36d756792cf0000019077fd3000cf0000019077fd31f492a3652d"
    "31a081a3616765a23330cf0000019077fd3000cf0000018e23f14c00a2763102c4109a99193fcdcc4c3fcdcccc3d9a9999be"
    "c4080000403f0000803ec4100000803f0000003f000000000000003f",
    "2": "9a0293a66c69666520310305a4616e6e619392a3637570a36d756792cf0000019077fd3000cf0000019077fd31f492a3652d"
    "31a081a3616765a23330cf0000019077fd3000cf0000018e23f14c00a2763102c4289a99193fcdcc4c3fcdcccc3d9a9999be"
    "0000403f0000803e0000803f0000003f000000000000003f",
    "3": "9b0393a66c69666520310305a4616e6e619392a3637570a36d756792cf0000019077fd3000cf0000019077fd31f492a3652d"
    "31a081a3616765a23330cf0000019077fd3000cf0000018e23f14c00a2763102c4289a99193fcdcc4c3fcdcccc3d9a9999be"
    "0000403f0000803e0000803f0000003f000000000000003f919295a370616ecf0000019077fd3064a3652d39cf0000019077"
    "fd30c8a095a3706f74cf0000019077fd312ca000a0",
    "4": "9f049391a66c69666520310305ce215cbeb792a3637570a36d7567cf0000019077fd300001c404f401000092a3652d31a081a3616765"
    "a23330cf0000019077fd3000cf0000018e23f14c00a27631920202c40ccd38663a662ecdb4003a00349295a370616ecf0000019077fd3064"
    "a3652d39cf0000019077fd30c8a095a3706f74cf0000019077fd312ca000a0",
}


@pytest.mark.parametrize("version", WRITTEN)
def test_what_every_version_before_wrote_is_read(version: str) -> None:
    value = bytes.fromhex(WRITTEN[version])
    state = from_bytes("anna", value)
    assert (state.user_id, state.position, state.profile) == ("anna", Position("life 1", 3, 5), {"age": "30"})
    assert (state.history.item_ids, state.history.event_times_ms) == (("cup", "mug"), (START_MS, START_MS + 500))
    assert state.history.event_ids == (("", "") if version == "1" else ("e-1", ""))
    assert (state.profile_time_ms, state.forgotten_ms) == ((0, 0) if version == "1" else (START_MS, 1_710_000_000_000))
    refused = (ItemFeedback("pan", START_MS + 100, "e-9", START_MS + 200), ItemFeedback("pot", START_MS + 300))
    assert state.feedback == Feedback(refused if version in ("3", "4") else ())
    half = np.array([[0.6, 0.8], [0.1, -0.3]], "f2").astype("f4")
    assert (state.capsules.vectors.tolist(), state.capsules.importance.tolist()) == (half.tolist(), [0.75, 0.25])
    assert (position_of(value), is_at(value, state.position)) == (state.position, True)
    assert (format_of(value), format_of(to_bytes(state))) == (int(version[0]), 5)
    assert state.history.event_types == ("", "")


@pytest.mark.parametrize("version", WRITTEN)
def test_an_older_state_is_written_anew_without_loss(version: str) -> None:
    value = bytes.fromhex(WRITTEN[version])
    anew = renewed("anna", value)
    assert from_bytes("anna", anew).history == from_bytes("anna", value).history
    assert to_bytes(from_bytes("anna", anew)) == anew == renewed("anna", anew)
    assert (is_same("anna", value, anew), is_same("anna", anew, anew)) == (True, True)
    assert (is_same("anna", value, value), is_same("anna", None, anew), is_same("anna", b"theirs", anew)) == (
        False,
    ) * 3


@pytest.mark.parametrize("version", WRITTEN)
def test_the_writers_of_older_formats_write_what_those_versions_wrote(version: str) -> None:
    """All but the routing weights, of which they know nothing: they stand at the end, before the feedback."""
    value = bytes.fromhex(WRITTEN[version])
    vectors = np.array([[0.6, 0.8], [0.1, -0.3]], "f4")
    capsules = Capsules(vectors, np.array([0.75, 0.25], "f4"), "v1")
    state = from_bytes("anna", value)
    if version != "4":  # which had half precision
        state = replace(state, capsules=capsules)
    if version == "1":  # in the order of arrival
        history = state.history
        state = replace(state, history=History(history.item_ids[::-1], history.event_times_ms[::-1], ("", "")))
    weights = [np.array(numbers, "<f4").tobytes() for numbers in ([1, 0.5, 0, 0.5], [0.5] * 4)]
    assert WRITERS[version](state).replace(weights[1], weights[0]) == value


def of_types(*types: str) -> UserState:
    """A state with a behaviour of each of these types."""
    count = len(types)
    history = History(("cup",) * count, tuple(range(START_MS, START_MS + count)), ("",) * count, types)
    return replace(stored("a", 5), history=history)


@pytest.mark.parametrize(
    "types",
    [
        ("click", "", "buy", "click"),
        ("", "", ""),
        ("",) * 9 + ("buy",),
        tuple(f"type {number}" for number in range(256)),
        tuple(f"type {number}" for number in range(257)),
    ],
    ids=["mixed", "unknown", "new after old", "as many as a byte tells", "more than a byte tells"],
)
def test_event_types_come_back(types: tuple[str, ...]) -> None:
    assert from_bytes("anna", to_bytes(of_types(*types))).history.event_types == types


def test_event_types_take_a_byte_a_behaviour_or_none() -> None:
    unknown, one, two = (len(to_bytes(of_types(*types))) for types in (("",) * 100, ("buy",) * 100, ("buy", "pv") * 50))
    assert one - unknown == len("buy") + 1  # the name alone, with its length
    assert two - one == len("pv") + 1 + 100


def test_behaviours_keep_their_types_in_lower_case_however_they_arrive() -> None:
    """In one batch, one by one, late, doubled, and cut: the order of the items is that of the types."""
    buy, view, cart = (
        Event("anna", item, START_MS + at, event_type, f"e-{at}")
        for item, at, event_type in (("a", 1, "Buy"), ("b", 2, "view"), ("c", 3, "CART"))
    )
    together = applied(None, arriving(cart, view, buy, view)).history
    assert (together.item_ids, together.event_types) == (("a", "b", "c"), ("buy", "view", "cart"))
    state = None
    for offset, event in enumerate((view, cart, view, buy)):
        state = applied(state, [(event, Position("life 1", 0, offset), NOW_MS)]).with_capsules(NO_CAPSULES)
        state = from_bytes("anna", to_bytes(state))
    assert state is not None
    assert state.history == together
    assert applied(None, arriving(cart, view, buy), length=2).history.event_types == ("view", "cart")
    unwanted = Event("anna", "b", START_MS + 4, "dislike")
    assert applied(None, arriving(buy, view, cart, unwanted)).history.event_types == ("buy", "cart")


def test_a_behaviour_beside_those_of_a_state_of_before() -> None:
    old = from_bytes("anna", bytes.fromhex(WRITTEN["4"]))
    event = Event("anna", "pan", START_MS + 900, "buy")
    made = applied(old, [(event, Position("life 1", 3, 6), NOW_MS)])
    assert (made.history.item_ids, made.history.event_types) == (("cup", "mug", "pan"), ("", "", "buy"))
    assert applied(old, [(event, Position("life 1", 3, 6), NOW_MS)], length=1).history.event_types == ("buy",)


BYTES = to_bytes(stored("a", 5))
OF_A_LATER_FORMAT = BYTES.replace(b"\x05", b"\x06", 1)  # the first number is the format
LATER = "is of format 6; this version of Mindstream reads 1 to 5: a later version wrote it"


def read(value: bytes) -> UserState:
    return from_bytes("anna", value)


@pytest.mark.parametrize("read", [read, position_of])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"", "cannot be read"),
        (b"some other program's value", "cannot be read"),
        (b'{"user_id":"anna"}', "cannot be read"),
        (BYTES[:10], "cannot be read"),
        (bytes.fromhex(WRITTEN["1"])[:40], "cannot be read"),
        (msgspec.msgpack.encode([1, "life 1", 0, 5, "anna"]), "cannot be read"),
        (OF_A_LATER_FORMAT, LATER),
        (msgspec.msgpack.encode([6, "whatever"]), LATER),
        (msgspec.msgpack.encode([0, "whatever"]), "is of format 0"),
    ],
    ids=["empty", "text", "JSON", "cut off", "1, cut off", "1, others", "6", "6, others", "0"],
)
def test_foreign_bytes_are_refused(read: Callable[[bytes], object], value: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(value)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("gaps", b"\0" * 3),
        ("gaps", b"\0" * 8),
        ("floats", b"\0" * 7),
        ("event_ids", ["e-1"]),
        ("shape", [9, 2]),
        ("owner", 9),
        ("type_names", ["click"]),
        ("type_places", b""),
        ("type_places", b"\0"),
        ("type_places", b"\0\2"),
        ("type_places", [0, -1]),
    ],
)
def test_a_record_whose_parts_do_not_fit_is_refused(field: str, wrong: object) -> None:
    """Never read as something else: a history without its times, or capsules that are none."""
    capsules = Capsules(np.ones((1, 2), "f4"), np.ones(1, "f4"), "v1")
    history = History(("a", "b"), (START_MS, START_MS + 1), ("", ""), ("click", "buy"))
    fields = msgspec.msgpack.decode(to_bytes(replace(stored("ab", 5), history=history, capsules=capsules)))
    names = "format place owner item_ids first_ms unit_ms gaps event_ids profile profile_time_ms forgotten_ms "
    names += "model_version shape floats feedback type_names type_places"
    fields[names.split().index(field)] = wrong
    with pytest.raises(ValueError, match=r"a stored user cannot be read: |the history has 2 items"):
        from_bytes("anna", msgspec.msgpack.encode(fields))
