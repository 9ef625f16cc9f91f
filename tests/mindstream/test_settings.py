"""The environment: read once, and a wrong value is named."""

import re
from pathlib import Path

import pytest

from mindstream import settings
from mindstream.settings import Settings


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
    for name in ("HOME", "LOG", "INSTANCE", "PARTITIONER", "WRITE_KEY", "CORS_ORIGINS"):
        monkeypatch.setenv(f"MINDSTREAM_{name}", "")
    found = settings.load()
    assert (found.home, found.log, found.instance) == (Path(".mindstream"), None, None)
    assert found.partitioner == "murmur2"
    assert (found.write_key, found.allowed_origins) == (None, ())
    settings.load.cache_clear()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("MINDSTREAM_PARTITIONS", "four", "MINDSTREAM_PARTITIONS is 'four': Input should be a valid integer"),
        ("MINDSTREAM_HISTORY_LENGTH", "0", "MINDSTREAM_HISTORY_LENGTH is '0': Input should be greater than"),
        ("MINDSTREAM_IDLE_DAYS", "0", "MINDSTREAM_IDLE_DAYS is '0': Input should be greater than 0"),
        ("MINDSTREAM_MARKER_DAYS", "0", "MINDSTREAM_MARKER_DAYS is '0': Input should be greater than 0"),
        ("MINDSTREAM_PARTITIONER", "sticky", "MINDSTREAM_PARTITIONER is 'sticky': right is murmur2 .Java and kafka-"),
        ("MINDSTREAM_IDLE_DAYS", "inf", "MINDSTREAM_IDLE_DAYS is 'inf': Input should be"),
        (
            "MINDSTREAM_TOPIC",
            "clicks/today",
            "MINDSTREAM_TOPIC is 'clicks/today': a topic's name has 1 to 245 letters",
        ),
        ("MINDSTREAM_WRITE_KEY", "a b", "MINDSTREAM_WRITE_KEY is not right .its value is a secret.: right are visible"),
        ("MINDSTREAM_CORS_ORIGINS", "https://shop.example/", "'https://shop.example/' is no origin; right are"),
        ("MINDSTREAM_CORS_ORIGINS", "https://a.example, shop.example", "'shop.example' is no origin; right are"),
        ("MINDSTREAM_CORS_ORIGINS", "https://Shop.example", "'https://Shop.example' is no origin; right are"),
        ("MINDSTREAM_TOPIC", "x" * 246, "1 to 245"),  # its dead letters have four more
        ("MINDSTREAM_TOPIC", "..", "is not '.' or '..'"),
        ("MINDSTREAM_TOPIC", "", "MINDSTREAM_TOPIC is '': a topic's name"),
        ("MINDSTREAM_GROUP", "", "MINDSTREAM_GROUP is '': String should have at least 1 character"),
        ("MINDSTREAM_UPDATES_TOPIC", "a b", "MINDSTREAM_UPDATES_TOPIC is 'a b': a topic's name"),
        ("MINDSTREAM_UPDATES_TOPIC", "behaviour-events", "it must be another topic than that of the events"),
        ("MINDSTREAM_UPDATES_TOPIC", "behaviour-events.dlq", "and of the dead letters"),
        (
            "MINDSTREAM_BEHAVIOURS",
            "view",
            "MINDSTREAM_BEHAVIOURS is 'view': 'view' is no pair; right are pairs",
        ),
        (
            "MINDSTREAM_BEHAVIOURS",
            "view=0,*=0",
            "MINDSTREAM_BEHAVIOURS is 'view=0,[*]=0': no event type weighs more than",
        ),
        (
            "MINDSTREAM_ARCHIVE_GROUP",
            "mindstream-updater",
            "MINDSTREAM_ARCHIVE_GROUP is 'mindstream-updater': it must be another group than that of the updaters",
        ),
        ("MINDSTREAM_DEMO_UPDATER", "perhaps", "MINDSTREAM_DEMO_UPDATER is 'perhaps': Input should be a valid boolean"),
    ],
)
def test_a_wrong_value_is_named(variable: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=message):
        settings.load()
    monkeypatch.delenv(variable)
    settings.load.cache_clear()


def test_the_rule_for_what_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINDSTREAM_BEHAVIOURS", raising=False)
    for empty in (False, True):  # as Compose passes it on: empty is unset
        found = settings.load()
        assert [found.rule.weight(one) for one in ("click", "Impression", "dislike", "buy")] == [1, 0, -1, 1], empty
        assert found.rule is found.rule  # it is asked at every event
        monkeypatch.setenv("MINDSTREAM_BEHAVIOURS", "")
        settings.load.cache_clear()
    monkeypatch.setenv("MINDSTREAM_BEHAVIOURS", "view=1,cart=2,*=0")
    settings.load.cache_clear()
    assert [settings.load().rule.weight(one) for one in ("view", "cart", "dislike")] == [1, 2, 0]
    settings.load.cache_clear()
    assert Settings(behaviours="buy=1,*=0").model_copy(update={"behaviours": "buy=3"}).rule.weight("buy") == 3


@pytest.mark.parametrize(
    ("former", "named", "new"),
    [
        ({"IGNORED_TYPES": "impression"}, "MINDSTREAM_IGNORED_TYPES='impression'", "impression=0"),
        ({"IGNORED_TYPES": " Seen , scroll,seen"}, "MINDSTREAM_IGNORED_TYPES=' Seen , scroll,seen'", "seen=0,scroll=0"),
        ({"IGNORED_TYPES": ""}, "MINDSTREAM_IGNORED_TYPES=''", "*=1"),  # nothing was ignored
        ({"BEHAVIOUR_TYPES": "view,cart"}, "MINDSTREAM_BEHAVIOUR_TYPES='view,cart'", "view=1,cart=1,*=0"),
        (
            {"BEHAVIOUR_TYPES": "view", "IGNORED_TYPES": "scroll"},
            "MINDSTREAM_BEHAVIOUR_TYPES='view' and MINDSTREAM_IGNORED_TYPES='scroll'",
            "view=1,*=0",
        ),
        (
            {"BEHAVIOUR_TYPES": "", "IGNORED_TYPES": "scroll"},
            "MINDSTREAM_BEHAVIOUR_TYPES='' and MINDSTREAM_IGNORED_TYPES='scroll'",
            "scroll=0",
        ),
    ],
    ids=str,
)
def test_a_variable_of_before_is_named_with_its_new_form(
    former: dict[str, str], named: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says means the same: as it was read by the version before."""
    for name, value in former.items():
        monkeypatch.setenv(f"MINDSTREAM_{name}", value)
    said = f"{named} is no setting any more: MINDSTREAM_BEHAVIOURS has replaced it; unset it, and for the same meaning "
    with pytest.raises(ValueError, match=f"^{re.escape(said)}set MINDSTREAM_BEHAVIOURS={re.escape(repr(new))}$"):
        settings.load()
    rule = Settings(behaviours=new).rule
    counted = {name.strip().lower() for name in former.get("BEHAVIOUR_TYPES", "").split(",")} - {""}
    ignored = {name.strip().lower() for name in former.get("IGNORED_TYPES", "").split(",")}
    for event_type in ("view", "cart", "seen", "scroll", "impression", "dislike", "buy"):
        assert rule.is_behaviour(event_type) is (event_type in counted if counted else event_type not in ignored)
        assert not rule.is_negative(event_type)
    settings.load.cache_clear()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("MINDSTREAM_REDDIS", "MINDSTREAM_REDIS"),
        ("MINDSTREAM_HOEM", "MINDSTREAM_HOME"),
        ("mindstream_topics", "MINDSTREAM_TOPIC"),
        ("KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS"),
        ("KAFKA_SASL_PASSWORT", "KAFKA_SASL_PASSWORD"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_right_one(
    wrong: str, right: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = settings.misspelt()
    monkeypatch.setenv(wrong, "x")
    [said] = set(settings.misspelt()) - set(before)
    assert said == f"{wrong.upper()} is no setting and has no effect; did you mean {right}?"


@pytest.mark.parametrize(
    "other",
    [
        "MINDSTREAM_API_SERVICE_HOST",
        "MINDSTREAM_API_PORT_8000_TCP_PORT",
        "MINDSTREAM_COLOUR",
        "KAFKA_HEAP_OPTS",
        "REDIS",
        "MINDSTREAM_HOME",
    ],
)
def test_a_variable_of_others_is_left_alone(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = settings.misspelt()
    monkeypatch.setenv(other, "x")
    assert settings.misspelt() == before


def test_an_empty_list_of_counted_types_meant_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINDSTREAM_BEHAVIOUR_TYPES", "")
    settings.load()
    settings.load.cache_clear()


def test_redis_and_its_password_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINDSTREAM_REDIS", "redis://:s3cret@localhost")
    monkeypatch.setenv("MINDSTREAM_IDLE_DAYS", "0.5")
    found = settings.load()
    assert (found.redis.get_secret_value(), found.idle_days) == ("redis://:s3cret@localhost", 0.5)
    assert "s3cret" not in f"{found} {found!r}"
    settings.load.cache_clear()


@pytest.mark.parametrize("prefix", ["shop a", "{shop}", "a*", "a:user", "user:a", "x" * 101])
def test_a_prefix_in_redis_that_may_meet_another_is_refused(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    monkeypatch.setenv("MINDSTREAM_REDIS_PREFIX", prefix)
    with pytest.raises(ValueError, match=r"MINDSTREAM_REDIS_PREFIX is .*right are 1 to 100 letters"):
        settings.load()


@pytest.mark.parametrize(
    ("variable", "value", "needed"),
    [
        ("MINDSTREAM_REDIS_PASSWORD_FILE", "password", "MINDSTREAM_REDIS"),
        ("MINDSTREAM_REDIS_REPLICAS", "1", "MINDSTREAM_REDIS"),
        ("MINDSTREAM_REDIS_PREFIX", "shop-a", "MINDSTREAM_REDIS"),
        ("KAFKA_SECURITY_PROTOCOL", "SSL", "KAFKA_BOOTSTRAP_SERVERS"),
        ("KAFKA_SASL_PASSWORD", "s3cret", "KAFKA_BOOTSTRAP_SERVERS"),
        ("KAFKA_SASL_OAUTHBEARER_SCOPE", "kafka", "KAFKA_BOOTSTRAP_SERVERS"),
        ("KAFKA_SSL_CAFILE", "ca.pem", "KAFKA_BOOTSTRAP_SERVERS"),
    ],
)
def test_what_has_no_effect_is_refused(variable: str, value: str, needed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MINDSTREAM_REDIS", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv(variable, value)
    said = f"{variable} is set, but {needed} is not, so it has no effect and .*; set {needed} too, or unset {variable}"
    with pytest.raises(ValueError, match=f"^{said}$") as failure:
        settings.load()
    assert "s3cret" not in str(failure.value)
    monkeypatch.setenv(needed, "redis://r" if needed == "MINDSTREAM_REDIS" else "kafka:9092")
    settings.load()
    settings.load.cache_clear()
    for name, empty in ((needed, ""), (variable, "0" if value == "1" else "")):  # as Compose passes it on
        monkeypatch.setenv(name, empty)
    settings.load()
    settings.load.cache_clear()


def test_a_prefix_in_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, found in (("", "mindstream"), ("prod:shop-a", "prod:shop-a"), ("superuser", "superuser")):
        monkeypatch.setenv("MINDSTREAM_REDIS_PREFIX", given)
        assert Settings().redis_prefix == found


def test_who_may_write_may_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINDSTREAM_API_KEY", "canary-1")
    monkeypatch.setenv("MINDSTREAM_WRITE_KEY", "canary-1")
    with pytest.raises(
        ValueError, match=r"MINDSTREAM_WRITE_KEY is not right .*another one than MINDSTREAM_API_KEY"
    ) as raised:
        settings.load()
    assert "canary" not in str(raised.value)
    monkeypatch.setenv("MINDSTREAM_WRITE_KEY", "canary-2")
    assert settings.load().allowed_origins == ()
    settings.load.cache_clear()


def test_origins_are_as_browsers_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINDSTREAM_CORS_ORIGINS", "https://shop.example, http://localhost:3000,http://[::1]:80")
    origins = ("https://shop.example", "http://localhost:3000", "http://[::1]:80")
    assert settings.load().allowed_origins == origins
    settings.load.cache_clear()
    monkeypatch.setenv("MINDSTREAM_CORS_ORIGINS", "*")
    assert settings.load().allowed_origins == ("*",)
    settings.load.cache_clear()
