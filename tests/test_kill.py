"""`python -m stream run` is killed in the middle of its work: what it leaves is as if nothing had happened."""

import random
import re
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread

import pytest
from kafka.admin import MemberToRemove

from model_export.bundle import Bundle
from model_export.extractor import Extractor
from model_export.interactions import InteractionLog
from model_export.registry import Registry
from model_export.simulator import simulate
from settings import Settings
from stream.cluster import Cluster
from stream.event import Event
from stream.producer import EventProducer
from stream.replay import replay
from stream.state_bytes import to_bytes
from stream.store import LmdbStore
from stream.updater import Updater
from tests.command import Command, wait_until
from tests.real_kafka import RealKafka

KILLS = 3


class Home:
    """A home with a published model, its topic and its group."""

    def __init__(self, kafka: RealKafka, topic: str, group: str, folder: Path, bundle: Bundle) -> None:
        self.kafka = kafka
        self.settings = Settings(bootstrap_servers=kafka.bootstrap_servers, topic=topic, group=group, home=folder)
        Registry(self.settings.models).publish(bundle.path)

    @contextmanager
    def run(self) -> Iterator[Command]:
        """`python -m stream run`, once it reads."""
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "MINDSTREAM_TOPIC": self.settings.topic,
            "MINDSTREAM_GROUP": self.settings.group,
        }
        with Command(self.settings.home, "run", variables=variables) as command:
            yield command.says(f"reading {self.settings.topic}")

    def forget_the_dead(self) -> None:
        """What the broker does by itself when it has not heard of a killed process for 10 s."""
        with self.kafka.admin() as admin:
            members = admin.describe_groups([self.settings.group])[self.settings.group]["members"]
            if members:
                dead = [MemberToRemove(member["member_id"]) for member in members]
                admin.remove_group_members(self.settings.group, dead)


@pytest.fixture
def home(real_kafka: RealKafka, topic: str, bundle: Bundle, tmp_path: Path) -> Home:
    return Home(real_kafka, topic, f"{topic}-updaters", tmp_path / "home", bundle)


@pytest.fixture(scope="module")
def log() -> InteractionLog:
    """About 20,000 events of 410 users in the shop whose items the bundle knows."""
    return simulate(users=410, seed=2).log


def publish(home: Home, log: InteractionLog) -> None:
    replay(log, Cluster(home.kafka.bootstrap_servers), home.settings.topic, home.settings.group, None, progress=False)


def applied(store: LmdbStore) -> int:
    """Events in all histories; none is so long that it has lost its beginning."""
    return sum(len(state.history.item_ids) for state in store.get_many(list(store.users())) if state)


def wait_until_applied(store: LmdbStore, events: int) -> None:
    wait_until(lambda: applied(store) >= events, f"{events} events are applied")


def stored_bytes(store: LmdbStore) -> dict[str, bytes]:
    users = list(store.users())
    return {user: to_bytes(state) for user, state in zip(users, store.get_many(users), strict=True) if state}


def counts(command: Command) -> dict[str, int]:
    """What it counted, from its last line."""
    [said] = re.findall(r"stopped cleanly: \{(.*)\}", command.said)
    return {name: int(count) for name, count in re.findall(r"'(\w+)': (\d+)", said)}


def updated_undisturbed(kafka: RealKafka, topic: str, bundle: Bundle, folder: Path, events: int) -> dict[str, bytes]:
    """What another group makes of the same topic in one go."""
    settings = Settings(bootstrap_servers=kafka.bootstrap_servers, topic=topic, group=f"{topic}-other", home=folder)
    cluster = Cluster(kafka.bootstrap_servers)
    with (
        LmdbStore(settings.state) as store,
        closing(Updater(cluster, store, Extractor(bundle), settings)) as updater,
    ):

        def done() -> bool:
            updater.step()
            return updater.counts["applied"] == events

        wait_until(done, f"the undisturbed updater applies {events} events")
        return stored_bytes(store)


def test_killed_again_and_again_it_leaves_the_same_states(home: Home, log: InteractionLog, bundle: Bundle) -> None:
    total = len(log.events)
    replaying = Thread(target=publish, args=(home, log))
    replaying.start()
    with LmdbStore(home.settings.state) as store:
        for moment in sorted(random.sample(range(1, total // 2), KILLS)):  # what is left takes longer than the kill
            with home.run() as command:
                wait_until_applied(store, moment)
                command.end(signal.SIGKILL)
            assert moment <= applied(store) < total
            home.forget_the_dead()
        replaying.join()
        with home.run() as command:
            wait_until_applied(store, total)
            assert command.end(signal.SIGTERM) == 0
        found = stored_bytes(store)
    assert found == updated_undisturbed(home.kafka, home.settings.topic, bundle, home.settings.home / "other", total)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_stopped_in_the_middle_it_has_committed_everything(
    home: Home, log: InteractionLog, number: signal.Signals
) -> None:
    total = len(log.events)
    publish(home, log)
    with LmdbStore(home.settings.state) as store:
        with home.run() as first:
            wait_until_applied(store, 1)
            assert first.end(number) == 0
        before = applied(store)
        assert counts(first)["applied"] == before
        assert 0 < before < total
        with home.run() as second:
            wait_until_applied(store, total)
            assert second.end() == 0
        assert counts(second)["applied"] == total - before
        assert counts(second)["replayed"] == 0


def test_it_stops_at_once_while_it_waits_for_events(home: Home) -> None:
    click = Event("anna", "mug", 1_720_000_000_000)
    with LmdbStore(home.settings.state) as store, home.run() as command:
        with EventProducer(Cluster(home.kafka.bootstrap_servers), home.settings.topic) as producer:
            producer.publish(click)
        wait_until_applied(store, 1)
        time.sleep(0.5)  # now it waits in poll
        start = time.monotonic()
        assert command.end() == 0
        assert time.monotonic() - start < 3  # 0.5 s where nothing else runs
        assert counts(command)["applied"] == 1
        assert "Traceback" not in command.said
