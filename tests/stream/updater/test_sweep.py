"""Sweeping: all capsules become those of the model that is served, and nothing that others write is undone."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.registry import Registry
from stream.events.position import Position
from stream.monitoring.metrics import Metrics
from stream.store.codec import to_bytes
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState, recomputed
from stream.updater.sweep import PAGE, Sweep
from stream.updater.sweeper import AGAIN_S, Sweeper
from testbed.bad_bundles import copy_bundle
from tests.support.stores import overwrite
from tests.support.stream_shell import Shell


@pytest.fixture(scope="module")
def old(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Extractor:
    """A model of before."""
    return Extractor(Bundle(copy_bundle(bundle, tmp_path_factory.mktemp("bundles") / "old")))


@pytest.fixture(scope="module")
def new(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Extractor:
    """The model that is served."""
    return Extractor(Bundle(copy_bundle(bundle, tmp_path_factory.mktemp("bundles") / "new")))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    with LmdbStore(tmp_path / "home" / "state") as store:
        yield store


TIMES_MS = (1, 86_400_000, 90_000_000, 90_060_000)  # of every user; models read how far apart they are


def user(extractor: Extractor, number: int, offset: int = 7) -> UserState:
    """One of many users, on one of four partitions."""
    history = tuple(extractor.bundle.item_ids[number % 50 : number % 50 + 4])
    [capsules] = extractor.encode([history], times_ms=[TIMES_MS], half=True)
    return UserState(
        f"user-{number:04}", History(history, TIMES_MS, ("",) * 4), capsules, Position("life", number % 4, offset)
    )


def versions(store: LmdbStore) -> list[str]:
    return [one.capsules.model_version for one in store.get_many(list(store.users())) if one]


def everything(store: LmdbStore) -> dict[str, bytes]:
    return {one.user_id: to_bytes(one) for one in store.get_many(list(store.users())) if one}


def test_all_capsules_become_those_of_the_model(store: LmdbStore, old: Extractor, new: Extractor) -> None:
    users = 2 * PAGE + 10
    store.put_many(user(new if number % 10 == 0 else old, number) for number in range(users))
    walk = Sweep(store, new)
    steps = 0
    while walk.step():
        steps += 1
    assert (steps, walk.looked_at, walk.swept, walk.overtaken) == (3, users, users - len(range(0, users, 10)), 0)
    assert everything(store) == {one.user_id: to_bytes(one) for one in (user(new, number) for number in range(users))}
    again = Sweep(store, new)
    while again.step():
        pass
    assert (again.looked_at, again.swept) == (users, 0)


def test_profiles_count_and_who_was_forgotten_stays_so(store: LmdbStore, old: Extractor, new: Extractor) -> None:
    profile = {"region": "north", "age": "25-34"}
    known = replace(user(old, 1), profile=profile)
    [none] = old.encode([()], half=True)
    gone = replace(user(old, 2), history=History(), capsules=none, forgotten_ms=5)
    store.put_many([known, gone])
    Sweep(store, new).step()
    found = store.get_many([known.user_id, gone.user_id])
    right = new.encode([known.history.item_ids, ()], [profile, {}], [TIMES_MS, ()], half=True)
    assert [to_bytes(one) for one in found if one] == [
        to_bytes(recomputed(before, capsules)) for before, capsules in zip((known, gone), right, strict=True)
    ]


def test_what_is_written_meanwhile_is_not_undone(store: LmdbStore, old: Extractor, new: Extractor) -> None:
    """A later event, one after the topic was made again, or the capsules of a model that is newer still."""
    store.put_many(user(old, number) for number in range(4))
    [newest] = new.encode([user(old, 2).history.item_ids], times_ms=[TIMES_MS], half=True)
    meanwhile = [
        user(old, 0, offset=8),
        replace(user(old, 1), position=Position("another life", 1, 0)),
        recomputed(user(old, 2), replace(newest, model_version="newest")),
    ]

    def write(states: list[UserState]) -> None:
        assert [one.capsules.model_version for one in states] == ["new"] * 4
        overwrite(store, meanwhile)

    walk = Sweep(store, new)
    assert walk.step(write)
    assert (walk.swept, walk.overtaken) == (1, 3)
    assert [to_bytes(one) for one in store.get_many([one.user_id for one in meanwhile]) if one] == [
        to_bytes(one) for one in meanwhile
    ]
    assert versions(store) == ["old", "old", "newest", "new"]


def test_a_user_who_cannot_be_read_keeps_nobody_else(
    store: LmdbStore, old: Extractor, new: Extractor, caplog: pytest.LogCaptureFixture
) -> None:
    store.put_many(user(old, number) for number in range(3))
    with store.environment.begin(write=True) as transaction:
        transaction.put(b"user-0001", b"no state")
    walk = Sweep(store, new)
    assert walk.step()
    assert (walk.looked_at, walk.swept) == (3, 2)
    assert "user 'user-0001' is not swept: a stored user cannot be read" in caplog.text


def swept_by(store: LmdbStore, said: list[str] | None = None) -> tuple[Sweeper, Metrics]:
    metrics = Metrics()
    heard = said if said is not None else []
    return Sweeper(store, metrics, lambda states: heard.extend(one.user_id for one in states)), metrics


def finish(sweeper: Sweeper) -> None:
    while sweeper.sweep:
        sweeper.step(idle=True)


def test_an_updater_sweeps_the_users_of_its_partitions(store: LmdbStore, old: Extractor, new: Extractor) -> None:
    store.put_many(user(old, number) for number in range(8))
    said: list[str] = []
    sweeper, metrics = swept_by(store, said)
    sweeper.follow(new, [])
    assert not sweeper.is_at_work()
    sweeper.follow(new, [0, 1])
    finish(sweeper)
    assert versions(store) == ["new", "new", "old", "old"] * 2
    assert said == ["user-0000", "user-0001", "user-0004", "user-0005"]
    sweeper.follow(new, [1])
    sweeper.follow(new, [1])
    assert not sweeper.is_at_work()
    sweeper.follow(new, [1, 3])
    finish(sweeper)
    assert versions(store) == ["new", "new", "old", "new"] * 2
    assert metrics.counts == {"swept": 6}
    assert metrics.registry.get_sample_value("mindstream_sweeping") == 0
    assert metrics.registry.get_sample_value("mindstream_sweep_looked_at_total") == 16


def test_another_model_begins_a_walk_and_ends_the_one_before(store: LmdbStore, old: Extractor, new: Extractor) -> None:
    store.put_many(user(old, number) for number in range(PAGE + 4))
    sweeper, metrics = swept_by(store)
    sweeper.follow(new, range(4))
    sweeper.step(idle=True)
    assert metrics.counts == {"swept": PAGE}
    assert metrics.registry.get_sample_value("mindstream_sweeping") == 1
    sweeper.follow(old, range(4))
    finish(sweeper)
    assert set(versions(store)) == {"old"}
    assert metrics.counts == {"swept": 2 * PAGE}


def test_while_events_come_it_rests_most_of_the_time(
    store: LmdbStore, old: Extractor, new: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put_many(user(old, number) for number in range(3 * PAGE))
    now = [100.0]
    monkeypatch.setattr("stream.updater.sweeper.time.monotonic", lambda: now[0])
    sweeper, metrics = swept_by(store)
    sweeper.announce = lambda states: now.__setitem__(0, now[0] + 1.0)  # a step takes a second
    sweeper.follow(new, range(4))
    for seconds, swept in ((0, PAGE), (0, PAGE), (3.9, PAGE), (0.2, 2 * PAGE), (0, 2 * PAGE)):
        now[0] += seconds
        sweeper.step(idle=False)
        assert metrics.counts["swept"] == swept
    sweeper.step(idle=True)
    assert metrics.counts["swept"] == 3 * PAGE


def test_a_store_that_fails_is_tried_again_later(
    tmp_path: Path, old: Extractor, new: Extractor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Unwilling(LmdbStore):
        works = False

        def replace_many(self, pairs: Iterable[tuple[UserState, UserState]]) -> int:
            if not self.works:
                raise OSError("no space left")
            return super().replace_many(pairs)

    now = [100.0]
    monkeypatch.setattr("stream.updater.sweeper.time.monotonic", lambda: now[0])
    with Unwilling(tmp_path / "full") as store:
        store.put_many(user(old, number) for number in range(4))
        sweeper, metrics = swept_by(store)
        sweeper.follow(new, range(4))
        for _ in range(3):
            sweeper.step(idle=True)
            assert not sweeper.is_at_work()
            now[0] += AGAIN_S
        assert caplog.text.count("the sweep waits, and begins anew: no space left") == 1
        store.works = True
        finish(sweeper)
        assert metrics.counts == {"swept": 4}


@pytest.fixture
def home(store: LmdbStore, old: Extractor, new: Extractor) -> Settings:
    """A home in which "new" is current, and users are of "old"."""
    store.put_many(user(old, number) for number in range(PAGE + 4))
    found = Settings(bootstrap_servers="", home=store.folder.parent)
    Registry(found.models).publish(new.bundle.path)
    store.close()  # one process opens it once
    return found


def in_store(home: Settings) -> list[str]:
    with LmdbStore(home.state) as store:
        return versions(store)


@pytest.fixture
def shell(home: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capfd, home.home)


def test_the_command_sweeps_all_and_says_how_many(shell: Shell, home: Settings) -> None:
    status, said = shell("sweep")
    assert status == 0
    assert shell.stdout == f"done: {PAGE + 4} users looked at, the capsules of {PAGE + 4} made anew\n"
    assert re.search(rf"sweeping to new: +{PAGE + 4} users", said)
    assert set(in_store(home)) == {"new"}
    assert shell("sweep")[0] == 0
    assert shell.stdout == f"done: {PAGE + 4} users looked at, the capsules of 0 made anew\n"


def test_the_command_ends_where_another_model_becomes_current(
    shell: Shell, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an updater has made by that model would be undone."""
    reading = Sweep.read

    def read(walk: Sweep, users: list[str]) -> list[UserState]:
        Registry(home.models).point_to("newer")
        return reading(walk, users)

    monkeypatch.setattr(Sweep, "read", read)
    status, said = shell("sweep")
    assert status == 2
    assert "error: new is not the current model any more; sweep again for the one that is\n" in said
    assert set(in_store(home)) == {"old"}


def test_the_command_is_stopped(shell: Shell, home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Sweep.step

    def interrupted(walk: Sweep, *arguments: object) -> bool:
        if walk.looked_at:
            raise KeyboardInterrupt
        return step(walk, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Sweep, "step", interrupted)
    assert shell("sweep")[0] == 130
    assert shell.stdout == f"stopped: {PAGE} users looked at, the capsules of {PAGE} made anew\n"
    assert sorted(in_store(home)) == ["new"] * PAGE + ["old"] * 4


def test_without_a_model_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "no model was published in" in Shell(monkeypatch, capfd, tmp_path).fails("sweep")
