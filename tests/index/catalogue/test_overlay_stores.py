"""What every item store does. A store joins by a line in STORES, and one in `place`."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from index.catalogue.item import Item
from index.catalogue.lmdb_overlay import LmdbOverlayStore
from index.catalogue.overlay_store import MOST_ITEMS, Changes, FullStoreError, OverlayStore
from index.catalogue.redis_overlay import RedisOverlayStore
from model_export.bundle.bundle import Bundle
from testbed.real_redis import RealRedis
from tests.support.overlay.machine import OverlayMachine
from tests.support.overlay.stores import STORES, at, mug, spoil

ROOT = Path(__file__).parents[3]


WRITES_ARE_SEEN_WHOLE = {"lmdb"}
Opener = Callable[[], OverlayStore]

OTHER_PROCESS = """
import sys
from tests.support.overlay.stores import STORES, mug
with STORES[sys.argv[1]](sys.argv[2]) as store:
    for number, line in enumerate(sys.stdin):
        store.write({"other": mug("other", f"after {line.strip()}")})
        print(sorted(store.since(0).entries), flush=True)
"""

# Writes the same 50 items again and again, each time all with another title, until it is killed.
WRITING_PROCESS = """
import sys
from itertools import count
from tests.support.overlay.stores import STORES, mug
with STORES[sys.argv[1]](sys.argv[2]) as store:
    for number in count():
        store.write({f"item-{place}": mug(f"item-{place}", f"{number} {number:0200}") for place in range(50)})
        print(number, flush=True)
"""


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
    return str(tmp_path / "items")


@pytest.fixture
def open_store(kind: str, place: str) -> Opener:
    """Opens the test's store; what was closed can be opened again."""
    return partial(STORES[kind], place)


@pytest.fixture
def store(open_store: Opener) -> Iterator[OverlayStore]:
    with open_store() as store:
        yield store


def test_an_empty_store(store: OverlayStore) -> None:
    assert store.last_change() == 0
    assert store.since(0).entries == {}
    assert store.forget({"a": None}) == 0
    store.write({})
    assert store.last_change() == 0


def test_what_was_written_is_there_and_the_last_counts(store: OverlayStore) -> None:
    bare = Item("b", "Bowl")
    store.write({"a": mug("a"), "b": bare, "c": None})
    assert store.since(0).entries == {"a": mug("a"), "b": bare, "c": None}
    store.write({"a": None, "c": mug("c", "Cup")})
    assert store.since(0).entries == {"a": None, "b": bare, "c": mug("c", "Cup")}


@pytest.mark.parametrize("item_id", ["\0", "\N{SNOWMAN}" * 170, "x" * 511, "{a}b", "*", " ", "a\r\nDEL b"])
def test_any_item_id_can_be_kept(store: OverlayStore, item_id: str) -> None:
    store.write({item_id: mug(item_id)})
    assert store.since(0).entries == {item_id: mug(item_id)}


def test_a_reader_gets_what_was_written_since(store: OverlayStore) -> None:
    store.write({"a": mug("a"), "b": mug("b")})
    first = store.since(0)
    assert first.last == store.last_change() > 0
    assert store.since(first.last) == Changes(first.last, {}, whole=False)
    store.write({"a": None})
    store.write({"c": mug("c")})
    second = store.since(first.last)
    assert second.entries == {"a": None, "c": mug("c")}
    assert not second.whole
    assert second.last == store.last_change() > first.last


def test_forgetting_drops_what_did_not_change_and_is_noticed(store: OverlayStore) -> None:
    store.write({"a": mug("a"), "b": mug("b"), "c": None, "d": mug("d")})
    before = store.since(0)
    store.write({"b": mug("b", "Blue mug")})
    assert store.forget({"a": mug("a"), "b": mug("b"), "c": None, "e": None}) == 2
    kept = {"b": mug("b", "Blue mug"), "d": mug("d")}
    changed = {"b": mug("b", "Blue mug")}
    assert store.since(before.last) == Changes(store.last_change(), changed, False, gone=frozenset({"a", "c"}))
    assert store.since(0).entries == kept
    assert store.last_change() > before.last
    assert store.since(store.last_change()).entries == {}
    store.write({"a": mug("a")})
    assert set(store.since(0).entries) == {"a", "b", "d"}


def test_what_was_removed_is_restored_as_it_was(store: OverlayStore) -> None:
    """An item that was put comes back with its entry; the removal of one that was not leaves none."""
    store.write({"a": mug("a"), "b": mug("b")})
    store.write({"a": None, "c": None})
    store.write({"a": None})
    before = store.since(0)
    assert before.entries == {"a": None, "b": mug("b"), "c": None}
    assert store.restore(["a"]) == 1
    assert store.since(before.last) == Changes(store.last_change(), {"a": mug("a")}, whole=False)
    seen = store.last_change()
    assert store.restore(["a", "b", "nobody knows it"]) == 0  # none of which is removed
    assert store.last_change() == seen
    store.write({"b": None})
    assert store.restore(["c", "a", "b"]) == 2
    assert store.since(seen) == Changes(store.last_change(), {"b": mug("b")}, False, gone=frozenset({"c"}))
    assert store.since(0).entries == {"a": mug("a"), "b": mug("b")}
    store.write({"a": None})
    assert store.forget({"a": mug("a"), "b": None}) == 0
    assert store.forget({"a": None}) == 1
    assert store.restore(["a"]) == 0
    assert store.since(0).entries == {"b": mug("b")}


@pytest.mark.parametrize("value", [b"{", b'{"item_id":"a","title":"of another"}', b"\xff\xfe", b'{"item_id":"bad"}'])
def test_one_unreadable_entry_keeps_no_other_back(store: OverlayStore, value: bytes) -> None:
    store.write({"a": mug("a"), "z": None})
    seen = store.last_change()
    spoil(store, "bad", value)
    store.write({"b": mug("b")})
    changes = store.since(seen)
    assert changes.entries == {"b": mug("b")}
    assert list(changes.unreadable) == ["bad"]
    assert store.since(0).entries == {"a": mug("a"), "b": mug("b"), "z": None}
    assert store.forget({"bad": mug("bad")}) == 0
    assert store.drop(["bad", "nobody knows it"]) == 1
    assert store.since(changes.last) == Changes(store.last_change(), {}, False, gone=frozenset({"bad"}))


def test_what_was_written_before_a_time_is_named(store: OverlayStore) -> None:
    for number in range(3):
        at(store, 1_000.0 + number)
        store.write({str(number): mug(str(number)), "again": None})
    at(store, 2_000.0)
    store.write({"0": mug("0", "Written again")})
    assert store.written_before(1_000_000) == {}
    assert store.written_before(1_001_001) == {"1": mug("1")}
    assert store.written_before(2_000_000) == {"1": mug("1"), "2": mug("2"), "again": None}
    store.restore(["again"])
    assert set(store.written_before(2_000_001)) == {"0", "1", "2"}


def test_who_missed_more_forgettings_than_are_told_reads_all(
    store: OverlayStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("lmdb_overlay", "redis_overlay"):
        monkeypatch.setattr(f"index.catalogue.{module}.MOST_FORGOTTEN", 3)
    store.write({str(number): mug(str(number)) for number in range(6)})
    seen = store.last_change()
    store.drop(["0", "1", "2"])
    assert store.since(seen) == Changes(store.last_change(), {}, False, gone=frozenset("012"))
    store.drop(["3"])
    kept = {"4": mug("4"), "5": mug("5")}
    assert store.since(seen) == Changes(store.last_change(), kept, whole=True)
    assert store.since(seen + 1) == Changes(store.last_change(), {}, False, gone=frozenset("123"))


def test_what_is_patched_is_what_is_made_from_scratch(
    store: OverlayStore, kind: str, bundle: Bundle, other_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.catalogue.entry_table.SPARE", 3)  # tables are made anew within a few changes
    steps = hypothesis_settings(
        max_examples=8 if kind == "lmdb" else 2,
        stateful_step_count=25,
        deadline=None,
        phases=[Phase.generate],  # to shrink a sequence takes minutes
        suppress_health_check=list(HealthCheck),
    )
    machine: Any = lambda: OverlayMachine(store, [bundle, other_bundle])  # noqa: E731  hypothesis names a class here
    run_state_machine_as_test(machine, settings=steps)


def test_more_than_is_read_at_a_time(store: OverlayStore) -> None:
    entries = {f"item-{number}": mug(f"item-{number}") for number in range(2_500)}
    store.write(entries)
    assert store.since(0).entries == entries


def test_too_many_are_refused_as_a_whole(store: OverlayStore) -> None:
    store.write({"a": mug("a")})
    many: dict[str, Item | None] = {str(number): None for number in range(MOST_ITEMS)}
    message = r"would hold 100,001 new, changed and removed items; right is at most 100,000"
    with pytest.raises(FullStoreError, match=message):
        store.write({**many, "a": None})
    assert store.since(0).entries == {"a": mug("a")}
    assert store.last_change() == store.since(0).last
    store.write(dict.fromkeys(list(many)[:-1]))
    store.write({"a": None})  # another entry for one of them is no further one


def test_what_was_written_survives_reopening(open_store: Opener) -> None:
    for number in range(3):
        with open_store() as store:
            assert sorted(store.since(0).entries) == [f"item-{before}" for before in range(number)]
            store.write({f"item-{number}": mug(f"item-{number}")})


def test_two_processes_see_each_others_writes(store: OverlayStore, kind: str, place: str) -> None:
    command = [sys.executable, "-c", OTHER_PROCESS, kind, place]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        seen = 0
        for title in ("one", "two"):
            store.write({title: mug(title)})
            seen = store.last_change()
            print(title, file=other.stdin, flush=True)
            assert title in other.stdout.readline()
            assert store.last_change() > seen
            assert store.since(seen).entries == {"other": mug("other", f"after {title}")}
        other.stdin.close()
    assert other.returncode == 0


def test_a_process_that_is_killed_leaves_whole_entries(open_store: Opener, kind: str, place: str) -> None:
    command = [sys.executable, "-c", WRITING_PROCESS, kind, place]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writing:
        assert writing.stdout is not None
        told = [int(writing.stdout.readline()) for _ in range(20)][-1]
        writing.send_signal(signal.SIGKILL)
    with open_store() as store:
        entries = store.since(0).entries
        titles = {item.title for item in entries.values() if item}
        assert len(entries) == 50
        assert len(titles) == 1  # all of one write
        assert int(titles.pop().split()[0]) >= told
        store.write({"a": mug("a")})
        assert len(store.since(0).entries) == 51


def test_threads_share_a_store(store: OverlayStore, kind: str) -> None:
    """Two write and one reads: it misses nothing, and of LMDB it sees no half of a write."""
    failures: list[BaseException] = []

    def write(name: str) -> None:
        for number in range(40):
            store.write({f"{name}-{half}": mug(f"{name}-{half}", str(number)) for half in ("left", "right")})

    def read() -> None:
        seen, known = 0, dict[str, Item | None]()
        while len(known) < 4 or {item.title for item in known.values() if item} != {"39"}:
            changes = store.since(seen)
            seen, known = changes.last, {**known, **changes.entries}
            titles = [[known[one].title for one in known if one.startswith(name)] for name in ("a", "b")]  # type: ignore
            if kind in WRITES_ARE_SEEN_WHOLE:
                assert all(len(set(pair)) <= 1 for pair in titles)

    def note_failure(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    works: list[Callable[[], None]] = [lambda: write("a"), lambda: write("b"), read]
    threads = [Thread(target=note_failure, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"some other program's file" * 1000)
    with pytest.raises(OSError, match=f"the item store {tmp_path} cannot be opened"):
        LmdbOverlayStore(tmp_path)


def test_a_key_of_another_program_is_named(real_redis: RealRedis) -> None:
    with real_redis.client() as client:
        client.set("mindstream:{items}", "something else")
    with RedisOverlayStore(real_redis.url) as store, pytest.raises(ValueError, match="holds no items of Mindstream"):
        store.write({"a": mug("a")})


@pytest.mark.redis
def test_a_redis_that_lost_all_is_read_anew_and_one_that_is_away_is_named(tmp_path: Path) -> None:
    with RealRedis() as redis, RedisOverlayStore(redis.url) as store:
        store.write({"a": mug("a"), "b": mug("b")})
        seen = store.last_change()
        redis.flush()
        assert store.since(seen) == Changes(0, {}, whole=True)
        redis.kill()
        with pytest.raises(OSError, match=f"the item store at Redis {redis.address} cannot be read"):
            store.last_change()
