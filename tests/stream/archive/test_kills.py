"""An archiver that is killed at each of its calls of the file system in turn: nothing is lost and nothing doubled."""

import os
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from stream.archive.archive import Archive
from stream.archive.merging import plan_merges
from stream.events.event import Event, Forget
from tests.support.archived import DAY_MS, NOON_MS, Topic, rows_in

LATER = date(2100, 1, 1)  # every day is over
NOW_MS = NOON_MS + 2 * DAY_MS


class KilledError(BaseException):
    """What a SIGKILL is in the same process: nothing but the locks is given back."""


class Killer:
    """Stands in for calls of the file system, and kills at one of them: before it, or half way where it writes."""

    def __init__(self, at: int) -> None:
        self.at, self.calls = at, 0

    def wrapped(self, call: Callable[..., Any], writes: bool = False) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls != self.at:
                return call(*arguments, **options)
            if writes:
                call(*arguments, **options)
                place = next(one for one in arguments if isinstance(one, Path))
                os.truncate(place, place.stat().st_size // 2)
            raise KilledError

        return called


def topic() -> Topic:
    """Two partitions with events of two days.

    Ann is forgotten on each, and has events behind that; cat is forgotten once, by one record that must not be lost.
    """
    users = ("ann", "ben", "cat")
    first = [Event(users[place % 3], f"mug-{place}", NOON_MS + place * DAY_MS // 8) for place in range(8)]
    second = [Event(users[place % 2], f"cup-{place}", NOON_MS + place * DAY_MS // 6) for place in range(4)]
    asked = Forget("ann", NOON_MS + DAY_MS)
    behind = [Event("ann", "jug", NOON_MS + DAY_MS + 1), Event("ann", "jar", NOON_MS + DAY_MS - 1)]
    return Topic("life", [[*first, asked, *behind, Forget("cat", NOON_MS)], [*second[:2], asked, *second[2:]]])


def work(folder: Path, topic: Topic) -> Iterator[None]:
    """Archive the topic in small cuts, and do the upkeep between them; each step is yielded."""
    archive = Archive(folder, "clicks", marker_days=36_500)
    while any(part.rows or part.erasures for part in topic.parts(archive, 6).values()):
        archive.cut(topic.parts(archive, 6), NOW_MS)
        yield
        for run in plan_merges({one: archive.size(one) for one in archive.files()}, LATER):
            archive.merge(run)
            yield
    due = archive.state().due
    for file in archive.files():
        archive.erase(file)
        yield
    archive.finish_erasures(due)
    yield


def run_killed(folder: Path, killer: Killer, patch: pytest.MonkeyPatch) -> bool:
    """Run until it is killed or done; tell whether it was done."""
    with patch.context() as patched:
        for name in ("replace", "fsync"):
            patched.setattr(os, name, killer.wrapped(getattr(os, name)))
        for name in ("unlink", "rmdir", "mkdir"):
            patched.setattr(Path, name, killer.wrapped(getattr(Path, name)))
        for name in ("write_bytes", "write_text"):
            patched.setattr(Path, name, killer.wrapped(getattr(Path, name), writes=True))
        patched.setattr(pq, "write_table", killer.wrapped(pq.write_table, writes=True))
        try:
            for _ in work(folder, topic()):
                pass
        except KilledError:
            return False
    return True


def check(folder: Path) -> None:
    """What a reader finds after a kill: no row twice, none that the archive does not know of, none missing."""
    found = rows_in(folder)
    assert set(found.values()) <= {1}
    if not (folder / "_archive" / "state.json").exists():
        assert not found
        return
    archive = Archive(folder, "clicks", marker_days=36_500)
    state = archive.state()
    reached = {number: state.next_offset(("life", number)) or 0 for number in (0, 1)}
    assert all(offset < reached[partition] for *_, partition, offset in rows_in(folder))
    expected = {row for row in topic().left() if row[3] < reached[row[2]]}
    assert expected - set(rows_in(folder)) == set()


@pytest.mark.slow
def test_whoever_is_killed_anywhere_neither_loses_nor_doubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kills = 1
    while not run_killed(tmp_path / str(kills), Killer(kills), monkeypatch):
        folder = tmp_path / str(kills)
        check(folder)
        for _ in work(folder, topic()):
            pass
        assert rows_in(folder) == topic().left()
        assert list((folder / "_archive" / "new").iterdir()) == []
        kills += 1
    assert rows_in(tmp_path / str(kills)) == topic().left()
    assert sorted(topic().left())[:2] == [("ann", "life", 0, 9), ("ben", "life", 0, 1)]
    assert kills > 60


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fsync fails once; the cut is tried again by the same archiver, from what it has in memory."""

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    archive, clicks = Archive(tmp_path, "clicks", marker_days=36_500), topic()
    parts = clicks.parts(archive, 99)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            archive.cut(parts, NOW_MS)
    assert not rows_in(tmp_path)
    assert archive.cut(parts, NOW_MS).counts["archived"] == sum(topic().left().values())
    assert rows_in(tmp_path) == topic().left()
