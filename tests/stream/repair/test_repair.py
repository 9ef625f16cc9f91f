"""`mindstream stream repair` over both stores: it lists who cannot be read, sets aside, deletes, and puts back."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from stream.repair.set_aside import PAGE
from stream.store.contract import Store
from stream.store.lmdb_store import LmdbStore
from stream.store.open_store import open_store
from stream.store.redis.command import Command
from stream.store.redis_store import RedisStore
from tests.support.stores import item_of, state
from tests.support.stream_shell import Shell

STORES = ["lmdb", pytest.param("redis", marks=pytest.mark.redis)]


@pytest.fixture(params=STORES)
def shop(shell: Shell, request: pytest.FixtureRequest) -> Shell:
    """A store with three users; anna and cleo cannot be read."""
    if request.param == "redis":
        shell.set(redis=SecretStr(request.getfixturevalue("real_redis").url))
    with open_store(shell.settings) as store:
        store.put_many(state(user_id, "mug") for user_id in ("anna", "ben", "cleo"))
        for user_id in ("anna", "cleo"):
            spoil(store, user_id)
    return shell


def spoil(store: Store, user_id: str) -> None:
    """Store a value of another program at a user's key."""
    if isinstance(store, RedisStore):
        key = store.prefix + user_id.encode()
        store.link.ask([Command(key, ("DEL", key)), Command(key, ("RPUSH", key, b"theirs"))], "written")
    else:
        assert isinstance(store, LmdbStore)
        with store.transaction(write=True) as transaction:
            transaction.put(user_id.encode(), b"theirs")


def items(shell: Shell, *user_ids: str) -> list[str | None]:
    with open_store(shell.settings) as store:
        return [item_of(store, user_id) for user_id in user_ids]


def test_who_cannot_be_read_is_listed_with_why(shop: Shell) -> None:
    status, said = shop("repair")
    assert status == 1
    [*users, advice] = said.splitlines()
    assert sorted(line.split("  ")[0] for line in users) == ["anna", "cleo"]
    assert all("a stored user cannot be read" in line or "holds no user of Mindstream" in line for line in users)
    assert advice.startswith("2 users cannot be read: --set-aside FILE moves")
    assert shop("repair", "ben") == (0, "0 users cannot be read\n")
    assert shop("repair", "anna", "ben", "nobody")[1].endswith(advice.removeprefix("2 users") + "\n")
    assert items(shop, "ben") == ["mug"]


def test_set_aside_they_begin_anew_and_come_back(shop: Shell, tmp_path: Path) -> None:
    file = tmp_path / "aside.jsonl"
    status, said = shop("repair", "anna", "ben", "--set-aside", str(file))
    assert status == 0
    assert said.startswith(f"1 user set aside in {file}; they start anew with their next event; `mindstream stream dlq")
    assert shop("repair", "--set-aside", str(file))[1].startswith("1 user set aside")
    assert [json.loads(line)["user_id"] for line in file.read_text().splitlines()] == ["anna", "cleo"]
    assert shop("repair") == (0, "0 users cannot be read\n")
    assert items(shop, "anna", "ben", "cleo") == [None, "mug", None]
    with open_store(shop.settings) as store:
        store.put_many([state("anna", "bowl")])
    status, said = shop("repair", "--put-back", str(file))
    assert status == 1
    begun, still, done = said.splitlines()
    assert begun == "anna  has begun anew since, which is left as it is"
    assert still.startswith("cleo  still cannot be read: ")
    assert done == "0 users put back"
    assert items(shop, "anna", "ben", "cleo") == ["bowl", "mug", None]


def test_what_this_version_can_read_comes_back_as_it_was(shop: Shell, tmp_path: Path) -> None:
    """As after an upgrade: here a user is set aside by a version that finds fault with what is none."""
    file = tmp_path / "aside.jsonl"
    with open_store(shop.settings) as store, pytest.MonkeyPatch.context() as patch:

        def strict(user_id: str, value: bytes | None) -> None:
            if value is not None:
                raise ValueError("of a later format")

        for module in ("lmdb_store", "redis_store"):
            patch.setattr(f"stream.store.{module}.state_of", strict)
        patch.setattr(store, "close", lambda: None)
        patch.setattr("stream.commands.repair.open_store", lambda _: store)
        assert shop("repair", "ben", "--set-aside", str(file))[1].startswith("1 user set aside")
        assert store.get_many(["ben"]) == [None]
    assert shop("repair", "--put-back", str(file)) == (0, "1 user put back\n")
    assert items(shop, "ben") == ["mug"]


def test_more_than_a_page_is_deleted(shop: Shell) -> None:
    users = [f"user-{number}" for number in range(PAGE + 5)]
    with open_store(shop.settings) as store:
        for user_id in users:
            spoil(store, user_id)
    assert shop("repair", "--delete")[1].startswith(f"{PAGE + 7} users deleted; they start anew")
    with open_store(shop.settings) as store:
        assert list(store.users()) == ["ben"]


def test_options_that_do_not_go_together(shell: Shell, tmp_path: Path) -> None:
    assert "right is one of them" in shell.fails("repair", "--delete", "--set-aside", "x")
    assert "no user_ids" in shell.fails("repair", "anna", "--put-back", "x")
    assert "No such file" in shell.fails("repair", "--put-back", str(tmp_path / "nowhere"))
    (tmp_path / "wrong").write_text("theirs\n")
    assert "wrong, line 1: " in shell.fails("repair", "--put-back", str(tmp_path / "wrong"))
