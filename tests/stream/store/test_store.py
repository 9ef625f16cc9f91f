"""What every capsule store does. A store joins by a line in STORES, and one in `place`."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from msgspec.structs import replace

from benchmarks.harness.older_states import WRITERS, as_hash
from mindstream.behaviour_rule import BehaviourRule
from model_export.bundle.extractor import Capsules
from stream.events.event import Event
from stream.events.position import Position
from stream.store.codec import to_bytes
from stream.store.contract import Store
from stream.store.history import History
from stream.store.lmdb_store import KEYS_AT_ONCE, LmdbStore
from stream.store.redis.command import Command
from stream.store.redis_store import RedisStore
from stream.store.state import DAY_MS, MARKER_DAYS, Arrival, UserState, apply, recomputed
from tests.support.stores import IDLE_DAYS, STORES, idle_since, item_of, overwrite, position_in, state

ROOT = Path(__file__).parents[3]
RULE = BehaviourRule.parse("dislike=-1")


BATCHES_ARE_SEEN_WHOLE = {"lmdb"}
IN_ORDER = {"lmdb"}
Opener = Callable[..., Store]

OTHER_PROCESS = """
import sys
from tests.support.stores import STORES, item_of, overwrite, state
with STORES[sys.argv[1]](sys.argv[2]) as store:
    for line in sys.stdin:
        command, user_id, *item = line.split()
        if command == "put":
            overwrite(store, [state(user_id, item[0], offset=int(item[1]))])
        print(item_of(store, user_id), flush=True)
"""

# Counts 200 events of one user, of a partition of its own, on from what it has read; what is refused, once more.
RACING_PROCESS = """
import sys
from tests.support.stores import STORES, overwrite, position_in, state
with STORES[sys.argv[1]](sys.argv[2]) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    counted = refused = 0
    while counted < 200:
        read = position_in(store, "anna")
        number = read.offset + 1 if read else 0
        if store.put_many([state("anna", str(number), number, partition=int(sys.argv[3]))], {"anna": read}):
            refused += 1
        else:
            counted += 1
    print(refused, flush=True)
"""

# Opens an LMDB, reads, and stays in the midst of that; or only opens it.
READING_PROCESS = """
import sys
from tests.support.stores import open_lmdb
with open_lmdb(sys.argv[1]) as store, store.environment.begin() as transaction:
    transaction.get(b"anna")
    print("reading", flush=True)
    sys.stdin.readline()
"""
OPENING_PROCESS = "import sys; from tests.support.stores import open_lmdb; open_lmdb(sys.argv[1])"


@pytest.fixture(params=[pytest.param(one, marks=[pytest.mark.redis] * one.startswith("redis")) for one in STORES])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the test's store is, empty."""
    if kind == "redis":
        return str(request.getfixturevalue("real_redis").url)
    if kind == "redis-cluster":
        return str(request.getfixturevalue("real_redis_cluster").url)
    return str(tmp_path / "state")


@pytest.fixture
def open_store(kind: str, place: str) -> Opener:
    """Opens the test's store; what was closed can be opened again."""
    return partial(STORES[kind], place)


@pytest.fixture
def store(open_store: Opener) -> Iterator[Store]:
    with open_store() as store:
        yield store


def at(offset: int) -> Position:
    """Where `state` puts a user's last event."""
    return Position("life 1", 0, offset)


def forgotten_since(user_id: str, days: float) -> UserState:
    """A user who was forgotten some days ago."""
    none = Capsules(np.zeros((0, 2), "f4"), np.zeros(0, "f4"), model_version="v1")
    when = round(time.time() * 1000 - days * DAY_MS)
    return replace(state(user_id), history=History(), capsules=none, forgotten_ms=when)


def test_what_was_put_is_found(store: Store) -> None:
    put = replace(state("anna"), profile={"region": "north"})
    store.put_many([put])
    [found] = store.get_many(["anna"])
    assert found is not None
    assert to_bytes(found) == to_bytes(put)


def test_users_are_found_in_the_order_asked_for(store: Store) -> None:
    store.put_many([state("anna", "mug"), state("ben", "bowl"), state("cleo", "plate")])
    found = store.get_many(["cleo", "nobody", "anna", "cleo", "ben"])
    assert [one and one.history.item_ids[0] for one in found] == ["plate", None, "mug", "plate", "bowl"]


@pytest.mark.parametrize("user_id", ["nobody", "", "x" * 600, "\N{SNOWMAN}", "\0"])
def test_nobody_is_none(store: Store, user_id: str) -> None:
    store.put_many([state("anna")])
    assert store.get_many([user_id]) == [None]


def write_as(version: str, store: Store, state: UserState) -> None:
    """Write a user as a version before wrote it, past the store's own methods."""
    value = WRITERS[version](state)
    if isinstance(store, RedisStore):
        key = store.prefix + state.user_id.encode()
        fields = [part for pair in as_hash(state, value).items() for part in pair]
        store.link.ask([Command(key, ("HSET", key, *fields))], "written")
    else:
        assert isinstance(store, LmdbStore)
        with store.transaction(write=True) as transaction:
            transaction.put(state.user_id.encode(), value)


def found(store: Store, user_id: str = "anna") -> UserState:
    [state] = store.get_many([user_id])
    assert state is not None
    return state


@pytest.mark.parametrize("version", WRITERS)
def test_users_of_every_version_before_survive_the_upgrade(store: Store, version: str) -> None:
    """They are read, swept and written over; then they may refuse items. Of nobody else is anything changed."""
    for user_id in ("anna", "ben"):
        write_as(version, store, replace(state(user_id, "mug", offset=5), profile={"age": "30"}))
    before = found(store)
    assert (before.history, before.position, before.profile) == (state("anna").history, at(5), {"age": "30"})
    assert store.put_many([state("anna", "bowl", 6), state("ben", "bowl", 6)], {"anna": at(4)}) == {"anna", "ben"}
    assert to_bytes(found(store)) == to_bytes(before)
    assert store.replace_many([(of_model(before, "v3"), of_model(before, "v2"))]) == 1
    assert store.replace_many([(before, of_model(before, "v2"))]) == 0
    swept = found(store)
    assert swept.capsules.model_version == "v2"
    assert store.replace_many([(found(store, "ben"), of_model(found(store, "ben"), "v2"))]) == 0
    time_ms = 1_720_000_000_009
    events: list[Arrival] = [(Event("anna", "mug", time_ms, "dislike"), at(6), time_ms)]
    made = apply("anna", swept, events, 10, RULE)
    assert made is not None
    none = Capsules(np.zeros((0, 2), "f4"), np.zeros(0, "f4"), "v2")
    assert store.put_many([made.with_capsules(none)], {"anna": made.read}) == set()
    after = found(store)
    assert (after.history.item_ids, after.unwanted, after.profile) == ((), ("mug",), {"age": "30"})
    assert (found(store, "ben").position, sorted(store.users())) == (at(5), ["anna", "ben"])


@pytest.mark.parametrize("version", WRITERS)
def test_an_event_writes_an_older_user_anew(store: Store, version: str) -> None:
    write_as(version, store, state("anna", "mug", offset=5))
    assert store.put_many([state("anna", "bowl", 6)], {"anna": at(5)}) == set()
    assert (item_of(store, "anna"), store.renew_many(["anna"])) == ("bowl", (0, []))


def test_those_whom_no_event_comes_for_are_written_anew_on_request(store: Store) -> None:
    """Each once; a user of today is left alone, and so is one who is not there."""
    for version in WRITERS:
        write_as(version, store, state(version, "mug", offset=5))
    store.put_many([state("today")])
    everybody = [*WRITERS, "today", "nobody"]
    before = store.get_many(everybody)
    assert store.renew_many(everybody) == (len(WRITERS), [])
    assert store.renew_many(everybody) == (0, [])
    assert [one and to_bytes(one) for one in store.get_many(everybody)] == [one and to_bytes(one) for one in before]
    assert sorted(store.users()) == sorted([*WRITERS, "today"])


def test_who_has_refused_everything_stays(open_store: Opener) -> None:
    """An empty history alone is not the mark of somebody who was forgotten, whose time is over some days after."""
    now_ms = round(time.time() * 1000)
    with open_store(IDLE_DAYS) as store:
        place = Position("life 1", 0, 6)
        made = apply("anna", None, [(Event("anna", "mug", now_ms, "dislike"), place, now_ms)], 10, RULE)
        old = apply("ben", None, [(Event("ben", "mug", 9, "dislike"), place, now_ms)], 10, RULE)
        assert made is not None
        assert old is not None
        none = Capsules(np.zeros((0, 2), "f4"), np.zeros(0, "f4"), "v2")
        with days_ago(2):
            store.put_many([made.with_capsules(none), old.with_capsules(none)])
        store.remove_expired()
        assert [one and one.unwanted for one in store.get_many(["anna", "ben"])] == [("mug",), None]


def test_nothing_asked_nothing_found(store: Store) -> None:
    store.put_many([])
    assert store.get_many([]) == []
    assert list(store.users()) == []


@pytest.mark.parametrize(
    "user_id",
    [
        *("a", "\0", "a\0b", "\N{SNOWMAN}" * 127, "\U0001f600" * 127, " ", "a/b", "x" * 511),
        *("{a}b", "{}", "*", "a\r\nDEL b", "'] .. redis.call('FLUSHALL') .. ['"),
    ],
)
def test_any_user_id_of_an_event_can_be_kept(store: Store, user_id: str) -> None:
    store.put_many([state(user_id)])
    assert item_of(store, user_id) == "mug"
    assert list(store.users()) == [user_id]


def test_a_state_replaces_what_it_was_made_from(store: Store) -> None:
    first = state("anna", "mug", offset=3)
    assert store.put_many([first], {"anna": None}) == set()
    assert store.put_many([state("anna", "bowl", offset=4)], {"anna": first.position}) == set()
    assert item_of(store, "anna") == "bowl"
    assert list(store.users()) == ["anna"]


def test_a_second_state_of_a_batch_was_not_made_from_the_first(store: Store) -> None:
    """There the last one used to count, as if it had been."""
    assert store.put_many([state("anna", "mug", offset=3), state("anna", "bowl", offset=4)]) == {"anna"}
    assert item_of(store, "anna") == "mug"


def test_a_state_of_earlier_events_does_not_replace_a_later_one(store: Store) -> None:
    """An updater that was thought dead may still write what another one has overtaken."""
    before = [state(user_id, "cup", offset=2) for user_id in ("anna", "cleo")]
    store.put_many(before)
    read = {one.user_id: one.position for one in before}
    assert store.put_many([state("anna", "bowl", offset=4), state("cleo", "bowl", offset=4)], read) == set()
    late = [state("anna", "mug", offset=3), state("ben", "plate", offset=2), state("cleo", "mug", offset=3)]
    assert store.put_many(late, read) == {"anna", "cleo"}
    assert [item_of(store, user_id) for user_id in ("anna", "ben", "cleo")] == ["bowl", "plate", "bowl"]


NEXT = {  # what a second writer makes of it: a later event of the log, one of another partition, or of another life
    "the same partition": state("anna", "plate", offset=5),
    "another partition": state("anna", "plate", offset=0, partition=3),
    "another life of the topic": state("anna", "plate", offset=0, life="life 2"),
    "the same position": state("anna", "plate", offset=4),
}


@pytest.mark.parametrize("before", [None, state("anna", "mug", offset=3)], ids=["nothing stored", "a state stored"])
@pytest.mark.parametrize("second", NEXT.values(), ids=NEXT)
def test_of_two_who_read_the_same_the_second_is_refused(
    store: Store, before: UserState | None, second: UserState
) -> None:
    """What is of another partition or life used to overwrite: the event of the first was lost, its offset committed."""
    store.put_many([before] if before else [])
    read = {"anna": before.position if before else None}
    first = state("anna", "bowl", offset=4)
    assert store.put_many([first], read) == set()
    assert store.put_many([second], read) == {"anna"}
    assert item_of(store, "anna") == "bowl"
    assert store.put_many([second], {"anna": first.position}) == set()
    assert item_of(store, "anna") == "plate"


def test_what_was_made_from_a_state_is_refused_where_there_is_none(store: Store) -> None:
    """It expired meanwhile, or the store was emptied."""
    assert store.put_many([state("anna"), state("ben")], {"anna": state("anna").position}) == {"anna"}
    assert list(store.users()) == ["ben"]


@pytest.mark.parametrize(
    ("read", "stored"),
    [(9, 10), (99, 100), (2**53, 2**53 + 1), (2**60 - 1, 2**60), (2**63 - 2, 2**63 - 1), (10, 2**53)],
)
def test_offsets_are_compared_as_numbers_of_64_bits(store: Store, read: int, stored: int) -> None:
    store.put_many([state("anna", "bowl", offset=stored)])
    for wrong in (Position("life 1", 0, read), Position("life 1", 1, stored), Position("life 2", 0, stored), None):
        assert store.put_many([state("anna", "mug", offset=stored)], {"anna": wrong}) == {"anna"}
    assert item_of(store, "anna") == "bowl"
    assert store.put_many([state("anna", "plate", offset=read)], {"anna": Position("life 1", 0, stored)}) == set()
    assert item_of(store, "anna") == "plate"


def test_what_was_written_although_the_call_failed_is_refused_once_more(store: Store) -> None:
    """The answer was lost, and the same batch is put again; to read again shows that it is there."""
    for _ in range(2):
        refused = store.put_many([state("anna", "bowl", offset=4)])
    assert refused == {"anna"}
    assert position_in(store, "anna") == Position("life 1", 0, 4)


def test_capsules_of_another_model_replace_at_the_same_position(store: Store) -> None:
    store.put_many([state("anna")])
    [found] = store.get_many(["anna"])
    assert found is not None
    overwrite(store, [recomputed(found, replace(found.capsules, model_version="v2"))])
    [again] = store.get_many(["anna"])
    assert again is not None
    assert again.capsules.model_version == "v2"


def test_what_is_still_there_is_replaced(store: Store) -> None:
    store.put_many([state("anna"), state("ben")])
    found = [one for one in store.get_many(["anna", "ben"]) if one is not None]
    assert store.replace_many((one, of_model(one, "v2")) for one in found) == 0
    assert [one and one.capsules.model_version for one in store.get_many(["anna", "ben"])] == ["v2", "v2"]
    assert store.put_many([state("anna", "bowl", offset=1)], {"anna": state("anna").position}) == set()
    assert item_of(store, "anna") == "bowl"


@pytest.mark.parametrize("life", ["life 1", "life 2"])
def test_what_was_written_meanwhile_is_not_replaced(store: Store, life: str) -> None:
    """An event that was applied, wherever on Kafka, or capsules of a newer model."""
    read = state("anna"), state("ben"), state("gone"), state("cleo")
    store.put_many([state("anna", "bowl", offset=1, life=life), of_model(state("ben"), "v3"), read[3]])
    assert store.replace_many([(one, of_model(one, "v2")) for one in read]) == 3
    found = store.get_many(["anna", "ben", "gone", "cleo"])
    assert [one and one.capsules.model_version for one in found] == ["v1", "v3", None, "v2"]
    assert item_of(store, "anna") == "bowl"
    assert set(store.users()) == {"anna", "ben", "cleo"}


def test_who_is_replaced_expires_no_later(open_store: Opener) -> None:
    with open_store(idle_days=IDLE_DAYS) as store:
        soon = idle_since("anna", IDLE_DAYS - 2 / 86_400)  # in two seconds
        with days_ago(2):
            store.put_many([soon])
        assert store.replace_many([(soon, of_model(soon, "v2"))]) == 0
        deadline = time.monotonic() + 480
        while list(store.users()):
            assert time.monotonic() < deadline
            store.remove_expired()
            time.sleep(0.1)


def of_model(one: UserState, version: str) -> UserState:
    """The same user with capsules that another model has made."""
    return recomputed(one, replace(one.capsules, model_version=version))


def test_users_who_come_and_go_during_a_walk(store: Store) -> None:
    """Whoever is there all the while comes, and a walk keeps nobody from writing."""
    stays = {f"user-{number:04}" for number in range(0, 2500, 2)}
    store.put_many(map(state, stays))
    walk = store.users()
    found = {next(walk)}
    store.put_many(state(f"user-{number:04}") for number in range(1, 2500, 2))
    assert stays <= found | set(walk)


def test_every_user_comes_and_by_lmdb_in_the_order_of_their_bytes(store: Store, kind: str) -> None:
    store.put_many(state(user_id) for user_id in ["b", "é", "a10", "a1", "Z", "\N{SNOWMAN}", "a2"])
    found = list(store.users())
    assert (found if kind in IN_ORDER else sorted(found)) == ["Z", "a1", "a10", "a2", "b", "é", "\N{SNOWMAN}"]


def test_many_users_come(store: Store) -> None:
    """More than Redis gives at a time."""
    user_ids = {f"user-{number}" for number in range(2500)}
    store.put_many(map(state, user_ids))
    assert set(store.users()) == user_ids


def test_what_was_put_survives_reopening(open_store: Opener) -> None:
    for number in range(3):
        with open_store() as store:
            assert sorted(store.users()) == [f"user-{before}" for before in range(number)]
            store.put_many([state(f"user-{number}")])


def broken_states() -> Iterator[UserState]:
    yield state("anna", "bowl", offset=1)
    raise OSError("no more states")


@pytest.mark.parametrize(
    "states",
    [
        broken_states,
        lambda: [state("anna", "bowl", offset=1), state("x" * 600)],
        lambda: [state("anna", "bowl", offset=1), state("")],
    ],
    ids=["it breaks off", "a user_id too long", "a user_id too short"],
)
def test_all_are_written_or_none(store: Store, states: Callable[[], Iterator[UserState]]) -> None:
    store.put_many([state("anna", "mug")])
    with pytest.raises((OSError, ValueError), match=r"no more states|cannot be written; right is 1 to 511 bytes"):
        store.put_many(states())
    assert item_of(store, "anna") == "mug"
    assert list(store.users()) == ["anna"]


@contextmanager
def days_ago(days: float) -> Iterator[None]:
    """Write as if it were some days ago."""
    now = time.time
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: now() - days * DAY_MS / 1000)
        yield


def test_who_is_idle_or_long_forgotten_is_removed(open_store: Opener) -> None:
    with open_store(IDLE_DAYS) as store:
        gone = [idle_since("anna", IDLE_DAYS + 1), forgotten_since("ben", MARKER_DAYS + 1)]
        kept = [idle_since("cleo", IDLE_DAYS - 1), forgotten_since("dora", MARKER_DAYS - 1), forgotten_since("emil", 0)]
        with days_ago(1.01):
            store.put_many([*gone, *kept])
        store.remove_expired()
        assert sorted(store.users()) == ["cleo", "dora", "emil"]
        found = store.get_many(["anna", "ben", "cleo", "dora", "emil"])
        assert [one is not None for one in found] == [False, False, True, True, True]
        assert store.remove_expired() == 0


def test_nobody_is_removed_within_a_day_of_being_written(open_store: Opener) -> None:
    """Old events are replayed, and the user's later ones are still to come: all six behaviours are there then.

    Redis used to remove the user after each old one, so that two were left.
    """
    now_ms = round(time.time() * 1000)
    days = [400, 300, 200, 100, 2, 1]  # since each event; four are older than the idle days
    with open_store(IDLE_DAYS) as store:
        for offset, ago in enumerate(days):
            event = Event("anna", f"item-{offset}", now_ms - ago * DAY_MS)
            [read] = store.get_many(["anna"])
            made = apply("anna", read, [(event, at(offset), now_ms)], 10, RULE)
            assert made is not None
            store.put_many([made.with_capsules(state("anna").capsules)], {"anna": made.read})
            store.remove_expired()
        assert found(store).history.item_ids == tuple(f"item-{offset}" for offset in range(6))


@pytest.mark.parametrize(("written", "there"), [(0.99, ["anna", "ben"]), (1.01, [])])
def test_the_day_begins_with_the_last_event_not_with_a_sweep(
    open_store: Opener, written: float, there: list[str]
) -> None:
    """Of a user who was idle all along, and of one who was forgotten long ago."""
    with open_store(IDLE_DAYS) as store:
        states = [idle_since("anna", IDLE_DAYS + 9), forgotten_since("ben", MARKER_DAYS + 9)]
        with days_ago(written):
            store.put_many(states)
        if there:
            store.replace_many([(one, of_model(one, "v2")) for one in states])
            assert {one.capsules.model_version for one in store.get_many(there) if one} == {"v2"}
        store.remove_expired()
        assert sorted(store.users()) == there


def test_who_comes_back_is_kept(open_store: Opener) -> None:
    """A user's time starts anew with each behaviour."""
    with open_store(IDLE_DAYS) as store:
        one_second_left = IDLE_DAYS - 1000 / DAY_MS
        with days_ago(2):
            store.put_many([idle_since(user_id, one_second_left - 2) for user_id in ("anna", "ben")])
        overwrite(store, [replace(idle_since("anna", 0), position=at(1))])
        time.sleep(1.5)
        store.remove_expired()
        assert list(store.users()) == ["anna"]


def test_nobody_is_idle_where_no_days_are_named(store: Store) -> None:
    store.put_many([idle_since("anna", 10_000)])
    assert store.remove_expired() == 0
    assert item_of(store, "anna") == "mug"


def test_of_two_processes_neither_undoes_what_the_other_has_written(kind: str, place: str, store: Store) -> None:
    """Each counts on from what it has read. (The later of two partitions used to overwrite; so it was not counted.)

    Who reads meanwhile sees it go on; of LMDB a write may be seen before it is announced, and then once not. (A reader
    takes the number of the last commit, and then one of two meta pages by whether that is even: the next but one is
    written there before its number is announced.)
    """
    before, seen_early = -1, kind == "lmdb"
    with ExitStack() as ending:
        racing = [ending.enter_context(racing_process(kind, place, first)) for first in (0, 1)]
        assert [tell(process) for process in racing] == ["ready", "ready"]
        for process in racing:
            assert process.stdin is not None
            process.stdin.close()  # go
        while any(process.poll() is None for process in racing):
            [found] = store.get_many(["anna"])
            if found is not None:
                assert found.history.item_ids == (str(found.position.offset),)
                assert found.position.offset >= before - seen_early
                before = found.position.offset
        refused = [int(tell(process)) for process in racing]
    assert [process.returncode for process in racing] == [0, 0]
    assert all(one >= 0 for one in refused)
    assert item_of(store, "anna") == "399"


def racing_process(kind: str, place: str, first: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", RACING_PROCESS, kind, place, str(first)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def tell(process: "subprocess.Popen[str]") -> str:
    """The next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_two_processes_see_each_others_writes(store: Store, kind: str, place: str) -> None:
    command = [sys.executable, "-c", OTHER_PROCESS, kind, place]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None

        def ask(line: str) -> str:
            assert other.stdin is not None
            assert other.stdout is not None
            print(line, file=other.stdin, flush=True)
            return other.stdout.readline().strip()

        assert ask("get anna") == "None"
        store.put_many([state("anna", "mug", offset=1)])
        assert ask("get anna") == "mug"
        assert ask("put anna bowl 2") == "bowl"
        assert item_of(store, "anna") == "bowl"
        late = state("anna", "plate", offset=1)
        assert store.put_many([late], {"anna": late.position}) == {"anna"}  # which the other process has overtaken
        assert item_of(store, "anna") == "bowl"
        other.stdin.close()
    assert other.returncode == 0


def test_threads_share_a_store(store: Store, kind: str) -> None:
    """Two write and two read: nobody sees half a batch (of LMDB), an older state, or an error."""
    store.put_many([state("anna"), state("ben")])
    failures: list[BaseException] = []

    def write(user_ids: list[str]) -> None:
        for offset in range(1, 51):
            overwrite(store, (state(user_id, str(offset), offset) for user_id in user_ids))

    def read() -> None:
        before = 0
        for _ in range(200):
            one, other = store.get_many(["anna", "ben"])
            assert one is not None
            assert other is not None
            assert one.position == other.position or kind not in BATCHES_ARE_SEEN_WHOLE
            assert before <= one.position.offset
            before = one.position.offset

    def note_failure(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    works: list[Callable[[], None]] = [lambda: write(["anna", "ben"]), lambda: write(["cleo", "dora"]), read, read]
    threads = [Thread(target=note_failure, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [item_of(store, user_id) for user_id in store.users()] == ["50"] * 4


def test_a_folder_opened_twice_says_why_not(tmp_path: Path) -> None:
    with LmdbStore(tmp_path), pytest.raises(OSError, match=r"store .*cannot be opened: .*already open in this process"):
        LmdbStore(tmp_path)
    with LmdbStore(tmp_path) as store:
        assert list(store.users()) == []


def test_a_folder_that_is_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a folder")
    with pytest.raises(OSError, match="state"):
        LmdbStore(tmp_path / "state")


def test_what_is_no_store_says_so(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"some other program's file" * 1000)
    with pytest.raises(OSError, match=f"the capsule store {tmp_path} cannot be opened"):
        LmdbStore(tmp_path)


def test_an_lmdb_is_swept_page_by_page_and_who_cannot_be_read_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes of another program and a later format, on several pages. They used to end the sweep for good."""
    gone = [f"gone-{number:04}" for number in range(2 * KEYS_AT_ONCE + 5)]
    unreadable = {b"gone-0000 or not": b"theirs", b"gone-1500 or not": b"\x92\x09\x93\xa4life\x00\x00"}
    with LmdbStore(tmp_path, IDLE_DAYS) as store:
        kept = idle_since("kept", IDLE_DAYS - 1)
        with days_ago(2):
            store.put_many([*(idle_since(user_id, IDLE_DAYS) for user_id in gone), kept])
        with store.transaction(write=True) as transaction:
            for key, value in unreadable.items():
                transaction.put(key, value)
        removed: list[int] = []
        remove = store.remove

        def noted(keys: list[bytes], now_ms: float) -> int:
            removed.append(len(keys))
            return remove(keys, now_ms)

        monkeypatch.setattr(store, "remove", noted)
        for left in (len(gone), 0):
            caplog.clear()
            assert store.remove_expired() == left
            [warning] = caplog.messages
            assert warning.startswith("2 users cannot be read, and cannot expire: 'gone-0000 or not': a stored ")
            assert "'gone-1500 or not': a stored user is of format 9" in warning
        assert sum(removed) == len(gone)
        assert 3 <= len(removed) <= 4
        assert max(removed) <= KEYS_AT_ONCE
        assert set(store.users()) == {"kept", *(key.decode() for key in unreadable)}


OTHERS: dict[str, Callable[[LmdbStore], object]] = {
    "another opens": lambda store: subprocess.run(
        [sys.executable, "-c", OPENING_PROCESS, store.folder], cwd=ROOT, check=True
    ),
    "a sweep": LmdbStore.remove_expired,
}


@pytest.mark.parametrize("clear", OTHERS.values(), ids=OTHERS)
def test_a_reader_that_was_killed_keeps_no_place_in_an_lmdb(tmp_path: Path, clear: Callable[[LmdbStore], None]) -> None:
    """Nor old pages, which the file would grow by. (Where nobody else has it open, LMDB forgets all readers itself.)"""
    with LmdbStore(tmp_path) as store:
        store.put_many([state("anna")])
        command = [sys.executable, "-c", READING_PROCESS, str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
            assert tell(reader) == "reading"
            assert str(reader.pid) in store.environment.readers()
            clear(store)
            assert str(reader.pid) in store.environment.readers()  # it lives
            reader.send_signal(signal.SIGKILL)
        assert str(reader.pid) in store.environment.readers()
        clear(store)
        assert str(reader.pid) not in store.environment.readers()
