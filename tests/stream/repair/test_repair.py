"""`mindstream stream repair` over both stores: it lists who cannot be read, sets aside, deletes, and puts back."""

import json
import re
import resource
import signal
from pathlib import Path

import pytest
from pydantic import SecretStr

from model_export.bundle.bundle import Bundle
from model_export.bundle.registry import Registry
from stream.repair.set_aside import PAGE, write_file
from stream.store.codec import to_bytes
from stream.store.contract import Store
from stream.store.lmdb_store import LmdbStore
from stream.store.open_store import open_store
from stream.store.redis.command import Command
from stream.store.redis_store import RedisStore
from stream.store.unreadable import Unreadable
from tests.support.stores import item_of, state
from tests.support.stream_shell import Shell

ALL_WELL = "all users who are stored, and were looked at, can be read"
STORES = ["lmdb", pytest.param("redis", marks=pytest.mark.redis)]


@pytest.fixture(params=STORES)
def store_shell(shell: Shell, request: pytest.FixtureRequest) -> Shell:
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


def damage(store: Store, user_id: str) -> None:
    """Store the beginning of a user in today's format, and then nonsense."""
    value = to_bytes(state(user_id))[:12] + b"theirs"
    if isinstance(store, RedisStore):
        key = store.prefix + user_id.encode()
        store.link.ask([Command(key, ("SET", key, value))], "written")
    else:
        assert isinstance(store, LmdbStore)
        with store.transaction(write=True) as transaction:
            transaction.put(user_id.encode(), value)


def items(shell: Shell, *user_ids: str) -> list[str | None]:
    with open_store(shell.settings) as store:
        return [item_of(store, user_id) for user_id in user_ids]


def test_who_cannot_be_read_is_listed_with_why(store_shell: Shell) -> None:
    status, said = store_shell("repair")
    assert status == 1
    [*users, advice] = said.splitlines()
    assert sorted(line.split("  ")[0] for line in users) == ["anna", "cleo"]
    assert all("a stored user cannot be read" in line or "holds no user of Mindstream" in line for line in users)
    assert advice.startswith("2 users cannot be read: --set-aside FILE moves")
    assert store_shell("repair", "ben") == (0, f"{ALL_WELL}\n")
    assert store_shell("repair", "anna", "ben", "nobody")[1].endswith("1 user" + advice.removeprefix("2 users") + "\n")
    assert items(store_shell, "ben") == ["mug"]


def test_set_aside_they_begin_anew_and_come_back(store_shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "aside.jsonl"
    status, said = store_shell("repair", "anna", "ben", "--set-aside", str(file))
    assert status == 0
    done, other = said.splitlines()
    assert done.startswith(f"1 user set aside in {file}; they start anew with their next event; `mindstream stream dlq")
    assert other == "ben  can be read, and is left as it is"
    assert store_shell("repair", "--set-aside", str(file))[1].startswith("1 user set aside")
    assert [json.loads(line)["user_id"] for line in file.read_text().splitlines()] == ["anna", "cleo"]
    assert store_shell("repair") == (0, f"{ALL_WELL}\n")
    assert items(store_shell, "anna", "ben", "cleo") == [None, "mug", None]
    with open_store(store_shell.settings) as store:
        store.put_many([state("anna", "bowl")])
    status, said = store_shell("repair", "--put-back", str(file))
    assert status == 1
    begun, still, done = said.splitlines()
    assert begun == "anna  has begun anew since, which is left as it is"
    assert still.startswith("cleo  still cannot be read: ")
    assert done == "0 users put back"
    assert items(store_shell, "anna", "ben", "cleo") == ["bowl", "mug", None]


def test_what_this_version_can_read_comes_back_as_it_was(store_shell: Shell, tmp_path: Path) -> None:
    """As after an upgrade: here a user is set aside by a version that finds fault with what is none."""
    file = tmp_path / "aside.jsonl"
    with open_store(store_shell.settings) as store, pytest.MonkeyPatch.context() as patch:

        def strict(user_id: str, value: bytes | None) -> None:
            if value is not None:
                raise ValueError("of a later format")

        for module in ("lmdb_store", "redis_store"):
            patch.setattr(f"stream.store.{module}.state_of", strict)
        patch.setattr(store, "close", lambda: None)
        patch.setattr("stream.commands.repair.open_store", lambda _: store)
        assert store_shell("repair", "ben", "--set-aside", str(file))[1].startswith("1 user set aside")
        assert store.get_many(["ben"]) == [None]
    assert store_shell("repair", "--put-back", str(file)) == (0, "1 user put back\n")
    assert items(store_shell, "ben") == ["mug"]


def test_more_than_a_page_is_deleted(store_shell: Shell) -> None:
    users = [f"user-{number}" for number in range(PAGE + 5)]
    with open_store(store_shell.settings) as store:
        for user_id in users:
            spoil(store, user_id)
    status, said = store_shell("repair", "--delete")
    assert (status, "nobody can be asked here" in said) == (2, True)
    assert sum(line.startswith("user-") for line in said.splitlines()) == len(users)
    with open_store(store_shell.settings) as store:
        assert len(store.unreadable([*users, "anna", "cleo"])) == PAGE + 7
    *named, done, other = store_shell("repair", *users, "anna", "cleo", "nobody", "--delete", "--yes")[1].splitlines()
    assert len(named) == PAGE + 8  # and how many they are
    assert done.startswith(f"{PAGE + 7} users deleted; they start anew")
    assert other == "nobody  is not stored, and is left as it is"
    with open_store(store_shell.settings) as store:
        assert list(store.users()) == ["ben"]


def test_options_that_do_not_go_together(shell: Shell, tmp_path: Path) -> None:
    assert "right is one of them" in shell.fails("repair", "--delete", "--set-aside", "x")
    assert "no user_ids" in shell.fails("repair", "anna", "--put-back", "x")


def test_a_file_that_is_no_file_of_ours_is_named(store_shell: Shell, tmp_path: Path) -> None:
    nowhere, folder, wrong = tmp_path / "none" / "aside.jsonl", tmp_path / "folder", tmp_path / "wrong"
    folder.mkdir()
    right = "right is a file that `mindstream stream repair --set-aside` wrote\n"
    for file, why in ((nowhere, "No such file or directory"), (folder, "Is a directory")):
        assert store_shell.fails("repair", "--put-back", str(file)) == f"error: {file} cannot be read: {why}; {right}"
    for content, why in (
        (b"theirs\n", "JSON is malformed"),
        (b'{"user_id":"\xff","reason":"","stored":""}', "is not UTF-8"),
    ):
        wrong.write_bytes(content)
        assert re.search(rf"wrong, line 1:? {why}.*; {right}", store_shell.fails("repair", "--put-back", str(wrong)))
    for file, why in ((nowhere, f"there is no folder {nowhere.parent}"), (folder, "Is a directory")):
        said = store_shell.fails("repair", "--set-aside", str(file))
        assert said.startswith(f"error: {file} cannot be written: {why}; right is a file that may be written")
    assert store_shell("repair")[1].endswith("; if a later version wrote it, use that one\n")  # nothing was removed
    assert items(store_shell, "ben") == ["mug"]


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """Half a line would spoil the line that is written after it."""
    file = tmp_path / "aside.jsonl"
    write_file([Unreadable("anna", "why", b"theirs")], file)
    before = file.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 1_000, limits[1]))
    try:
        with pytest.raises(OSError, match=rf"{file} cannot be written: File too large; right is .* with room for it"):
            write_file([Unreadable("ben", "why", bytes(10_000))], file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, former)
    assert file.read_bytes() == before


def test_all_commands_find_the_same_users(store_shell: Shell, tmp_path: Path, bundle: Bundle) -> None:
    """Also one who begins as today's format does."""
    Registry(store_shell.settings.models).publish(bundle.path)
    with open_store(store_shell.settings) as store:
        damage(store, "dora")
    found = {}
    for command in (["migrate"], ["export-store", str(tmp_path / "users.jsonl")], ["sweep"], ["repair"]):
        status, said = store_shell(*command)
        assert status == 1, said
        [found[command[0]]] = re.findall(r"(\d+ users?) cannot be read", said)
    assert found == dict.fromkeys(["migrate", "export-store", "sweep", "repair"], "3 users")
