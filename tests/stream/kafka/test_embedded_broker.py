"""The embedded broker: one for each folder, found by other processes, gone with its process, and new each time."""

import fcntl
import json
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.serving import FixedServing
from stream.events.event import Event
from stream.events.producer import EventProducer
from stream.events.replay import Brake
from stream.kafka.cluster import Cluster
from stream.kafka.embedded_broker import ANNOUNCEMENT, BrokerTakenError, EmbeddedBroker, is_locked, running_embedded
from stream.store.contract import Store
from stream.store.lmdb_store import LmdbStore
from stream.store.state import UserState
from stream.updater.updater import Updater
from testbed.stream_process import StreamProcess, wait_until

START_MS = 1_720_000_000_000


def state_folder(home: Path) -> Path:
    return Settings(home=home).state


@contextmanager
def broker_process(home: Path) -> Iterator[StreamProcess]:
    with StreamProcess(home, "broker") as command:
        yield command.says("embedded broker at")


@contextmanager
def updating(cluster: Cluster, store: Store, bundle: Bundle, home: Path) -> Iterator[Updater]:
    settings = Settings(home=home, topic="clicks", group="updaters")
    with closing(Updater(cluster, store, FixedServing(bundle, Extractor), settings)) as updater:
        yield updater


def publish(cluster: Cluster, *items: str, profile: dict[str, str] | None = None) -> None:
    """One click of anna on each item."""
    with EventProducer(cluster, "clicks") as producer:
        for number, item in enumerate(items):
            producer.send(Event("anna", item, START_MS + number, profile=profile))
        producer.flush()


def work(updater: Updater, events: int) -> None:
    """Until it has applied so many, lost ones too, without any duplicate."""

    def done() -> bool:
        updater.step()
        return updater.counts["applied"] + updater.counts["lost"] >= events

    wait_until(done, f"{events} events are applied", within_s=120)
    assert updater.counts["applied"] + updater.counts["lost"] == events
    assert updater.counts["replayed"] == 0


def anna(store: Store) -> UserState:
    [state] = store.get_many(["anna"])
    assert state is not None
    return state


def test_nothing_runs_in_a_new_folder(tmp_path: Path) -> None:
    assert running_embedded(tmp_path / "state") is None
    assert not is_locked(tmp_path / "state" / ANNOUNCEMENT)


def test_a_running_broker_is_found(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path / "state") as broker:
        assert running_embedded(tmp_path / "state") == broker.cluster
        assert broker.cluster.bootstrap_servers.startswith(("127.0.0.1:", "localhost:"))
    assert running_embedded(tmp_path / "state") is None


def test_each_folder_has_its_own(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path / "one") as one, EmbeddedBroker(tmp_path / "other") as other:
        assert one.cluster.bootstrap_servers != other.cluster.bootstrap_servers
        assert running_embedded(tmp_path / "other") == other.cluster


def test_a_second_broker_of_a_folder_is_refused(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path) as broker:
        with pytest.raises(BrokerTakenError, match=f"an embedded broker of {tmp_path} is running already"):
            EmbeddedBroker(tmp_path)
        assert running_embedded(tmp_path) == broker.cluster
    EmbeddedBroker(tmp_path).close()


def test_looking_for_a_broker_stops_none_from_starting(tmp_path: Path) -> None:
    """Who looks whether the file is locked locks it for an instant."""
    (tmp_path / ANNOUNCEMENT).touch()
    with (tmp_path / ANNOUNCEMENT).open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.1, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        with EmbeddedBroker(tmp_path) as broker:
            assert running_embedded(tmp_path) == broker.cluster


def test_a_broker_that_is_starting_is_waited_for(tmp_path: Path) -> None:
    """It holds the lock before it has an address."""
    with EmbeddedBroker(tmp_path) as broker:
        announced = (tmp_path / ANNOUNCEMENT).read_text()
        (tmp_path / ANNOUNCEMENT).write_text("")
        threading.Timer(0.2, (tmp_path / ANNOUNCEMENT).write_text, (announced,)).start()
        assert running_embedded(tmp_path) == broker.cluster
        (tmp_path / ANNOUNCEMENT).write_text("")
        with pytest.raises(OSError, match=f"the embedded broker of {tmp_path} does not say its address"):
            running_embedded(tmp_path, wait_s=0.1)


def test_another_process_serves_and_nobody_else_can(tmp_path: Path, bundle: Bundle) -> None:
    home = tmp_path / "home"
    with broker_process(home) as command:
        found = running_embedded(state_folder(home))
        assert found is not None
        assert f"embedded broker at {found.bootstrap_servers}; Ctrl-C stops it" in command.said
        with pytest.raises(BrokerTakenError, match="running already"):
            EmbeddedBroker(state_folder(home))
        with LmdbStore(state_folder(home)) as store, updating(found, store, bundle, home) as updater:
            publish(found, *bundle.item_ids[:3])
            work(updater, events=3)
            assert anna(store).history.item_ids == tuple(bundle.item_ids[:3])
            assert anna(store).position.topic_life == found.life
        assert command.end(signal.SIGTERM) == 0
    assert running_embedded(state_folder(home)) is None


def test_after_sigkill_the_folder_is_free_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with broker_process(home) as command:
        killed = running_embedded(state_folder(home))
        command.end(signal.SIGKILL)
        assert json.loads((state_folder(home) / ANNOUNCEMENT).read_text())  # its words are left, its lock is not
        assert running_embedded(state_folder(home)) is None
    with EmbeddedBroker(state_folder(home)) as again:
        assert running_embedded(state_folder(home)) == again.cluster
        assert killed is not None
        assert again.cluster.life != killed.life


def test_a_new_broker_goes_on_with_the_same_store(tmp_path: Path, bundle: Bundle) -> None:
    """Offsets start again at 0; that the store knows them from the life before makes no event old news."""
    items = bundle.item_ids
    with LmdbStore(tmp_path) as store:
        for number in range(2):
            with EmbeddedBroker(tmp_path) as broker, updating(broker.cluster, store, bundle, tmp_path) as updater:
                publish(broker.cluster, items[number], items[number + 1])
                work(updater, events=2)
                assert (anna(store).position.topic_life, anna(store).position.offset) == (broker.cluster.life, 1)
        expected = (items[0], items[1], items[1], items[2])
        assert anna(store).history.item_ids == expected
        [capsules] = Extractor(bundle).encode([expected], times_ms=[anna(store).history.event_times_ms], half=True)
        assert anna(store).capsules.vectors.tobytes() == capsules.vectors.tobytes()


@pytest.mark.slow
def test_the_group_goes_on_where_it_was(tmp_path: Path, bundle: Bundle) -> None:
    with LmdbStore(tmp_path) as store, EmbeddedBroker(tmp_path) as broker:
        for number in range(2):
            publish(broker.cluster, bundle.item_ids[number])
            with updating(broker.cluster, store, bundle, tmp_path) as updater:
                work(updater, events=1)
        assert anna(store).history.item_ids == tuple(bundle.item_ids[:2])


@pytest.mark.slow
def test_what_the_broker_dropped_is_counted_and_said(
    tmp_path: Path, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    """It keeps 5 MiB a partition; 200 events of 50 kB are twice as much."""
    item = bundle.item_ids[0]
    with LmdbStore(tmp_path) as store, EmbeddedBroker(tmp_path) as broker:
        publish(broker.cluster, item)
        with updating(broker.cluster, store, bundle, tmp_path) as updater:
            work(updater, events=1)
        publish(broker.cluster, *[item] * 200, profile={"notes": "x" * 50_000})
        with caplog.at_level(logging.ERROR), updating(broker.cluster, store, bundle, tmp_path) as updater:
            work(updater, events=200)
        lost = updater.counts["lost"]
        assert 80 < lost < 120
        assert anna(store).position.offset == 200
        assert len(anna(store).history.item_ids) == min(100, 1 + 200 - lost)
        [record] = [record for record in caplog.records if "gone" in record.message]
        assert f"clicks[{anna(store).position.partition}]@1 is gone from the broker" in record.message
        assert f"going on at {1 + lost}, up to {lost} events are lost" in record.message


def test_the_brake_knows_how_far_behind_the_group_is(tmp_path: Path, bundle: Bundle) -> None:
    with (
        LmdbStore(tmp_path) as store,
        EmbeddedBroker(tmp_path) as broker,
        Brake(broker.cluster, "clicks", "updaters") as brake,
    ):
        assert brake.lag() == 0  # there is no topic yet
        publish(broker.cluster, *bundle.item_ids[:7])
        assert brake.lag() == 7  # nobody has committed anything yet
        with updating(broker.cluster, store, bundle, tmp_path) as updater:
            work(updater, events=7)
            assert brake.lag() == 0
        publish(broker.cluster, *bundle.item_ids[:2])
        assert brake.lag() == 2


def test_the_broker_gone_the_brake_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.events.replay.ANSWER_MS", 500)
    broker = EmbeddedBroker(tmp_path)
    publish(broker.cluster, "mug")
    with Brake(broker.cluster, "clicks", "updaters") as brake:
        assert brake.lag() == 1
        broker.close()
        with pytest.raises(OSError, match="does not say how far clicks was read"):
            brake.lag()


@pytest.mark.slow
def test_a_second_updater_joins_while_the_first_one_works(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users = [f"user-{number}" for number in range(12)]
    with (
        EmbeddedBroker(tmp_path / "state") as broker,
        LmdbStore(tmp_path / "one") as one,
        LmdbStore(tmp_path / "other") as other,
        at_work(broker.cluster, one, bundle, tmp_path) as first,
        at_work(broker.cluster, other, bundle, tmp_path) as second,
    ):
        with EventProducer(broker.cluster, "clicks") as producer:
            for user in users:
                producer.publish(Event(user, bundle.item_ids[0], START_MS))

        def applied() -> bool:
            return first.counts["applied"] + second.counts["applied"] >= len(users)

        wait_until(applied, "all events are applied", within_s=480)  # that broker's groups take their time
        assert sorted({*one.users(), *other.users()}) == sorted(users)
    assert [line for line in caplog.messages if "SyncGroup" in line] == []  # the client's word for a changing group


@contextmanager
def at_work(cluster: Cluster, store: Store, bundle: Bundle, home: Path) -> Iterator[Updater]:
    """An updater in a thread of its own, with partitions."""
    stop = threading.Event()
    with updating(cluster, store, bundle, home) as updater:
        thread = threading.Thread(target=updater.run, args=(stop,))
        thread.start()
        try:
            assert updater.reader.ready.wait(480)
            yield updater
        finally:
            stop.set()
            thread.join(80)
