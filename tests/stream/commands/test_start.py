"""How `mindstream stream run` starts: what is away is waited for, and a topic that is new may need a word."""

import signal
import urllib.error
import urllib.request
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kafka import KafkaProducer, OffsetAndMetadata
from redis.exceptions import AuthenticationError, ConnectionError

from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.registry import Registry
from stream.commands.starting.waiting import may_come_back
from stream.events.event import Event, encode
from stream.kafka.cluster import BrokerAwayError
from stream.kafka.group.start import parse_start
from stream.store.lmdb_claim import begin
from stream.store.lmdb_store import LmdbStore
from stream.updater.first_start import check_first_start
from testbed.java_broker import free_ports
from testbed.real_kafka import RealKafka
from testbed.real_redis import RealRedis
from testbed.stream_process import StreamProcess, wait_until
from tests.support.stores import state
from tests.support.stream_shell import Shell
from tests.support.updater_world import START_MS, World, work


class Pages:
    """The pages of health of a process that was told a port."""

    def __init__(self) -> None:
        [self.port] = free_ports(1)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body; 0 where nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=80) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def says(self, status: int, text: str = "") -> None:
        """Wait until /readyz answers so."""

        def answered() -> bool:
            found = self.get("readyz")
            return found[0] == status and text in found[1]

        wait_until(answered, f"/readyz answers {status} {text!r}")


@pytest.mark.slow
@pytest.mark.redis
def test_a_redis_that_is_away_is_waited_for_and_later_missed(
    real_kafka: RealKafka, topic: str, home: Path, bundle: Bundle
) -> None:
    Registry(Settings(home=home).models).publish(bundle.path)
    pages = Pages()
    with RealRedis() as redis:
        redis.kill()
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": real_kafka.bootstrap_servers,
            "MINDSTREAM_TOPIC": topic,
            "MINDSTREAM_GROUP": topic,
            "MINDSTREAM_REDIS": redis.url,
            "MINDSTREAM_METRICS_PORT": str(pages.port),
        }
        with StreamProcess(home, "run", variables=variables) as updater:
            pages.says(503, f"waiting: the capsule store at Redis {redis.address} cannot be opened")
            assert pages.get("livez") == (200, "ok\n")
            assert pages.get("healthz")[0] == 503
            redis.start()
            pages.says(200, "ok\n")
            redis.kill()  # nothing has to be written, so only who asks is told
            pages.says(503, f"the capsule store at Redis {redis.address} cannot be read")
            assert pages.get("livez") == (200, "ok\n")
            redis.start()
            pages.says(200, "ok\n")
            assert updater.end(signal.SIGTERM) == 0
        assert updater.said.count("waiting: ") == 1


def test_while_it_waits_for_kafka_it_can_be_stopped(home: Path, bundle: Bundle) -> None:
    Registry(Settings(home=home).models).publish(bundle.path)
    variables = {"KAFKA_BOOTSTRAP_SERVERS": f"localhost:{free_ports(1)[0]}"}
    with StreamProcess(home, "run", variables=variables) as updater:
        updater.says("waiting: no Kafka broker answers at localhost:")
        assert updater.end(signal.SIGINT) == 0
    assert "Traceback" not in updater.said


def test_only_who_does_not_answer_is_waited_for() -> None:
    def store_error(cause: Exception) -> OSError:
        error = OSError("the store cannot be opened")
        error.__cause__ = cause
        return error

    assert may_come_back(BrokerAwayError("no broker answers"))
    assert may_come_back(store_error(ConnectionError("refused")))
    assert not may_come_back(store_error(AuthenticationError("invalid password")))
    assert not may_come_back(OSError("no space left on device"))


def test_times_at_which_to_start() -> None:
    assert [parse_start(None), parse_start("beginning")] == [None, 0]
    assert parse_start("2026-01-31T12:00:00Z") == parse_start("2026-01-31T13:00:00+01:00") == 1_769_860_800_000
    for wrong in ("end", "", "2026-01-31T12:00:00", "2026-02-31T12:00:00Z"):
        with pytest.raises(ValueError, match=r'--start-at is .*; right is "beginning", or a time with its zone'):
            parse_start(wrong)
    with pytest.raises(ValueError, match="which is still to come; nothing that the topic has would be read"):
        parse_start("2999-01-01T00:00:00Z")


def test_a_new_topic_needs_a_word_where_the_store_is_of_another(world: World) -> None:
    """As after a move to another cluster, where all events have other positions."""
    check_first_start(world.cluster, world.store, world.settings)  # an empty store is of no topic
    world.store.put_many([state("ann", life="moved away")])
    with pytest.raises(ValueError, match=r"has committed nothing on topic .* the store holds users of 1 other topic "):
        check_first_start(world.cluster, world.store, world.settings)
    updater = world.updater()  # one that was told where to begin
    world.publish(world.clicks("ben", 1))
    work(updater, lambda: updater.counts["applied"] == 1)
    updater.close()
    check_first_start(world.cluster, world.store, world.settings)  # the group knows the topic now
    others = world.settings.model_copy(update={"group": "others"})
    check_first_start(world.cluster, world.store, others)  # and the store does: a replay changes nothing
    with pytest.raises(ValueError, match="there is no topic moved"):
        check_first_start(world.cluster, world.store, world.settings.model_copy(update={"topic": "moved"}))


def test_nothing_is_applied_over_what_a_deleted_store_lacks(world: World, tmp_path: Path) -> None:
    """Until the topic is read from its start again, or somebody says that it is meant."""
    world.publish([*world.clicks("anna", 1, 2), Event("ben", world.items[3], START_MS, "impression")])
    updater = world.updater()
    work(updater, lambda: updater.counts["applied"] == 2)
    updater.close()
    world.updater().close()  # a store that updaters have begun with is no question
    lost = f"is new and has no users, and group {world.settings.group} has committed that it is past events"
    with LmdbStore(tmp_path / "deleted") as store:
        with pytest.raises(ValueError, match=lost):
            world.updater(store)
        begin(store.folder)  # `stream owner --take`
        world.publish(world.clicks("anna", 4, first=3))
        updater = world.updater(store)
        work(updater, lambda: updater.counts["applied"] == 1)
        updater.close()
    with LmdbStore(tmp_path / "again") as store, closing(world.cluster.consumer(world.settings.group)) as consumer:
        consumer.assign(world.partitions())
        consumer.commit({one: OffsetAndMetadata(0, "", -1) for one in world.partitions()})
        updater = world.updater(store)
        work(updater, lambda: updater.counts["applied"] == 3)
        [anna] = store.get_many(["anna"])
        assert anna is not None
        assert anna.history.item_ids == tuple(world.items[item] for item in (1, 2, 4))


def test_starting_at_a_time(world: World) -> None:
    """Three records of one partition, an hour apart; one that has no later record is begun at its end."""
    with KafkaProducer(bootstrap_servers=world.kafka.bootstrap_servers) as producer:
        for number, event in enumerate(world.clicks("anna", 1, 2, 3)):
            key, value = encode(event)
            when = START_MS + 3_600_000 * number
            producer.send(world.topic, key=key, value=value, partition=2, timestamp_ms=when).get(80)
        key, value = encode(world.clicks("ben", 4)[0])
        producer.send(world.topic, key=key, value=value, partition=1, timestamp_ms=START_MS).get(80)
    at = datetime.fromtimestamp(START_MS / 1000 + 3_600, UTC).isoformat()
    updater = world.updater(start_ms=parse_start(at) or 0)
    work(updater, lambda: updater.counts["applied"] == 2)
    assert world.history("anna") == [2, 3]
    world.send([encode(event) for event in world.clicks("ben", 5)], partition=1)
    work(updater, lambda: updater.counts["applied"] == 3)
    assert world.history("ben") == [5]


def test_what_a_mapping_says_is_said_first(shell: Shell, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Before anything is connected to, or a model loaded: here there is neither."""
    file = tmp_path / "shop.toml"
    file.write_text('user = "userId"\nitem = "items[].id"\ntime_format = "seconds"\ntime = "at"\ndelimiter = ";"\n')
    shell.set(mapping=file)
    assert shell.fails("run", "--no-wait").startswith("error: no model was published")
    said = caplog.text
    assert f"events are read by {file}: user: userId; item: items[].id; time: at" in said
    assert "not used for a topic: delimiter" in said
    for content, part in (("user = 'u'", "item is not said"), ("item = 'a'\nwhere = 'b > 1'", "where is 'b > 1'")):
        file.write_text(content)
        assert shell.fails("run").startswith(f"error: {file}: {part}")
        assert shell.fails("dlq", "redrive").startswith("error: ")
    shell.set(mapping=tmp_path / "nowhere.toml")
    nowhere = f"the mapping {tmp_path / 'nowhere.toml'} cannot be read: No such file"
    assert shell.fails("run").startswith(f"error: MINDSTREAM_MAPPING: {nowhere}")
