"""Users who cannot be read: every store names them, goes on with the others, and lets them be set aside."""

from collections.abc import Callable, Iterator

import pytest

from stream.store.contract import Store, read_readable
from stream.store.lmdb_store import LmdbStore
from stream.store.redis.command import Command
from stream.store.redis_store import RedisStore
from stream.store.state import UserState
from stream.store.unreadable import Unreadable, UnreadableTally, UnreadableUsersError
from tests.support.stores import STORES, item_of, state

NO_USER_IDS = (b"\xff\xfe", b"x" * 600)  # a key of LMDB cannot be so long


@pytest.fixture(params=[pytest.param(one, marks=[pytest.mark.redis] * one.startswith("redis")) for one in STORES])
def store(request: pytest.FixtureRequest, tmp_path: object) -> Iterator[Store]:
    """An empty store of each kind."""
    servers = {"redis": "real_redis", "redis-cluster": "real_redis_cluster"}
    place = request.getfixturevalue(servers[request.param]).url if request.param in servers else str(tmp_path)
    with STORES[request.param](place) as opened:
        yield opened


def ask(store: RedisStore, user_id: str, *words: str | bytes) -> object:
    """The reply to a command on a user's key: COMMAND, and what comes after the key."""
    command, *rest = words
    key = store.prefix + user_id.encode()
    [reply] = store.link.ask([Command(key, (command, key, *rest))], "written")
    return reply


def rewrite(store: Store, user_id: str, change: Callable[[bytes], bytes]) -> None:
    """Change the bytes that are stored of a user, past the store's own methods."""
    if isinstance(store, LmdbStore):
        with store.transaction(write=True) as transaction:
            transaction.put(user_id.encode(), change(transaction.get(user_id.encode()) or b""))
        return
    assert isinstance(store, RedisStore)
    if ask(store, user_id, "TYPE") == b"hash":
        ask(store, user_id, "HSET", "state", change(ask(store, user_id, "HGET", "state")))  # type: ignore[arg-type]
    else:
        ask(store, user_id, "SET", change(ask(store, user_id, "GET")))  # type: ignore[arg-type]


def make_another_type(store: Store) -> None:
    if not isinstance(store, RedisStore):
        return rewrite(store, "anna", lambda _: b"\x81\x01\x02")  # LMDB has bytes only: here a map
    ask(store, "anna", "DEL")
    ask(store, "anna", "RPUSH", b"theirs")
    return None


def make_another_hash(store: Store) -> None:
    """The type of users of the versions before; it used to be taken for nobody, and to refuse every write."""
    if not isinstance(store, RedisStore):
        return rewrite(store, "anna", lambda _: b"\x90")  # an empty array
    ask(store, "anna", "DEL")
    ask(store, "anna", "HSET", b"theirs", b"1")
    return None


SPOILED: dict[str, Callable[[Store], None]] = {
    "no state": lambda store: rewrite(store, "anna", lambda _: b"theirs"),
    "nothing": lambda store: rewrite(store, "anna", lambda _: b""),
    "cut off": lambda store: rewrite(store, "anna", lambda value: value[: len(value) // 2]),
    "another type": make_another_type,
    "another hash": make_another_hash,
}


@pytest.fixture(params=SPOILED)
def spoiled(store: Store, request: pytest.FixtureRequest) -> Store:
    """A store with anna, who cannot be read, and ben."""
    store.put_many([state("anna", "cup", 5), state("ben", "bowl", 6)])
    SPOILED[request.param](store)
    return store


def test_who_cannot_be_read_is_named_and_the_others_are_read(spoiled: Store) -> None:
    with pytest.raises(UnreadableUsersError, match=r"^user 'anna' cannot be read: .*; `mindstream stream repair`"):
        spoiled.get_many(["ben", "anna", "nobody"])
    states, unreadable = read_readable(spoiled, ["ben", "anna", "nobody"])
    assert [one and one.user_id for one in states] == ["ben", None, None]
    assert unreadable.keys() == {"anna"}
    assert read_readable(spoiled, ["ben"])[1] == {}
    assert set(spoiled.users()) == {"anna", "ben"}


def test_who_cannot_be_read_is_not_written_over_and_keeps_nobody(spoiled: Store) -> None:
    [before] = spoiled.unreadable(["anna"])
    made = [state("anna", "mug", 9), state("ben", "mug", 9), state("cleo", "mug", 9)]
    assert spoiled.put_many(made, {"anna": None, "ben": state("ben", offset=6).position}) == {"anna"}
    assert spoiled.replace_many([(state("anna", "cup", 5), state("anna", "mug", 9))]) == 1
    assert [item_of(spoiled, user_id) for user_id in ("ben", "cleo")] == ["mug", "mug"]
    assert spoiled.unreadable(["anna", "ben", "nobody"]) == [before]


def test_what_cannot_be_read_goes_and_comes_back_bit_for_bit(spoiled: Store) -> None:
    [found] = spoiled.unreadable(["anna"])
    assert spoiled.remove_unreadable([found]) == set()
    assert spoiled.get_many(["anna"]) == [None]
    assert spoiled.put_back([found]) == set()
    assert spoiled.unreadable(["anna"]) == [found]
    assert spoiled.remove_unreadable([found]) == set()
    assert spoiled.put_many([state("anna", "mug", 1)]) == set()
    assert spoiled.put_back([found]) == {"anna"}
    assert item_of(spoiled, "anna") == "mug"


def test_what_was_written_meanwhile_is_not_removed(spoiled: Store) -> None:
    """A repair decides by what it has read; an updater may have begun the user anew since."""
    [found] = spoiled.unreadable(["anna"])
    spoiled.remove_unreadable([found])
    assert spoiled.remove_unreadable([found]) == {"anna"}
    spoiled.put_many([state("anna", "mug", 1)])
    assert spoiled.remove_unreadable([found, Unreadable("ben", "", b"other bytes")]) == {"anna", "ben"}
    assert [item_of(spoiled, user_id) for user_id in ("anna", "ben")] == ["mug", "bowl"]


def test_several_who_cannot_be_read_are_all_named(store: Store) -> None:
    store.put_many(state(user_id) for user_id in ("anna", "ben", "cleo"))
    for user_id in ("anna", "cleo"):
        rewrite(store, user_id, lambda _: b"theirs")
    with pytest.raises(UnreadableUsersError, match="2 users cannot be read, of them 'anna': ") as failure:
        store.get_many(["anna", "ben", "cleo"])
    assert failure.value.users.keys() == {"anna", "cleo"}


def test_the_state_of_somebody_else_is_not_taken_for_the_user_s(store: Store) -> None:
    """As a copy under another key leaves it: the user would get another's recommendations."""
    store.put_many([state("anna"), state("ben")])
    taken: list[bytes] = []

    def keep(value: bytes) -> bytes:
        taken.append(value)
        return value

    rewrite(store, "ben", keep)
    rewrite(store, "anna", lambda _: taken[0])
    assert read_readable(store, ["anna", "ben"])[1].keys() == {"anna"}


def test_a_history_that_is_not_whole_cannot_be_read(store: Store) -> None:
    """It decodes, and would end whoever walks over its items and times together."""
    whole: UserState = state("anna")
    history = type(whole.history)(("mug", "cup"), (1_720_000_000_000,), ("",))
    store.put_many([UserState("anna", history, whole.capsules, whole.position)])
    with pytest.raises(UnreadableUsersError, match=r"the history has 2 items, 1 times|a stored user cannot be read"):
        store.get_many(["anna"])


def test_keys_that_are_no_user_ids_are_passed_over_and_said(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """One such key, of whatever type, used to end every updater at its start."""
    store.put_many([state("anna")])
    strays = NO_USER_IDS if isinstance(store, RedisStore) else NO_USER_IDS[:1]
    for name in strays:
        if isinstance(store, RedisStore):
            key = store.prefix + name
            store.link.ask([Command(key, ("SADD", key, b"theirs"))], "written")
        else:
            assert isinstance(store, LmdbStore)
            with store.transaction(write=True) as transaction:
                transaction.put(name, b"theirs")
    assert list(store.users()) == ["anna"]
    [said] = caplog.messages
    assert said.startswith(f"{len(strays)} key{'s' * (len(strays) > 1)} in ")
    assert "cannot be a user_id" in said
    assert store.remove_expired() == 0


def test_a_tally_counts_each_user_once_and_names_the_first() -> None:
    tally = UnreadableTally()
    assert tally.add(["anna"]) == ["anna"]
    assert str(tally) == "1 user cannot be read ('anna')"
    assert tally.add(["anna", "ben", "cleo", "dora"]) == ["ben", "cleo"]
    assert str(tally) == "4 users cannot be read ('anna', 'ben', 'cleo' and others)"
