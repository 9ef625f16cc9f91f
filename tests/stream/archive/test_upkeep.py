"""Upkeep of the archive, and reading meanwhile."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mindstream.archive.folder import ArchiveFolder, Change, reading
from model_export.readers import read_log
from stream.archive import upkeep
from stream.archive.archive import Archive
from stream.archive.metrics import ArchiveMetrics
from stream.archive.upkeep import Upkeep
from stream.events.event import Event, Forget
from tests.support.archived import DAY_MS, NOON_MS, Topic, rows_in

USERS = ("ann", "ben", "cat")
EVENTS = [Event(USERS[place % 3], f"mug-{place}", NOON_MS + place * DAY_MS // 8) for place in range(24)]


def archived(folder: Path, records: Iterable[Event | Forget], each: int = 6, keep_days: int | None = None) -> Archive:
    """An archive of one partition, cut after each so many records."""
    topic, archive = Topic("life", [list(records)]), Archive(folder, "clicks", keep_days, marker_days=36_500)
    while (parts := topic.parts(archive, each))["life", 0].first is not None:
        archive.cut(parts, NOON_MS)
    return archive


def finish(archive: Archive) -> Upkeep:
    made = Upkeep(archive, ArchiveMetrics())
    made.finish(lambda _: True)
    return made


def test_files_of_days_that_are_over_become_one_and_hold_the_same_rows(tmp_path: Path) -> None:
    archive = archived(tmp_path, EVENTS)
    before, files = rows_in(tmp_path), len(archive.files())
    finish(archive)
    assert rows_in(tmp_path) == before
    assert (files, len(archive.files())) == (6, 4)  # noon to noon is in two days
    assert len(read_log(tmp_path).events) == 24


def test_a_late_event_goes_to_its_own_day(tmp_path: Path) -> None:
    archive = archived(tmp_path, EVENTS)
    finish(archive)
    late = Topic("life", [[*EVENTS, Event("ann", "jug", NOON_MS)]])
    archive.cut(late.parts(archive, 9), NOON_MS)
    days = [one.day for one in archive.files() if one.first == 24]
    assert [str(day) for day in days] == ["2025-11-24"]
    assert len(read_log(tmp_path).events) == 25


def test_old_days_are_removed_with_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archived(tmp_path, EVENTS, keep_days=1)
    monkeypatch.setattr(upkeep, "now_ms", lambda: NOON_MS + 3 * DAY_MS)
    made = finish(archive)
    assert sorted(one.name for one in tmp_path.glob("day=*")) == ["day=2025-11-26", "day=2025-11-27"]
    assert made.metrics.archive_counts["files_removed"] > 0
    assert rows_in(tmp_path) == {(USERS[offset % 3], "life", 0, offset): 1 for offset in range(12, 24)}


def test_users_who_are_forgotten_together_are_in_no_file(tmp_path: Path) -> None:
    requests = [Forget("ann", NOON_MS + DAY_MS), Forget("ben", NOON_MS + 9 * DAY_MS)]
    archive = archived(tmp_path, [*EVENTS, *requests], each=5)
    assert [one.user_id for one in archive.state().due] == ["ann", "ben"]
    finish(archive)
    assert {user_id for user_id, *_ in rows_in(tmp_path)} == {"cat"}
    assert archive.state().due == []
    assert set(archive.state().forgotten) == {"ann", "ben"}


def test_upkeep_waits_for_readers_and_adding_does_not(tmp_path: Path) -> None:
    archive = archived(tmp_path, EVENTS[:12])
    made = Upkeep(archive, ArchiveMetrics())
    files = archive.files()
    with reading(tmp_path / "day=2025-11-24"):
        assert not made.step()
        assert archive.files() == files
        added = Topic("life", [list(EVENTS)]).parts(archive, 99)
        assert archive.cut(added, NOON_MS).counts["archived"] == 12
    finish(archive)
    assert archive.files() != files
    assert len(rows_in(tmp_path)) == 24


def read_only(*_: object) -> None:
    raise OSError(30, "Read-only file system")


def test_a_reader_finishes_what_a_killed_archiver_has_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the journal and the first rename: the rows are there once, before and after."""
    archive = archived(tmp_path, EVENTS)
    with monkeypatch.context() as patched:
        patched.setattr(ArchiveFolder, "_finish", lambda _: None)
        first, second = [one for one in archive.files() if str(one.day) == "2025-11-25"]
        assert archive.merge([first, second])
    assert (tmp_path / "_archive" / "journal.json").exists()
    assert (tmp_path / first.path).exists()
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", read_only)
        with pytest.raises(
            OSError, match=r"left half changed .* \(Read-only file system\); start `mindstream stream archive`"
        ):
            read_log(tmp_path)
    assert len(read_log(str(tmp_path / "day=*" / "*.parquet")).events) == 24
    assert not (tmp_path / "_archive" / "journal.json").exists()
    assert not (tmp_path / first.path).exists()


def test_a_file_that_cannot_be_read_holds_up_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    archive = archived(tmp_path, [*EVENTS, Forget("ann", NOON_MS + 9 * DAY_MS)])
    spoilt = archive.files()[0]
    (tmp_path / spoilt.path).write_bytes(b"PAR1 and nothing else")
    with caplog.at_level(logging.ERROR):
        made = finish(archive)
    assert spoilt.path in caplog.text
    assert spoilt.path in str(made.trouble)
    (tmp_path / spoilt.path).unlink()
    assert {user_id for user_id, *_ in rows_in(tmp_path)} == {"ben", "cat"}
    assert archive.state().due != []
    assert finish(archive).trouble is None
    assert archive.state().due == []


def test_a_profile_of_many_fields_is_kept(tmp_path: Path) -> None:
    many = {f"field-{number:03}": "x" for number in range(150)}
    events = [
        Event("ann", "mug", NOON_MS, profile=many | {"Country": "FR"}),
        Event("ben", "mug", NOON_MS, profile={"country": "PT"}),
    ]
    archive = archived(tmp_path, events)
    [table] = [pq.read_table(tmp_path / one.path, partitioning=None) for one in archive.files()]
    assert len(table.column_names) == 10 + 100 + 1
    own = {name.removeprefix("profile_") for name in table.column_names if name.startswith("profile_")}
    [ann, ben] = table["further_fields"].to_pylist()
    assert ann.count('"x"') + len(own & set(many)) == 150
    assert ("Country" in own) != ("country" in own)
    assert ("PT" in str(ben)) != ("country" in own)


def test_profiles_are_read_back(tmp_path: Path) -> None:
    archived(tmp_path, [*EVENTS, Event("ben", "mug", NOON_MS + 5 * DAY_MS, profile={"country": "PT"})])
    log = read_log(tmp_path)
    assert dict(zip(log.profiles.user_id, log.profiles.country, strict=True)) == {"ann": "", "ben": "PT", "cat": ""}
    assert (log.dropped, log.notes) == ({}, ())


def test_another_topic_and_a_folder_that_is_none_are_named(tmp_path: Path) -> None:
    Archive(tmp_path, "clicks")
    with pytest.raises(ValueError, match="is of topic clicks, and MINDSTREAM_TOPIC is views"):
        Archive(tmp_path, "views")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"the archive .*file cannot be written: Not a directory"):
        Archive(tmp_path / "file", "clicks")
    (tmp_path / "_archive" / "journal.json").write_text("{")
    with pytest.raises(OSError, match=r"journal\.json is no journal of an archive"):
        Archive(tmp_path, "clicks")


def test_a_change_without_files_changes_nothing(tmp_path: Path) -> None:
    folder = ArchiveFolder(tmp_path)
    folder.make()
    with folder.writing():
        folder.commit(Change())
        with pytest.raises(BlockingIOError, match="is being changed by another process"), folder.writing(wait_s=0):
            pass
    assert sorted(one.name for one in folder.own.iterdir()) == ["new", "reader.lock", "writer.lock"]
