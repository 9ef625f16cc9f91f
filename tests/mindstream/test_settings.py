"""The environment: read once, and a wrong value is named."""

from pathlib import Path

import pytest

from mindstream import settings


@pytest.fixture(autouse=True)
def read_again() -> None:
    settings.load.cache_clear()


def test_defaults_need_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "MINDSTREAM_HOME", "MINDSTREAM_TOPIC"):
        monkeypatch.delenv(name, raising=False)
    found = settings.load()
    assert found.bootstrap_servers == ""
    assert found.models == found.home / "models"
    assert found.dead_letter_topic == "behaviour-events.dlq"
    assert settings.load() is found


def test_an_empty_value_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose passes it on; as a path it would be the working folder."""
    for name in ("HOME", "LOG", "INSTANCE"):
        monkeypatch.setenv(f"MINDSTREAM_{name}", "")
    found = settings.load()
    assert (found.home, found.log, found.instance) == (Path(".mindstream"), None, None)
    settings.load.cache_clear()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("MINDSTREAM_PARTITIONS", "four", "MINDSTREAM_PARTITIONS is 'four': Input should be a valid integer"),
        ("MINDSTREAM_HISTORY_LENGTH", "0", "MINDSTREAM_HISTORY_LENGTH is '0': Input should be greater than"),
        ("MINDSTREAM_IDLE_DAYS", "0", "MINDSTREAM_IDLE_DAYS is '0': Input should be greater than 0"),
        ("MINDSTREAM_IDLE_DAYS", "inf", "MINDSTREAM_IDLE_DAYS is 'inf': Input should be"),
        (
            "MINDSTREAM_TOPIC",
            "clicks/today",
            "MINDSTREAM_TOPIC is 'clicks/today': a topic's name has 1 to 245 letters",
        ),
        ("MINDSTREAM_TOPIC", "x" * 246, "1 to 245"),  # its dead letters have four more
        ("MINDSTREAM_TOPIC", "..", "is not '.' or '..'"),
        ("MINDSTREAM_TOPIC", "", "MINDSTREAM_TOPIC is '': a topic's name"),
        ("MINDSTREAM_GROUP", "", "MINDSTREAM_GROUP is '': String should have at least 1 character"),
        ("MINDSTREAM_UPDATES_TOPIC", "a b", "MINDSTREAM_UPDATES_TOPIC is 'a b': a topic's name"),
        ("MINDSTREAM_UPDATES_TOPIC", "behaviour-events", "it must be another topic than that of the events"),
        ("MINDSTREAM_UPDATES_TOPIC", "behaviour-events.dlq", "and of the dead letters"),
        ("MINDSTREAM_DEMO_UPDATER", "perhaps", "MINDSTREAM_DEMO_UPDATER is 'perhaps': Input should be a valid boolean"),
    ],
)
def test_a_wrong_value_is_named(variable: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=message):
        settings.load()
    monkeypatch.delenv(variable)
    settings.load.cache_clear()


def test_redis_and_its_password_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINDSTREAM_REDIS", "redis://:s3cret@localhost")
    monkeypatch.setenv("MINDSTREAM_IDLE_DAYS", "0.5")
    found = settings.load()
    assert (found.redis.get_secret_value(), found.idle_days) == ("redis://:s3cret@localhost", 0.5)
    assert "s3cret" not in f"{found} {found!r}"
    settings.load.cache_clear()
