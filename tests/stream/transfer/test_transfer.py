"""Users out of a store, through a file, into a store of any kind: all of them, and the newer ones win."""

import gzip
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from benchmarks.harness.older_states import WRITERS
from model_export.bundle.extractor import Capsules
from stream.events.position import Position
from stream.store.codec import HEAD, from_bytes, to_bytes
from stream.store.feedback import Feedback, ItemFeedback
from stream.store.history import History
from stream.store.lmdb_store import LmdbStore
from stream.store.redis_store import RedisStore
from stream.store.state import UserState
from stream.transfer.files import read_users, write_users
from stream.transfer.into_store import Imported, import_users, is_newer
from testbed.real_redis import RealRedis
from tests.support.stores import item_of, position_in, state
from tests.support.stream_shell import Shell

ENDINGS = (".jsonl", ".jsonl.gz", ".parquet")


def everything(user_id: str, precision: str = "f2") -> UserState:
    """A user with something in every field."""
    capsules = Capsules(np.array([[0.5, 1e-3], [-2, 0.25]], precision), np.array([0.75, 0.25], precision), "v1")
    kept = Feedback((ItemFeedback("pan", 5, "e-5", 9, "e-9"), ItemFeedback("pot", 7)))
    history = History(("mug", "cüp"), (1_720_000_000_000, 1_720_000_000_001), ("e-1", ""), ("buy", ""))
    return UserState(user_id, history, capsules, Position("life", 3, 2**53 + 1), {"age": "30", "b": ""}, 8, 4, kept)


def plain() -> list[UserState]:
    """Users of every kind: with everything, in single precision, forgotten, with odd names."""
    forgotten = UserState(
        "gone", History(), Capsules(np.zeros((0, 2), "f2"), np.zeros(0, "f2"), "v1"), everything("").position
    )
    return [everything("anna"), everything("béa\n\t☃", "f4"), replace(forgotten, forgotten_ms=9), state("cleo")]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_gives_the_users_back_bit_for_bit(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"users{ending}"
    write_users(file, plain())
    found = list(read_users(file))
    assert [one.user_id for one in found] == [one.user_id for one in plain()]
    assert [to_bytes(one) for one in found] == [to_bytes(one) for one in plain()]
    assert [one.name for one in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_breaks_off_leaves_no_file(ending: str, tmp_path: Path) -> None:
    def broken() -> Iterable[UserState]:
        yield from plain()
        raise OSError("the store is away")

    with pytest.raises(OSError, match="the store is away"):
        write_users(tmp_path / f"users{ending}", broken())
    assert list(tmp_path.iterdir()) == []


def test_names_and_files_that_are_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"users\.csv ends in none of \.jsonl, \.jsonl\.gz, \.parquet"):
        write_users(tmp_path / "users.csv", plain())
    (tmp_path / "users.jsonl").write_text("mine")
    with pytest.raises(ValueError, match=r"users\.jsonl is there already"):
        write_users(tmp_path / "users.jsonl", plain())
    assert (tmp_path / "users.jsonl").read_text() == "mine"


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_of_before_has_no_event_types(ending: str, tmp_path: Path) -> None:
    new, old = tmp_path / f"new{ending}", tmp_path / f"old{ending}"
    write_users(new, [everything("anna")])
    if ending == ".parquet":
        pq.write_table(pq.read_table(new).drop_columns("event_types"), old)
    else:
        opened = gzip.open if ending.endswith(".gz") else open
        with opened(new, "rt", encoding="utf-8") as lines:
            user = json.load(lines)
        del user["event_types"]
        with opened(old, "wt", encoding="utf-8") as target:
            target.write(json.dumps(user) + "\n")
    [found] = read_users(old)
    assert found.history.event_types == ("", "")
    assert found.history.item_ids == everything("anna").history.item_ids


WRONG: dict[str, tuple[Callable[[dict[str, object]], object], str]] = {
    "a field is missing": (lambda user: user.pop("offset"), "missing required field `offset`"),
    "a field is unknown": (lambda user: user.update(ofset=1), "unknown field `ofset`"),
    "a number is a text": (lambda user: user.update(offset="5"), r"Expected `int`, got `str` - at `\$.offset`"),
    "a number is negative": (lambda user: user.update(partition=-1), "partition is -1; right is 0 or more"),
    "no user_id": (lambda user: user.update(user_id=""), "the user_id '' has 0 bytes"),
    "a time too few": (lambda user: user.update(event_times_ms=[5]), "2 item_ids, 1 event_times_ms and 2 event_ids"),
    "a type too few": (lambda user: user.update(event_types=["buy"]), "2 item_ids and 1 event_types"),
    "a type in upper case": (lambda user: user.update(event_types=["Buy", ""]), "right is lower case"),
    "times in no order": (lambda user: user.update(event_times_ms=[9, 5]), "not in order"),
    "a precision": (lambda user: user.update(precision="int8"), "precision is 'int8'; right is float16 or float32"),
    "half a capsule": (lambda user: user.update(capsules="AAAA"), "importance and capsules have 4 and 3 bytes"),
    "no base64": (lambda user: user.update(capsules="?"), "base64"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_line_is_named_with_what_is_wrong(fault: str, tmp_path: Path) -> None:
    change, message = WRONG[fault]
    file = tmp_path / "users.jsonl"
    write_users(file, [everything("anna"), everything("ben")])
    first, second = file.read_text().splitlines()
    user = json.loads(second)
    change(user)
    file.write_text(f"{first}\n{json.dumps(user)}\n")
    with pytest.raises(ValueError, match=rf"users\.jsonl, line 2: .*{message}"):
        list(read_users(file))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_is_cut_off_says_so(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"users{ending}"
    write_users(file, [everything(f"user-{number}") for number in range(50)])
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(ValueError, match=file.name):
        list(read_users(file))


def test_newer_is_who_has_more_of_the_partition_or_later_events() -> None:
    old, new = state("anna", offset=5), state("anna", offset=6)
    assert (is_newer(new, old), is_newer(old, new), is_newer(old, old)) == (True, False, False)
    later = replace(old, history=History(("cup",), (1_720_000_000_001,), ("",)))
    assert not is_newer(later, new)  # of one partition, the offsets say it
    moved = replace(later, position=Position("another life", 0, 0))
    assert (is_newer(moved, new), is_newer(new, moved)) == (True, False)
    assert not is_newer(replace(old, position=Position("another life", 0, 99)), old)


def test_the_newer_state_of_each_user_is_stored(tmp_path: Path) -> None:
    """Whoever comes first, the file or the events; and a file may have a user twice."""
    with LmdbStore(tmp_path) as store:
        store.put_many([state("anna", "stored", 5), state("ben", "stored", 5), state("cleo", "stored", 5)])
        users = [state("anna", "file", 6), state("ben", "file", 4), state("cleo", "file", 5)]
        twice = [state("dora", "file", 2), state("dora", "older", 1)]
        assert list(import_users(store, [*users, *twice])) == [Imported(2, 3, {})]
        assert [item_of(store, one) for one in ("anna", "ben", "cleo", "dora")] == ["file", "stored", "stored", "file"]
        assert list(import_users(store, [*users, *twice])) == [Imported(0, 5, {})]


class Overtaken(LmdbStore):
    """A store into which an updater writes anna between reading and writing, some times."""

    times = 0

    def put_many(self, states: Iterable[UserState], read: Mapping[str, Position | None] = {}) -> set[str]:
        if self.times:
            self.times -= 1
            before = position_in(self, "anna")
            updated = state("anna", "updater", before.offset + 1 if before else 5)
            assert super().put_many([updated], {"anna": before}) == set()
        return super().put_many(states, read)


def test_an_updater_that_writes_meanwhile_is_not_undone(tmp_path: Path) -> None:
    with Overtaken(tmp_path) as store:
        store.times = 2
        assert list(import_users(store, [state("anna", "file", 6), state("ben", "file", 1)])) == [Imported(1, 1, {})]
        assert [item_of(store, one) for one in ("anna", "ben")] == ["updater", "file"]


def test_who_is_written_all_the_time_ends_an_import_in_one_sentence(tmp_path: Path) -> None:
    with Overtaken(tmp_path) as store:
        store.times = 99
        with pytest.raises(OSError, match="others wrote 1 user at each of 10 tries"):
            list(import_users(store, [state("anna", "file", 99)]))


@pytest.mark.redis
def test_users_move_from_lmdb_to_redis_and_back(shell: Shell, real_redis: RealRedis, tmp_path: Path) -> None:
    with LmdbStore(shell.settings.state) as store:
        store.put_many(plain())
    there, back = str(tmp_path / "there.jsonl.gz"), str(tmp_path / "back.parquet")
    status, said = shell("export-store", there)
    assert status == 0
    assert said.startswith(f"4 users in {there}, ")
    shell.set(redis=SecretStr(real_redis.url))
    assert "4 users written, 0 left as stored" in shell("import-store", there)[1]
    assert "0 users written, 4 left as stored" in shell("import-store", there)[1]
    with RedisStore(real_redis.url) as store:
        found = store.get_many([one.user_id for one in plain()])
        assert [one and to_bytes(one) for one in found] == [to_bytes(one) for one in plain()]
    assert shell("export-store", back)[0] == 0
    assert sorted(to_bytes(one) for one in read_users(Path(back))) == sorted(to_bytes(one) for one in plain())


def write_older(store: LmdbStore, states: Iterable[UserState], version: str) -> None:
    with store.transaction(write=True) as transaction:
        for one in states:
            transaction.put(one.user_id.encode(), WRITERS[version](one))


@pytest.mark.parametrize("version", WRITERS)
def test_migrate_writes_everybody_anew_once(shell: Shell, version: str) -> None:
    users = [state(f"user-{number}", offset=number) for number in range(1_100)]
    with LmdbStore(shell.settings.state) as store:
        write_older(store, users, version)
        store.put_many([state("today")])
    status, said = shell("migrate")
    assert status == 0
    assert "1,101 users looked at, 1,100 written in today's format" in said
    assert "1,101 users looked at, 0 written in today's format" in shell("migrate")[1]
    with LmdbStore(shell.settings.state) as store:
        with store.transaction() as transaction:
            assert all(value.startswith(HEAD) for _, value in transaction.cursor())
        found = store.get_many([one.user_id for one in users])
        assert [one and one.position for one in found] == [one.position for one in users]


def test_who_cannot_be_read_is_named_and_the_others_are_done(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "users.jsonl"
    with LmdbStore(shell.settings.state) as store:
        write_older(store, [state("anna"), state("ben")], "3")
        with store.transaction(write=True) as transaction:
            transaction.put(b"cleo", b"theirs")
    for command, done in ((["migrate"], "2 written in today's format"), (["export-store", str(file)], "2 users in ")):
        status, said = shell(*command)
        assert status == 1
        assert done in said
        assert "1 user cannot be read ('cleo'); what is stored stays, and `mindstream stream repair` lists all" in said
    status, said = shell("import-store", str(file))
    assert (status, "0 users written, 2 left" in said) == (0, True)
    with LmdbStore(shell.settings.state) as store, store.transaction() as transaction:
        assert from_bytes("anna", (transaction.get(b"anna") or b"")[:-4]).position == state("anna").position


def test_a_wrong_file_is_one_sentence(shell: Shell, tmp_path: Path) -> None:
    none = tmp_path / "none.jsonl"
    right = "right is a file that `mindstream stream export-store` wrote\n"
    said = shell.fails("import-store", str(none))
    assert said == f"error: {none} cannot be read: No such file or directory; {right}"
    assert "ends in none of" in shell.fails("import-store", str(tmp_path / "users.csv"))
    away = tmp_path / "away" / "users.jsonl"
    said = shell.fails("export-store", str(away))
    assert said.startswith(
        f"error: {away} cannot be written: there is no folder {away.parent}; right is the name of a "
    )
    assert not shell.settings.state.exists()  # no store was made for that


def packed_wrong() -> bytes:
    """What begins and ends as gzip does, and is damaged between."""
    packed = bytearray(gzip.compress(bytes(range(256)) * 100))
    packed[20:23] = b"\xff\xff\xff"
    return bytes(packed)


def table_wrong() -> bytes:
    """What begins and ends as Parquet does, and is damaged between."""
    stream = io.BytesIO()
    pq.write_table(pa.table({"user_id": [f"user-{number}" for number in range(9_000)]}), stream)
    table = bytearray(stream.getvalue())
    table[4:60] = b"\xff" * 56
    return bytes(table)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.jsonl.gz", b"{}", "is no gzip file, or a damaged one"),
        ("b.jsonl.gz", b"", "is cut off"),
        ("c.jsonl.gz", packed_wrong(), "is no gzip file, or a damaged one"),
        ("d.jsonl", b'{"user_id": "\xff"}', "line 1 is not UTF-8"),
        ("e.jsonl", gzip.compress(b"{}", mtime=0), "line 1: JSON is malformed"),
        ("f.parquet", b"PAR1", "is no Parquet file, or a damaged one"),
        ("g.parquet", table_wrong(), "is no Parquet file, or a damaged one"),
        ("h.parquet", None, "cannot be read: Is a directory"),
        ("i.jsonl", None, "cannot be read: Is a directory"),
    ],
)
def test_a_file_that_is_something_else_is_named_and_what_is_right(
    name: str, content: bytes | None, why: str, shell: Shell, tmp_path: Path
) -> None:
    file = tmp_path / name
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    status, said = shell("import-store", str(file))
    assert status == 2
    [sentence] = [line for line in said.splitlines() if line.startswith("error: ")]
    assert re.fullmatch(
        rf"error: {file}[, ]+{why}.*; right is a file that `mindstream stream export-store` wrote", sentence
    )
