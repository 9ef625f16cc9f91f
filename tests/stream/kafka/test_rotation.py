"""Certificates and passwords that are rotated while a stream runs: it goes on without a restart."""

import logging
import shutil
import socket
import ssl
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion
from pydantic import SecretStr

from stream.kafka.credentials.certificates import Certificates, FreshContext
from stream.kafka.credentials.secret import Secret
from testbed import system_packages
from testbed.access.listeners import USER
from testbed.stream_process import wait_until
from tests.stream.kafka.secured import CANARY, Traffic, running_broker, settings_for, sign_broker
from tests.support.certificates import Authority, new_authority

NEW = f"{CANARY}-new"


class OurFiles:
    """What a client is given in files, as a cluster that issues certificates writes it."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder = folder
        folder.mkdir()
        self.write(authority, CANARY)

    def write(self, authority: Authority, password: str) -> None:
        """Write all files, one after the other; the certificate before its key."""
        certificate, key = authority.sign("client", password=password)
        for source, name in ((authority.certificate, "ca"), (certificate, "crt"), (key, "key")):
            shutil.copy(source, self.folder / name)
        (self.folder / "password").write_text(f"{password}\n")

    @property
    def trusted(self) -> dict[str, Any]:
        return {"ssl_cafile": self.folder / "ca"}

    @property
    def certificate(self) -> dict[str, Any]:
        files = {"ssl_certfile": "crt", "ssl_keyfile": "key", "ssl_key_password_file": "password"}
        return {name: self.folder / file for name, file in files.items()}

    @property
    def login(self) -> dict[str, Any]:
        return {"sasl_username": USER, "sasl_password_file": self.folder / "password"}


@pytest.mark.kafka
@pytest.mark.slow
def test_a_stream_outlives_its_certificates_and_its_password(tmp_path: Path) -> None:
    """All are others at once, also the authority that the broker's certificate is of."""
    system_packages.provide("openssl")
    authority = new_authority(tmp_path / "ours")
    files = OurFiles(tmp_path / "files", authority)
    with running_broker(authority) as (broker, listeners):
        by_certificate = settings_for(listeners, "SSL", topic="one", group="one", **files.trusted, **files.certificate)
        scram = {"sasl_mechanism": "SCRAM-SHA-512", **files.trusted, **files.login}
        by_password = settings_for(listeners, "SASL_SSL", topic="two", group="two", **scram)
        with closing(Traffic(by_certificate)) as one, closing(Traffic(by_password)) as two:
            for traffic in (one, two):
                wait_until(traffic.goes_on, "events go through")
            rotated = new_authority(tmp_path / "rotated")
            shutil.copy(rotated.certificate, listeners.authority)
            sign_broker(rotated, listeners.server)
            change_password(broker.bootstrap_servers)
            broker.kill()
            broker.start()
            assert not one.goes_on()
            assert not two.goes_on()
            files.write(rotated, NEW)
            for traffic in (one, two):
                wait_until(traffic.goes_on, "events go through again")


def change_password(bootstrap_servers: str) -> None:
    with KafkaAdminClient(bootstrap_servers=bootstrap_servers) as admin:
        admin.alter_user_scram_credentials([UserScramCredentialUpsertion(USER, ScramMechanism.SCRAM_SHA_512, NEW)])


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> OurFiles:
    return OurFiles(tmp_path / "files", authority)


def certificates(files: OurFiles) -> Certificates:
    """What kafka-python is given of them."""
    ours = files.certificate
    password = Secret("KAFKA_SSL_KEY_PASSWORD", file=ours["ssl_key_password_file"])
    return Certificates(files.folder / "ca", ours["ssl_certfile"], ours["ssl_keyfile"], password)


def test_files_that_do_not_fit_together_yet(
    files: OurFiles, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """Between two writes the last certificates serve; that is said once."""
    context = FreshContext(certificates(files).context)
    before = context.last
    (files.folder / "key").write_text("half a key")
    for _ in range(3):
        wrapped(context).close()
    assert context.last is before
    [line] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert f"KAFKA_SSL_KEYFILE ({files.folder / 'key'}) are not a certificate and its key in PEM" in line
    assert line.endswith("what was read before is used until that is right")
    files.write(authority, NEW)
    wrapped(context).close()
    assert context.last is not before
    assert CANARY not in caplog.text


def wrapped(context: FreshContext) -> ssl.SSLSocket:
    """A socket as kafka-python makes one."""
    return context.wrap_socket(socket.socket(), server_hostname="a", do_handshake_on_connect=False)


@pytest.mark.parametrize(("text", "secret"), [("p", "p"), ("p\n", "p"), ("p\r\n", "p"), (" p ", " p "), ("ü", "ü")])
def test_a_secret_in_a_file(tmp_path: Path, text: str, secret: str) -> None:
    """What an editor adds at the end is none of it."""
    (tmp_path / "secret").write_bytes(text.encode())
    assert Secret("A", file=tmp_path / "secret").reveal() == secret


def test_a_secret_that_is_not_given() -> None:
    assert not Secret("A", SecretStr("")).is_given()
    assert Secret("A", SecretStr("")).reveal() == ""
