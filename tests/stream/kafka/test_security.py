"""TLS and SASL: what is set wrong is said before anything is connected, and a real Kafka lets the right ones in."""

import logging
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

import index.__main__
import stream.__main__
from demo.engine.engine import Engine
from mindstream import console, settings
from mindstream.settings import Settings
from model_export.bundle.bundle import Bundle
from model_export.bundle.registry import Registry
from stream.kafka.cluster import Cluster
from stream.kafka.credentials.kerberos import Kerberos
from stream.kafka.credentials.oauth import OAuth
from stream.kafka.security import Security
from testbed.access.listeners import MECHANISMS, USER, Listeners
from testbed.stream_process import StreamProcess
from tests.stream.kafka.secured import CANARY, configured, goes_through, login, refusal
from tests.support.certificates import Authority, new_authority

SASL: dict[str, Any] = {
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "PLAIN",
    "sasl_username": USER,
    "sasl_password": SecretStr(CANARY),
}


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_password_opens_a_listener_without_tls(listeners: Listeners, mechanism: str) -> None:
    assert goes_through(configured(listeners, "SASL_PLAINTEXT", **login(mechanism)), f"plain-{mechanism}")


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_password_opens_a_listener_with_tls(listeners: Listeners, mechanism: str) -> None:
    trusted = {"ssl_cafile": listeners.authority}
    assert goes_through(configured(listeners, "SASL_SSL", **trusted, **login(mechanism)), f"tls-{mechanism}")


@pytest.mark.parametrize("password", ["", CANARY])
def test_a_certificate_opens_a_listener(listeners: Listeners, authority: Authority, password: str) -> None:
    certificate, key = authority.sign(f"client-{password}", password=password)
    files: dict[str, Any] = {"ssl_cafile": authority.certificate, "ssl_certfile": certificate, "ssl_keyfile": key}
    if password:
        files["ssl_key_password"] = SecretStr(password)
    assert goes_through(configured(listeners, "SSL", **files), "by-certificate")


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_password_is_said(listeners: Listeners, protocol: str, mechanism: str) -> None:
    trusted = {"ssl_cafile": listeners.authority} if protocol == "SASL_SSL" else {}
    said = refusal(configured(listeners, protocol, **trusted, **login(mechanism, f"{CANARY}-wrong")))
    assert said == (
        f"the Kafka broker at {listeners.address(protocol)} does not accept user 'ann': authentication failed "
        f"({mechanism}); are KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD right?"
    )


def test_a_broker_that_nobody_vouches_for(listeners: Listeners, tmp_path: Path) -> None:
    other = new_authority(tmp_path / "other")
    said = refusal(configured(listeners, "SASL_SSL", ssl_cafile=other.certificate, **login("PLAIN")))
    assert f"{listeners.address('SASL_SSL')} does not get on with SASL_SSL with PLAIN" in said
    assert "certificate verify failed" in said


def test_a_broker_of_another_name(listeners: Listeners, authority: Authority) -> None:
    """The certificate is for 127.0.0.1."""
    address = f"localhost:{listeners.ports['SASL_SSL']}"
    security = Security("SASL_SSL", "PLAIN", USER, SecretStr(CANARY), authority.certificate)
    assert "Hostname mismatch" in refusal(Cluster(address, security=security))


def test_a_listener_that_wants_a_certificate(listeners: Listeners) -> None:
    """With TLS 1.3 the broker says so after the handshake only."""
    said = refusal(configured(listeners, "SSL", ssl_cafile=listeners.authority))
    assert f"{listeners.address('SSL')} does not get on with SSL (" in said


@pytest.mark.parametrize(
    ("listener", "protocol"),
    [("SASL_SSL", "SASL_PLAINTEXT"), ("SASL_PLAINTEXT", "SASL_SSL"), ("SSL", "SASL_SSL"), ("SASL_SSL", "SSL")],
)
def test_another_protocol_than_the_listener_s(listeners: Listeners, listener: str, protocol: str) -> None:
    """Both sides notice; none waits for ever."""
    trusted = listeners.authority if "SSL" in protocol.split("_") else None
    known: dict[str, Any] = (
        {"mechanism": "PLAIN", "username": USER, "password": SecretStr(CANARY)} if "SASL" in protocol else {}
    )
    said = refusal(Cluster(listeners.address(listener), security=Security(protocol, cafile=trusted, **known)))
    assert f"{listeners.address(listener)} does not get on with {protocol}" in said
    assert "are KAFKA_SECURITY_PROTOCOL and what belongs to it right?" in said


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"protocol": "TLS"}, "KAFKA_SECURITY_PROTOCOL is 'TLS'; right is one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL"),
        ({"mechanism": "DIGEST-MD5"}, "KAFKA_SASL_MECHANISM is 'DIGEST-MD5'; right is one of PLAIN, SCRAM-SHA-256"),
        ({"mechanism": "OAUTHBEARER"}, "KAFKA_SASL_USERNAME is set, but KAFKA_SASL_MECHANISM is OAUTHBEARER; right is"),
        ({"password_file": "ca.pem"}, "KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE are both set; right is one of"),
        (
            {"password": None, "password_file": "nowhere"},
            "KAFKA_SASL_PASSWORD_FILE is .*/nowhere, which cannot be read",
        ),
        (
            {"password": None, "password_file": "empty"},
            "KAFKA_SASL_PASSWORD_FILE is .*/empty, which is empty; right is a",
        ),
        (
            {"password": None, "password_file": "bytes"},
            "KAFKA_SASL_PASSWORD_FILE is .*/bytes, which is no text in UTF-8",
        ),
        ({"oauth": OAuth(scope="kafka")}, "KAFKA_SASL_OAUTHBEARER_SCOPE is set, but .* is PLAIN; right is OAUTHBEARER"),
        ({"kerberos": Kerberos("kafka")}, "KAFKA_SASL_KERBEROS_SERVICE_NAME is set, but .* is PLAIN; right is GSSAPI"),
        ({"mechanism": ""}, "KAFKA_SASL_MECHANISM is ''; right is one of"),
        ({"username": ""}, "KAFKA_SASL_USERNAME is not set; KAFKA_SECURITY_PROTOCOL SASL_SSL needs a user and a pass"),
        ({"password": None}, "KAFKA_SASL_PASSWORD is not set; KAFKA_SECURITY_PROTOCOL SASL_SSL needs"),
        ({"password": SecretStr("")}, "KAFKA_SASL_PASSWORD is not set"),
        ({"protocol": "SSL"}, "KAFKA_SASL_MECHANISM is set, but KAFKA_SECURITY_PROTOCOL is SSL; right is one of SASL"),
        ({"protocol": "PLAINTEXT", "mechanism": "", "username": ""}, "KAFKA_SASL_PASSWORD is set, but"),
        (
            {"protocol": "SASL_PLAINTEXT"},
            "KAFKA_SSL_CAFILE is set, but .* SASL_PLAINTEXT; right is one of SSL, SASL_SS",
        ),
        ({"certfile": "client.pem"}, "KAFKA_SSL_CERTFILE is set, but KAFKA_SSL_KEYFILE is not; they go together"),
        ({"keyfile": "client.key"}, "KAFKA_SSL_KEYFILE is set, but KAFKA_SSL_CERTFILE is not; they go together"),
        ({"key_password": SecretStr(CANARY)}, "KAFKA_SSL_KEY_PASSWORD is set, but KAFKA_SSL_KEYFILE is not"),
        ({"key_password_file": "ca.pem"}, "KAFKA_SSL_KEY_PASSWORD_FILE is set, but KAFKA_SSL_KEYFILE is not"),
        ({"cafile": "nowhere.pem"}, r"KAFKA_SSL_CAFILE is .*/nowhere.pem, which cannot be read \(No such file"),
        ({"cafile": "."}, r"KAFKA_SSL_CAFILE is .*, which cannot be read \(Is a directory\); right is a file in PEM"),
        ({"certfile": "client.pem", "keyfile": "nowhere.key"}, "KAFKA_SSL_KEYFILE is .*/nowhere.key, which cannot be"),
        ({"certfile": "nowhere.pem", "keyfile": "client.key"}, "KAFKA_SSL_CERTFILE is .*/nowhere.pem, which cannot be"),
        ({"cafile": "broker.srl"}, "KAFKA_SSL_CAFILE is .*, which holds no certificate in PEM"),
        (
            {"certfile": "ca.pem", "keyfile": "client.key"},
            r"KAFKA_SSL_CERTFILE \(.*\) and KAFKA_SSL_KEYFILE \(.*\) are",
        ),
        ({"certfile": "client.pem", "keyfile": "client.key"}, "or KAFKA_SSL_KEY_PASSWORD is not the key's"),
        (
            {"certfile": "client.pem", "keyfile": "client.key", "key_password": SecretStr(f"{CANARY}-wrong")},
            "or KAFKA_SSL_KEY_PASSWORD is not the key's",
        ),
    ],
)
def test_what_is_set_wrong_is_said_before_connecting(
    authority: Authority, given: dict[str, Any], sentence: str
) -> None:
    authority.sign("client", password=CANARY)
    (authority.folder / "broker.srl").write_text("no certificate")
    (authority.folder / "empty").write_text("\n")
    (authority.folder / "bytes").write_bytes(f"{CANARY}\xff".encode("latin-1"))
    right = {"mechanism": "PLAIN", "username": USER, "password": SecretStr(CANARY), "cafile": "ca.pem"}
    chosen = {"protocol": "SASL_SSL", **right, **given}
    files = {name: authority.folder / value for name, value in chosen.items() if name.endswith("file")}
    with pytest.raises(ValueError, match=sentence) as wrong:
        Security(**{**chosen, **files})
    assert CANARY not in str(wrong.value)


def test_nothing_set_is_neither_tls_nor_sasl() -> None:
    assert Security.configured(Settings()) == Security()
    assert Cluster.configured(Settings(bootstrap_servers="a:1")) == Cluster("a:1")
    assert Cluster.configured(Settings(bootstrap_servers="")) is None


def test_an_empty_file_name_is_none() -> None:
    assert (
        Security.configured(Settings.model_validate(dict.fromkeys(("ssl_cafile", "ssl_certfile", "ssl_keyfile"), "")))
        == Security()
    )


def test_the_embedded_broker_has_no_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT, but KAFKA_BOOTSTRAP_SERVERS name"):
        Cluster.configured(Settings(bootstrap_servers="", **SASL))


def test_a_name_in_scram_s_own_writing() -> None:
    sent = {
        mechanism: Security("SASL_PLAINTEXT", mechanism, "a=b,c", SecretStr("p")).options()["sasl_plain_username"]
        for mechanism in ("PLAIN", "SCRAM-SHA-256")
    }
    assert sent == {"PLAIN": "a=b,c", "SCRAM-SHA-256": "a=3Db=2Cc"}


def test_a_password_is_not_printed() -> None:
    given = Settings(bootstrap_servers="a:1", ssl_key_password=SecretStr(CANARY), **SASL)
    cluster = Cluster.configured(given.model_copy(update={"ssl_key_password": None}))
    for shown in (given, given.model_dump(), cluster, cluster and cluster.security):
        assert USER in repr(shown)
        assert CANARY not in repr(shown) + str(shown)


@pytest.mark.parametrize("variable", ["KAFKA_SASL_PASSWORD", "KAFKA_SSL_KEY_PASSWORD"])
def test_a_wrong_secret_is_not_shown(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, f"{CANARY}\udcff")  # a byte that is not UTF-8
    settings.load.cache_clear()
    with pytest.raises(
        ValueError, match=f"^{variable} is not right .its value is a secret.*: .*it must be UTF-8"
    ) as wrong:
        settings.load()
    assert CANARY not in str(wrong.value)
    with pytest.raises(ValidationError) as raw:
        Settings()
    assert CANARY not in str(raw.value)


def variables(address: str, protocol: str, **more: str) -> dict[str, str]:
    """The environment of a process that knows the canary."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": address,
        "KAFKA_SECURITY_PROTOCOL": protocol,
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": USER,
        "KAFKA_SASL_PASSWORD": f"{CANARY}-wrong",
        "KAFKA_SSL_KEY_PASSWORD": "",
        **more,
    }


@pytest.fixture
def home(tmp_path: Path, bundle: Bundle) -> Path:
    """A home with a model, and a log beside it."""
    home = tmp_path / "home"
    Registry(Settings(home=home).models).publish(bundle.path)
    (tmp_path / "log.csv").write_text("user_id,item_id,timestamp\nann,mug,1720000000\n")
    return home


def arguments(command: str, home: Path) -> list[str]:
    """A command with the options that it needs."""
    options = {
        "produce": ["--user", "ann", "--item", "mug"],
        "replay": [str(home.with_name("log.csv"))],
        "run": ["--no-wait"],
    }
    return [command, *options.get(command, [])]


@pytest.mark.parametrize("command", ["produce", "replay", "run"])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_every_command_says_that_authentication_failed(
    listeners: Listeners, home: Path, command: str, log_format: str
) -> None:
    """In one sentence, and without the password."""
    address = listeners.address("SASL_PLAINTEXT")
    environment = variables(address, "SASL_PLAINTEXT", MINDSTREAM_LOG_FORMAT=log_format)
    with StreamProcess(home, *arguments(command, home), variables=environment) as process:
        assert process.ends() == 2
    last = process.said.splitlines()[-1]
    assert f"the Kafka broker at {address} does not accept user 'ann': authentication failed (PLAIN)" in last
    assert [word for word in ("Traceback", "kafka.net", CANARY) if word in process.said] == []


def test_the_demo_says_that_authentication_failed(listeners: Listeners, home: Path) -> None:
    address = listeners.address("SASL_PLAINTEXT")
    wrong = login("PLAIN", f"{CANARY}-wrong")
    chosen = Settings(bootstrap_servers=address, home=home, security_protocol="SASL_PLAINTEXT", **wrong)
    with pytest.raises(OSError, match=f"{address} does not accept user 'ann': authentication failed") as failed:
        Engine(chosen)
    assert CANARY not in str(failed.value)


@pytest.mark.parametrize("command", ["produce", "replay", "run", "query"])
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "SASL"}, "KAFKA_SECURITY_PROTOCOL is 'SASL'; right is"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL"}, "KAFKA_SASL_MECHANISM is set, but"),
        ({"KAFKA_SASL_USERNAME": ""}, "KAFKA_SASL_USERNAME is not set"),
        ({"KAFKA_SSL_KEY_PASSWORD": CANARY}, "KAFKA_SSL_KEY_PASSWORD is set, but"),
        ({"KAFKA_BOOTSTRAP_SERVERS": ""}, "KAFKA_SECURITY_PROTOCOL is set, but KAFKA_BOOTSTRAP_SERVERS is not"),
        ({"KAFKA_SASL_PASSWORD": f"{CANARY}\udcff"}, "KAFKA_SASL_PASSWORD is not right (its value is a secret)"),
        ({"MINDSTREAM_PARTITIONS": "four"}, "MINDSTREAM_PARTITIONS is 'four'"),
        ({}, "no Kafka broker answers at 127.0.0.1:1 ("),
    ],
)
def test_no_failure_tells_the_password(
    command: str,
    wrong: dict[str, str],
    sentence: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    asks_kafka = command != "query"
    monkeypatch.setattr("stream.kafka.cluster.CONNECTED_WITHIN_S", 0.1)
    monkeypatch.setattr("stream.commands.run.stop_on_signals", threading.Event)
    monkeypatch.setattr("stream.commands.broker.stop_on_signals", threading.Event)
    environment = variables("127.0.0.1:1", "SASL_PLAINTEXT", MINDSTREAM_HOME=str(home)) | wrong
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings.load.cache_clear()
    monkeypatch.setattr(sys, "argv", ["a program", *(arguments(command, home) if asks_kafka else ["query", ""])])
    with pytest.raises(SystemExit):
        console.run(stream.__main__.app if asks_kafka else index.__main__.app)
    stdout, stderr = capfd.readouterr()
    settings.load.cache_clear()
    assert CANARY not in stdout + stderr
    if asks_kafka:
        assert f"error: {sentence}" in stderr


def test_the_most_talkative_log_does_not_tell_the_password(
    listeners: Listeners, caplog: pytest.LogCaptureFixture
) -> None:
    """kafka-python with DEBUG logs its requests; only those that could hold a password are left out."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("kafka").setLevel(logging.DEBUG)
    try:
        cluster = configured(listeners, "SASL_PLAINTEXT", **login("PLAIN"))
        assert goes_through(cluster, "talkative")
        refusal(configured(listeners, "SASL_PLAINTEXT", **login("PLAIN", f"{CANARY}-wrong")))
    finally:
        logging.getLogger("kafka").setLevel(logging.NOTSET)
    assert any(record.name.startswith("kafka.") and record.levelno == logging.DEBUG for record in caplog.records)
    assert CANARY not in caplog.text
