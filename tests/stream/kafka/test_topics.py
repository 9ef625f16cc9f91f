"""What is asked of topics: producers make none, and one that outlives the markers of forgotten users is named."""

import logging

import pytest
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType

from mindstream.settings import Settings
from stream.events.producer import EventProducer
from stream.kafka.cluster import Cluster
from stream.kafka.topics import FOR_EVER_MS, kept_ms, warn_of_short_markers
from testbed.real_kafka import RealKafka
from testbed.stream_process import wait_until

WEEK_MS = 7 * 86_400_000


def configure(kafka: RealKafka, topic: str, **options: str) -> None:
    changed = {name.replace("_", "."): (AlterConfigOp.SET, value) for name, value in options.items()}
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic, list(changed))]
    with kafka.admin() as admin:

        def is_known() -> bool:
            found = admin.describe_configs(asked, config_filter="all")["topic"][topic]
            return all(found[name]["value"] == value for name, (_, value) in changed.items())

        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, changed)])
        wait_until(is_known, "the broker knows its topic's configuration")


def said_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What is said of topics, in the order of their names; clients may say more on a busy machine."""
    return sorted(one.getMessage() for one in caplog.records if one.name == "stream.kafka.topics")


def test_no_producer_makes_a_topic(real_kafka: RealKafka, topic: str) -> None:
    """The broker makes topics that clients ask for, unless they say that it must not."""
    cluster, missing = Cluster(real_kafka.bootstrap_servers), f"{topic}-misspelt"
    with pytest.raises(
        OSError, match=f"there is no topic {missing} on {real_kafka.bootstrap_servers}; is MIND"
    ) as said:
        EventProducer(cluster, missing)
    assert "it was deleted, and nobody makes it again but you" in str(said.value)
    assert f"--create --topic {missing} --partitions" in str(said.value)
    with cluster.producer() as producer:
        producer.config["max_block_ms"] = 500
        with pytest.raises(Exception, match="Failed to update metadata"):
            producer.send(missing, b"x")
    with real_kafka.admin() as admin:
        assert missing not in admin.list_topics()


def test_how_long_topics_keep_records(real_kafka: RealKafka, topic: str, caplog: pytest.LogCaptureFixture) -> None:
    cluster, settings = Cluster(real_kafka.bootstrap_servers), Settings(topic=topic)
    both = [topic, f"{topic}.dlq"]
    assert kept_ms(cluster, [*both, f"{topic}-nowhere"]) == dict.fromkeys(both, WEEK_MS)
    warn_of_short_markers(cluster, settings)
    assert said_in(caplog) == []
    configure(real_kafka, both[0], retention_ms=str(WEEK_MS + 1))
    configure(real_kafka, both[1], retention_ms="-1")
    assert kept_ms(cluster, both) == {both[0]: WEEK_MS + 1, both[1]: FOR_EVER_MS}
    with caplog.at_level(logging.WARNING):
        warn_of_short_markers(cluster, settings)
    first, second = said_in(caplog)
    assert first.startswith(f"{both[0]} keeps records for 7 days, ")
    assert first.endswith("set MINDSTREAM_MARKER_DAYS to 8 or more")
    assert second.startswith(f"{both[1]} keeps records for ever, ")
    caplog.clear()
    warn_of_short_markers(cluster, settings.model_copy(update={"marker_days": 8.0}))
    assert [one.split(" ")[0] for one in said_in(caplog)] == [both[1]]


def test_compaction_keeps_records_for_ever(real_kafka: RealKafka, topic: str) -> None:
    configure(real_kafka, topic, cleanup_policy="compact")
    assert kept_ms(Cluster(real_kafka.bootstrap_servers), [topic]) == {topic: FOR_EVER_MS}


def test_the_embedded_broker_is_not_asked() -> None:
    assert kept_ms(Cluster("127.0.0.1:1", life="embedded"), ["any"]) == {}
