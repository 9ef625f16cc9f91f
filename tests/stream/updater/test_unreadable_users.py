"""Users who cannot be read, on a real Kafka: the updater goes on with all others, and loses no event."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from stream.dead_letters.letter import read_record
from stream.dead_letters.redrive import Redrive
from stream.events.producer import EventProducer
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState
from tests.support.updater_world import World, work


def spoil(world: World, *user_ids: str) -> None:
    """Store bytes of another program for these users."""
    with world.store.transaction(write=True) as transaction:
        for user_id in user_ids:
            transaction.put(user_id.encode(), b"theirs")


def test_who_cannot_be_read_keeps_nobody_and_loses_nothing(world: World) -> None:
    """Their events wait among the dead letters for the repair; all others' are applied."""
    spoil(world, "evil")
    world.publish([*world.clicks("evil", 1, 2), *world.clicks("anna", 3, 4), *world.clicks("evil", 5, first=2)])
    updater = world.updater()
    work(updater, lambda: updater.counts["applied"] + updater.counts["dead_letter"] == 5)
    assert (updater.counts["dead_letter"], updater.counts["stalls"], updater.trouble) == (3, 0, None)
    assert world.history("anna") == [3, 4]
    letters = [read_record(record) for record in world.dead_letters(3)]
    assert {one.reason for one in letters} == {"user"}
    assert letters[0].error.startswith("user 'evil' cannot be read: a stored user cannot be read: ")
    world.store.remove_unreadable(world.store.unreadable(["evil"]))  # the repair
    with EventProducer(world.cluster, world.topic) as producer:
        redrive = Redrive(producer)
        assert [redrive.send(letter) for letter in letters] == [True, True, True]
    work(updater, lambda: updater.counts["applied"] == 5)
    assert world.history("evil") == [1, 2, 5]


def test_forgetting_needs_no_reading(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """What is stored of whom nobody can read is deleted all the same; what comes after it counts."""
    spoil(world, "evil", "other")
    world.publish(world.clicks("evil", 1))
    world.forget("evil")
    world.publish([*world.clicks("evil", 2, first=1), *world.clicks("other", 3)])
    updater = world.updater()
    # How the poll cuts them decides whether the first click is applied before the forgetting or is a letter.
    work(updater, lambda: updater.counts["forgotten"] == 1 and updater.counts["dead_letter"] >= 1)
    work(updater, lambda: "evil" in world.store.users() and world.history("evil") == [2])
    assert world.store.unreadable(["evil", "other"])[0].user_id == "other"
    assert "user 'evil' is forgotten, and could not be read before: a stored user" in caplog.text


def test_one_who_becomes_unreadable_between_reading_and_writing(world: World, tmp_path: Path) -> None:
    class Spoiled(LmdbStore):
        """Loses a user's bytes right after they were read for the first time."""

        def get_many(self, user_ids: Sequence[str]) -> list[UserState | None]:
            found = super().get_many(user_ids)
            if found == [None]:
                with self.transaction(write=True) as transaction:
                    transaction.put(b"anna", b"theirs")
            return found

    world.publish(world.clicks("anna", 1))
    with Spoiled(tmp_path / "spoiled") as store:
        updater = world.updater(store)
        work(updater, lambda: updater.counts["dead_letter"] == 1)
        assert (updater.counts["applied"], updater.counts["refused"], updater.counts["stalls"]) == (0, 1, 0)
        assert store.unreadable(["anna"])[0].stored == b"theirs"
